"""Births where something is unlike the usual: an older kernel, threads, other Pythons, many."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mayfly.config import find_runtimes
from mayfly.drivers.process import starting
from mayfly.model.function import Reuse
from mayfly.testing.ids import SeededIds
from tests.support.bench import Bench, births
from tests.support.needs import need
from tests.support.platform import RUNTIME
from tests.support.process_driver import kill_snapshot, process_driver

Write = Callable[[str], None]
MANY = 4_000
BATCH = 100

LOOKS = """
import os, sys, threading
def handler(event, context):
    return {
        "version": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "pid": os.getpid(),
        "processes": [name for name in os.listdir("/proc") if name.isdigit()],
        "tmp": os.listdir("/tmp"),
        "threads": threading.active_count(),
        "uid": os.getuid(),
    }
"""


async def _look(bench: Bench) -> dict[str, object]:
    snapshot, watcher, isolate = await bench.up("app.handler")
    answer = await isolate.invoke(bench.invocation(), timeout_s=10)
    assert answer.error is None, answer
    await watcher.until(lambda: isolate in watcher.died)
    await snapshot.close()
    found: dict[str, object] = json.loads(answer.payload)
    return found


async def test_an_older_kernel_mounts_proc_from_inside(
    task: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 6.17 no mount option names another pid namespace."""
    write(LOOKS)
    refuse = "import mayfly.drivers.process.mounts as m; m.proc_of = lambda _: m.os.open('/no', 0)"
    older = starting.LAUNCH.replace("; main()", f"; {refuse}; main()")
    assert older != starting.LAUNCH
    monkeypatch.setattr(starting, "LAUNCH", older)
    async with process_driver() as driver:
        bench = Bench(driver, task, RUNTIME, kill_snapshot, SeededIds(1))
        for _ in range(3):
            found = await _look(bench)
            assert (found["pid"], found["processes"], found["tmp"]) == (1, ["1"], [])


async def test_threads_that_the_import_left_do_not_disturb_a_birth(
    bench: Bench, write: Write
) -> None:
    """They live in the snapshot and are not copied; their locks are mended by Python's hooks."""
    write(
        """
import logging, random, threading, time
def spin():
    while True:
        logging.getLogger("x").info("held often")
        random.random()
        time.sleep(0)
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
"""
        + LOOKS.replace("return {", "logging.getLogger('x').warning('mine')\n    return {")
    )
    snapshot, watcher, first = await bench.up("app.handler")
    for isolate in (first, *await births(snapshot, watcher, 20)):
        answer = await isolate.invoke(bench.invocation(), timeout_s=10)
        assert answer.error is None, answer
        assert json.loads(answer.payload)["threads"] == 1
    await snapshot.close()


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13"])
async def test_every_python_is_a_runtime(task: Path, write: Write, name: str) -> None:
    runtimes = find_runtimes()
    if os.geteuid() != 0 and name not in runtimes:
        pytest.skip(f"an ordinary user of this machine has no {name}")
    need(name in runtimes, name)
    write(LOOKS + "print('imported')\n")
    async with process_driver(runtimes=runtimes) as driver:
        bench = Bench(driver, task, name, kill_snapshot, SeededIds(1))
        found = await _look(bench)
        assert found["version"] == name
        assert (found["pid"], found["uid"], found["processes"]) == (1, 1000, ["1"])
        _, _, warm = await bench.up("app.handler", reuse=Reuse.WARM)
        for _ in range(3):
            assert (await warm.invoke(bench.invocation(), timeout_s=5)).alive


async def test_thousands_of_births_leave_no_descriptor_behind(bench: Bench, write: Write) -> None:
    write(LOOKS)
    snapshot, watcher, isolate = await bench.up("app.handler")
    keeper = _parent(snapshot.facts.pid)

    async def batch() -> None:
        for one in await births(snapshot, watcher, BATCH):
            one.kill()
        await watcher.until(lambda: len(watcher.died) >= len(watcher.parked) - 1)

    await batch()
    before = _descriptors(os.getpid()), _descriptors(keeper), _descriptors(snapshot.facts.pid)
    for _ in range(MANY // BATCH - 1):
        await batch()
    after = _descriptors(os.getpid()), _descriptors(keeper), _descriptors(snapshot.facts.pid)
    assert (after[0], after[2]) == (before[0], before[2])
    # The keeper keeps the leaves that it has made, one for each isolate that lived at once.
    assert after[1] <= before[1] + 3 * BATCH
    assert (await isolate.invoke(bench.invocation(), timeout_s=5)).error is None
    await snapshot.close()
    assert _descriptors(os.getpid()) < before[0]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        # An ordinary user may not look into what has changed its identity.
        return 0


async def test_births_asked_for_at_once_all_come(bench: Bench, write: Write) -> None:
    write(LOOKS)
    async with asyncio.TaskGroup() as tasks:
        ups = [tasks.create_task(bench.up("app.handler")) for _ in range(3)]
    for up in ups:
        snapshot, watcher, _ = up.result()
        found = await births(snapshot, watcher, 40)
        assert len({one.isolate_id for one in found}) == 40
        await snapshot.close()
