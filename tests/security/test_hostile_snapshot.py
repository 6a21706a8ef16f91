"""Import-time code that turns against its keeper: it may end itself, never what watches over it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mayfly.drivers.process import keeper
from tests.security.sandbox import Sandbox, node, open_box, sandbox

# Takes the snapshot's place: says that the import went well, then answers the keeper as it likes.
TAKEN_OVER = """
import ctypes, os, signal, socket, struct, sys, time

def keeper_socket():
    for fd in range(1000, 1024):
        try:
            one = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if one.type == socket.SOCK_SEQPACKET:
            return one

def tenant_socket():
    for fd in range(1000, 1024):
        try:
            one = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if one.type == socket.SOCK_STREAM:
            return one

def clone(flags=0x20028011):
    pid = ctypes.CDLL(None).syscall(56, ctypes.c_long(flags), 0, 0, 0, 0)
    if pid == 0:
        time.sleep(1000)
    return pid

def say(pid):
    keeper.send(struct.pack("<i", pid))

def answer(kind, body=b""):
    return struct.pack("<HBBI", 0x464D, kind, 0, len(body)) + body

keeper = keeper_socket()
tenant_socket().sendall(answer(2, b"null"))
known = []
while True:
    data, ancillary, flags, address = keeper.recvmsg(1, socket.CMSG_SPACE(8))
    channel, log = struct.unpack("<2i", ancillary[0][2])
    BORN
    os.write(channel, answer(4))  # READY
"""

FORGED = {
    "its keeper": "say(1)",
    "itself": "say(os.getpid())",
    "nobody": "say(30000)",
    "less than nobody": "say(-5)",
    "the least number": "say(-2147483648)",
    "a child without a namespace of its own": "say(os.spawnv(os.P_NOWAIT, sys.executable, "
    "[sys.executable, '-c', 'import time; time.sleep(1000)']))",
    "an orphan of the keeper's": """
    read, write = os.pipe()
    if os.fork() == 0:
        pid = os.fork()
        if pid == 0:
            time.sleep(1000)
        os.write(write, struct.pack("<i", pid))
        os._exit(0)
    time.sleep(0.2)
    os.wait()
    say(struct.unpack("<i", os.read(read, 4))[0])
""",
}


async def _ends(box: Sandbox) -> None:
    box.snapshot.birth(1)
    await box.watcher.until(lambda: bool(box.watcher.snapshot_deaths))


@pytest.mark.parametrize("whom", list(FORGED))
async def test_a_snapshot_that_names_somebody_else_as_its_isolate_ends(
    whom: str, tmp_path: Path
) -> None:
    source = TAKEN_OVER.replace("    BORN", f"    {FORGED[whom].strip()}")
    async with sandbox(tmp_path, source) as box:
        await _ends(box)
        assert not box.watcher.parked


async def test_a_snapshot_that_names_one_isolate_twice_ends(tmp_path: Path) -> None:
    born = "known.append(known[0] if known else clone()); say(known[-1])"
    async with sandbox(tmp_path, TAKEN_OVER.replace("BORN", born)) as box:
        await box.isolates(1)
        await _ends(box)
        assert len(box.watcher.parked) == 1


async def test_a_snapshot_that_speaks_unasked_ends(tmp_path: Path) -> None:
    born = "say(clone()); say(clone()); say(clone())"
    async with sandbox(tmp_path, TAKEN_OVER.replace("BORN", born)) as box:
        await _ends(box)


@pytest.mark.parametrize(
    "deed",
    [
        "[os.kill(1, s) for s in range(1, 65) if s not in (32, 33)]",
        "os.kill(1, signal.SIGSTOP)",
        "keeper.shutdown(socket.SHUT_RD)",
        "[keeper.setsockopt(1, o, 1) for o in (7, 8)]",
        "[socket.send_fds(keeper, [b'xxxx'], [0] * 200) for _ in range(50)]",
    ],
)
async def test_a_keeper_still_kills_whatever_its_snapshot_does(deed: str, tmp_path: Path) -> None:
    born = f"say(clone())\n    try:\n        {deed}\n    except OSError:\n        pass"
    async with node() as driver:
        hostile = await open_box(driver, tmp_path, TAKEN_OVER.replace("BORN", born))
        other = await open_box(driver, tmp_path, "def handler(e, c):\n    return e\n", seed=2)
        hostile.snapshot.birth(1)
        await hostile.watcher.until(
            lambda: bool(hostile.watcher.parked or hostile.watcher.snapshot_deaths)
        )
        for one in hostile.watcher.parked:
            one.kill()
        await hostile.watcher.until(
            lambda: len(hostile.watcher.died) == len(hostile.watcher.parked)
        )
        assert await other.call(1) == 1
        await hostile.snapshot.close()
    with pytest.raises(ProcessLookupError):
        os.kill(hostile.snapshot.facts.pid, 0)


def test_a_mount_helper_that_is_stopped_does_not_stop_the_keeper() -> None:
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    assert keeper.wait_for_helper(pid) != 0
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
