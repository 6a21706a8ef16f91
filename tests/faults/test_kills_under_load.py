"""`kill -9` of any process of the platform under load: nobody hangs, the next call works.

The seed says who is killed; the load says when. A call that is hit gets an error, at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mayfly.testing.ids import seeded
from tests.support import leaks
from tests.support.functions import Functions
from tests.support.life import Life, descendants, new_life
from tests.support.unprivileged import UID

CALLERS = 4
ROUNDS = 8
CALL_S_MAX = 20.0
# Of a tenth of a second: longer than the engine's longest pause.
PAUSES = 100


def children(pid: int) -> list[int]:
    """The processes that `pid` has made or adopted, oldest first."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(word) for word in words]


def launchers(daemon: int) -> list[int]:
    return children(daemon)


def keepers(daemon: int) -> list[int]:
    return [keeper for launcher in launchers(daemon) for keeper in children(launcher)]


def snapshots(daemon: int) -> list[int]:
    return [pid for keeper in keepers(daemon) for pid in children(keeper)[:1]]


def isolates(daemon: int) -> list[int]:
    return [pid for keeper in keepers(daemon) for pid in children(keeper)[1:]]


def anyone(daemon: int) -> list[int]:
    return [*launchers(daemon), *keepers(daemon), *snapshots(daemon), *isolates(daemon)]


VICTIMS: dict[str, Callable[[int], list[int]]] = {
    "launcher": launchers,
    "keeper": keepers,
    "snapshot": snapshots,
    "isolate": isolates,
    "anyone": anyone,
}


@dataclass
class Load:
    """Callers that go on calling, and what they have seen."""

    functions: Functions
    name: str
    over: threading.Event = field(default_factory=threading.Event)
    calls: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    strange: list[object] = field(default_factory=list)

    def keep_calling(self, caller: int) -> None:
        number = caller
        while not self.over.is_set():
            number += CALLERS
            try:
                call = self.functions.call(self.name, number)
            except ClientError as error:
                # Our fault, and said so; what must not be is silence.
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    self.strange.append(error)
            else:
                hit = call.error and call.error_type in ("Runtime.ExitError", "Runtime.OutOfMemory")
                if not hit and (call.error or call.value != number):
                    self.strange.append(call)
            self.calls.release()

    def wait(self, count: int) -> None:
        """Until `count` more calls have ended."""
        for _ in range(count):
            assert self.calls.acquire(timeout=CALL_S_MAX), "a call hangs"


@pytest.fixture(params=["itself", "an ordinary user"])
def life(request: pytest.FixtureRequest) -> Iterator[Life]:
    with new_life(ordinary_user=request.param == "an ordinary user") as one:
        yield one


def _answers_again(functions: Functions, name: str) -> bool:
    for _ in range(PAUSES):
        if _answers(functions, name):
            return True
        threading.Event().wait(0.1)
    return False


def _answers(functions: Functions, name: str) -> bool:
    try:
        return functions.call(name, "there").value == "there"
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            raise
        return False


@pytest.mark.parametrize("whom", VICTIMS)
def test_whoever_is_killed_no_call_hangs_and_the_next_one_works(life: Life, whom: str) -> None:
    functions = life.up()
    assert life.platform is not None
    daemon = life.platform.process.pid
    load = Load(functions, functions.make(Timeout=5))
    chance = seeded(7)
    seen: set[int] = set()
    with ThreadPoolExecutor(CALLERS) as pool:
        running = [pool.submit(load.keep_calling, caller) for caller in range(CALLERS)]
        try:
            load.wait(CALLERS)
            for _ in range(ROUNDS):
                seen.update(anyone(daemon))
                _kill_one(VICTIMS[whom](daemon), chance.random())
                load.wait(chance.randrange(1, 3 * CALLERS))
        finally:
            load.over.set()
        for one in running:
            one.result(timeout=CALL_S_MAX)
    assert not load.strange
    # The last kill may still take its time to arrive, and after several in a row a snapshot is
    # made again after a pause.
    assert _answers_again(functions, load.name)
    for number in range(5):
        assert functions.call(load.name, number).value == number
    below = descendants(daemon)
    cgroups = leaks.cgroups_of(below)
    life.end()
    alive = leaks.take_census().processes
    assert not below & alive
    assert not [one for one in alive if one.pid in seen and _is_ours(one.pid)]
    assert not [one for one in cgroups if one.exists()]


def _is_ours(pid: int) -> bool:
    """Numbers come round again: is it still a process of the platform?"""
    try:
        return b"mayfly" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _kill_one(pids: list[int], chance: float) -> None:
    if not pids:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids[int(chance * len(pids))], signal.SIGKILL)


def test_a_killed_daemon_and_launcher_leave_nothing_to_the_next_life(life: Life) -> None:
    functions = life.up()
    name = functions.make(name="kept")
    functions.call(name)
    assert life.platform is not None
    daemon = life.platform.process.pid
    below = descendants(daemon)
    cgroups = leaks.cgroups_of(below)
    for pid in (daemon, *launchers(daemon)):
        os.kill(pid, signal.SIGKILL)
    life.platform.process.wait()
    functions = life.up()
    assert functions.call(name, "alive").value == "alive"
    life.end()
    assert not below & leaks.take_census().processes
    assert not [one for one in cgroups if one.exists()]


def test_half_a_runtime_tree_of_a_killed_daemon_is_swept(life: Life) -> None:
    runtimes = life.data / "runtimes"
    half = runtimes / ".python3.11-0123456789abcdef.4194305" / "usr"
    kept = runtimes / ".mine"
    for folder in (half, kept):
        folder.mkdir(parents=True)
    if life.ordinary_user and os.geteuid() == 0:
        for one in (life.data, *life.data.rglob("*")):
            os.chown(one, UID, UID)
    life.up()
    assert not half.parent.exists()
    assert kept.exists()
