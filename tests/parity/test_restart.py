"""`kill -9` at any moment, then up again: nothing lost, nothing half, nothing left."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

from tests.support import leaks
from tests.support.control import follow_log
from tests.support.functions import ECHO
from tests.support.life import Life, descendants, new_life
from tests.support.platform import ROLE, RUNTIME, zipped


@pytest.fixture(params=["itself", "an ordinary user"])
def life(request: pytest.FixtureRequest) -> Iterator[Life]:
    """A data folder of the test's own, lived on by the suite's user and by an ordinary one."""
    with new_life(ordinary_user=request.param == "an ordinary user") as one:
        yield one


def test_functions_and_their_urls_are_there_after_a_kill(life: Life) -> None:
    functions = life.up()
    name = functions.make(name="survivor", Environment={"Variables": {"KEPT": "yes"}})
    url = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    before = functions.client.get_function_configuration(FunctionName=name)
    life.kill()
    functions = life.up()
    after = functions.client.get_function_configuration(FunctionName=name)
    for member in ("RevisionId", "CodeSha256", "Environment", "LastModified", "Handler"):
        assert after[member] == before[member]
    again = functions.client.get_function_url_config(FunctionName=name)
    assert (
        again["FunctionUrl"].rpartition("/lambda-url/")[2]
        == (url["FunctionUrl"].rpartition("/lambda-url/")[2])
    )
    assert functions.call(name, "alive").value == "alive"


def test_the_key_is_the_same_after_a_restart(life: Life) -> None:
    first = life.up().platform
    life.end()
    second = life.up().platform
    assert first.access_key_id == second.access_key_id
    assert first.secret_access_key == second.secret_access_key


def test_an_accepted_event_is_not_lost_by_a_kill(life: Life) -> None:
    functions = life.up()
    source = "import time\ndef handler(e, c):\n    time.sleep(0.5)\n    print('handled', e)\n"
    name = functions.make(source, name="keeper")
    for number in range(20):
        assert functions.call(name, number, InvocationType="Event").status == 202
    life.kill()
    functions = life.up()
    wanted = {f"handled {number}" for number in range(20)}
    for line in follow_log(functions.platform, name):
        wanted -= {one for one in wanted if one == line.strip()}
        if not wanted:
            break
    assert not wanted


def test_a_kill_amid_deployments_leaves_whole_functions_only(life: Life) -> None:
    functions = life.up()
    made: list[str] = []

    def keep_making(worker: int) -> None:
        for number in range(200):
            name = f"w{worker}-{number}"
            try:
                functions.client.create_function(
                    FunctionName=name,
                    Runtime=RUNTIME,
                    Role=ROLE,
                    Handler="app.handler",
                    Code={"ZipFile": zipped({"app.py": ECHO + f"# {name}\n"})},
                )
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                return
            made.append(name)
            if worker == 0 and number == 5:
                life.kill()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(keep_making, range(3)))
    functions = life.up()
    pages = functions.client.get_paginator("list_functions").paginate()
    there = [one["FunctionName"] for page in pages for one in page["Functions"]]
    assert set(made) <= set(there)
    for name in there:
        assert functions.call(name, name).value == name
    with sqlite3.connect(f"file:{life.data / 'mayfly.db'}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    archives = {one.name for one in (life.data / "archives").iterdir()}
    assert all(name.endswith(".zip") and len(name) == 68 for name in archives)


def test_a_kill_leaves_no_orphan_isolate(life: Life) -> None:
    functions = life.up()
    functions.call(functions.make())
    below = descendants(functions.platform.process.pid)
    cgroups = leaks.cgroups_of(below)
    assert len(below) >= 2, "the platform holds a launcher, snapshots and isolates"
    life.kill()
    functions = life.up()
    assert not below & leaks.take_census().processes
    functions.call(functions.make())
    cgroups |= leaks.cgroups_of(descendants(functions.platform.process.pid))
    life.end()
    assert not [one for one in cgroups if one.exists()]
    assert not descendants(functions.platform.process.pid)


@pytest.mark.parametrize("whom", range(3))
def test_a_kill_of_any_process_of_the_platform_is_survived(life: Life, whom: int) -> None:
    functions = life.up()
    name = functions.make()
    functions.call(name)
    below = sorted(descendants(functions.platform.process.pid), key=lambda one: one.pid)
    os.kill(below[min(whom, len(below) - 1)].pid, signal.SIGKILL)
    if life.survives():
        assert functions.call(name, "alive").value == "alive"
    else:
        functions = life.up()
        assert functions.call(name, "alive").value == "alive"


def test_a_stop_lets_the_running_call_end(life: Life) -> None:
    functions = life.up()
    name = functions.make("import time\ndef handler(e, c):\n    time.sleep(1)\n    return 'done'\n")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: functions.call(name).value)
        functions.call(functions.make())
        life.end()
        assert running.result(timeout=30) == "done"
