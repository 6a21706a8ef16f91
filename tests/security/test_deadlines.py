"""A deadline holds against everything that a call or an import may leave behind.

Whoever ignores signals, leaves its session, forks twice, stops itself or holds the channel's
descriptors is gone with its isolate, and with its snapshot where an import made it; as root and as
an ordinary user.
"""

from __future__ import annotations

import collections
import os
import select
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mayfly.ports import Driver
from tests.security.sandbox import Sandbox, node, open_box
from tests.support.needs import need

HOSTILE = """
import os, signal, subprocess, sys, threading, time

def sleep_for_ever():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        time.sleep(1000)

def ignorant():
    if os.fork() == 0:
        sleep_for_ever()

def orphan(deed=sleep_for_ever):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            deed()
        os._exit(0)
    os.wait()

def stop_oneself():
    os.kill(os.getpid(), signal.SIGSTOP)
    sleep_for_ever()

def stopped():
    if os.fork() == 0:
        stop_oneself()

def stopped_orphan():
    orphan(stop_oneself)

def stops_its_parent():
    subprocess.Popen([sys.executable, "-c",
        "import os, signal, time; os.kill(os.getppid(), signal.SIGSTOP); time.sleep(1000)"])

def within_a_vfork():
    threading.Thread(target=subprocess.run, args=([sys.executable, "-c",
        "import time; time.sleep(1000)"],), daemon=True).start()

def hold_everything():
    for fd in range(3, 1024):
        try:
            os.set_inheritable(os.dup(fd), True)
        except OSError:
            pass
    sleep_for_ever()

def descriptors():
    orphan(hold_everything)
    os.closerange(3, 1024)

def never_alone():
    # Each is followed by another before it dies.
    if os.fork() == 0:
        while os.fork() == 0:
            time.sleep(0.001)
        os._exit(0)

def fork_bomb():
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""
HANDLER = """
def handler(event, context):
    globals()[event]()
    sleep_for_ever()
"""
WAYS = (
    *("ignorant", "orphan", "stopped", "stopped_orphan", "stops_its_parent"),
    *("within_a_vfork", "descriptors", "never_alone"),
)


@pytest.fixture
async def driver() -> AsyncIterator[Driver]:
    async with node() as one:
        yield one


def _below(keeper: int) -> set[int]:
    """Every process that came of a keeper: who loses its parent falls to it or to an isolate."""
    children: dict[int, list[int]] = collections.defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for number in _status(int(entry.name), "PPid:"):
                children[int(number)].append(int(entry.name))
    found: set[int] = set()
    waiting = [keeper]
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting += children[one]
    return found


def _status(pid: int, field: str) -> list[str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []
    return [line.split()[1] for line in lines if line.startswith(field)]


def _has_cgroup(pid: int) -> bool:
    return "/mayfly-" in Path(f"/proc/{pid}/cgroup").read_text()


def _keeper(box: Sandbox) -> int:
    (parent,) = _status(box.snapshot.facts.pid, "PPid:")
    return int(parent)


@pytest.mark.parametrize("way", WAYS)
async def test_a_deadline_ends_what_a_call_started(
    way: str, driver: Driver, tmp_path: Path
) -> None:
    box = await open_box(driver, tmp_path, HOSTILE + HANDLER)
    quiet = _below(_keeper(box))
    isolate = (await box.isolates(1))[0]
    answer = await box.invoke(way, timeout_s=0.7, isolate=isolate)
    assert answer.error_type == "Sandbox.Timedout"
    await box.watcher.until(lambda: isolate in box.watcher.died)
    assert _below(_keeper(box)) == quiet


@pytest.mark.parametrize("way", sorted({*WAYS} - {"stops_its_parent"}))
async def test_what_an_import_started_goes_with_its_snapshot(
    way: str, driver: Driver, tmp_path: Path
) -> None:
    source = HOSTILE + HANDLER + (f"{way}()\n" if way != "descriptors" else "orphan()\n")
    box = await open_box(driver, tmp_path, source)
    alive = [os.pidfd_open(pid) for pid in _below(_keeper(box))]
    assert len(alive) > 1
    await box.snapshot.close()
    for one in alive:
        ended, _, _ = select.select([one], [], [], 10)
        os.close(one)
        assert ended


async def test_a_fork_bomb_is_held_still_until_its_deadline(driver: Driver, tmp_path: Path) -> None:
    """Where a cgroup counts its processes; elsewhere the kernel refuses them early anyway."""
    box = await open_box(driver, tmp_path, HOSTILE + HANDLER)
    if not _has_cgroup(box.snapshot.facts.pid):
        need(os.geteuid() != 0, "cgroups that may be written")
        pytest.skip("an ordinary user has no cgroup here")
    quiet = _below(_keeper(box))
    isolate, beside = await box.isolates(2)
    bomb = await box.invoke("fork_bomb", timeout_s=4, isolate=isolate)
    assert bomb.error_type == "Sandbox.Timedout"
    assert b"forks were refused; held still until its deadline\n" in box.watcher.printed
    await box.watcher.until(lambda: isolate in box.watcher.died)
    answer = await box.invoke("orphan", timeout_s=0.7, isolate=beside)
    assert answer.error_type == "Sandbox.Timedout", "its sibling forks as it likes"
    await box.watcher.until(lambda: beside in box.watcher.died)
    assert _below(_keeper(box)) == quiet
