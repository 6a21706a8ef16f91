"""What a call takes of the node is bounded, and ends with it: nobody beside it pays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.security.sandbox import Sandbox, node, open_box
from tests.support.needs import need, need_root

HOSTILE = """
import ctypes, fcntl, mmap, os, resource, signal, socket, subprocess, sys, threading, time

def sleep_for_ever():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        time.sleep(1000)

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            sleep_for_ever()
        os._exit(0)
    os.wait()

def stopped():
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)

def stops_itself():
    if os.fork() == 0:
        sleep_for_ever()
    subprocess.Popen([sys.executable, "-c",
        "import os, signal, time; os.kill(os.getppid(), signal.SIGSTOP); time.sleep(1000)"])

def vforks():
    threading.Thread(target=subprocess.run, args=([sys.executable, "-c",
        "import time; time.sleep(1000)"],), daemon=True).start()

def thread_bomb():
    made = 0
    try:
        while made < 5000:
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
            made += 1
    except RuntimeError:
        pass
    return made

def descriptors():
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return [error.errno, len(held)]

def fill(path, chunk=1 << 20):
    written = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(bytes(chunk))
        except OSError as error:
            return [error.errno, written >> 20]

def inodes():
    made = 0
    try:
        while made < 200_000:
            os.close(os.open(f"/tmp/{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        return [error.errno, made]

def sparse():
    try:
        with open("/tmp/sparse", "wb") as file:
            file.truncate(1 << 40)
    except OSError as error:
        return error.errno
    return 0

def shared_memory():
    held = mmap.mmap(-1, 1 << 30)
    for at in range(0, 1 << 30, 4096):
        held[at] = 1

def pipes():
    held = []
    for _ in range(500):
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            fcntl.fcntl(write, 1031, 1 << 20)
        except OSError:
            pass  # So much a user may have, and no more (pipe(7), pipe-user-pages-soft).
        try:
            while os.write(write, bytes(1 << 16)):
                pass
        except BlockingIOError:
            held.append(write)

def sockets():
    held = []
    for _ in range(500):
        left, right = socket.socketpair()
        left.setblocking(False)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        try:
            while left.send(bytes(1 << 16)):
                pass
        except BlockingIOError:
            held += left, right
    return len(held)

def flood():
    line = b"x" * 65536
    while True:
        os.write(1, line)

def drip():
    while True:
        os.write(2, b"x")

def handler(event, context):
    return eval(event)
"""
ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture
async def boxes(tmp_path: Path) -> AsyncIterator[tuple[Sandbox, Sandbox]]:
    """A hostile function, and an honest one beside it."""
    need_root()
    async with node() as driver:
        hostile = await open_box(driver, tmp_path, HOSTILE)
        yield hostile, await open_box(driver, tmp_path, ECHO, seed=2)


def _processes(box: Sandbox) -> set[int]:
    """Every process of the node that has the sandbox's uid: a function's own."""
    owner = Path(f"/proc/{box.snapshot.facts.pid}").stat().st_uid
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == owner:
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("way", ["daemon()", "stopped()", "stops_itself()", "vforks()"])
async def test_nothing_outlives_its_deadline(way: str, boxes: tuple[Sandbox, Sandbox]) -> None:
    box, _honest = boxes
    quiet = _processes(box)
    assert len(quiet) == 2, "keeper and snapshot"
    isolate = (await box.isolates(1))[0]
    answer = await box.invoke(f"[{way}, sleep_for_ever()]", timeout_s=0.7, isolate=isolate)
    assert answer.error_type == "Sandbox.Timedout"
    await box.watcher.until(lambda: isolate in box.watcher.died)
    assert _processes(box) == quiet


async def test_nothing_outlives_its_answer(boxes: tuple[Sandbox, Sandbox]) -> None:
    box, _honest = boxes
    quiet = _processes(box)
    isolate = (await box.isolates(1))[0]
    await box.call("[daemon(), stopped()]", isolate=isolate)
    await box.watcher.until(lambda: isolate in box.watcher.died)
    assert _processes(box) == quiet


@pytest.mark.parametrize("deed", ["shared_memory()", "sockets()", "fill('/tmp/x')"])
async def test_memory_of_every_kind_counts(deed: str, boxes: tuple[Sandbox, Sandbox]) -> None:
    box, honest = boxes
    answer = await box.invoke(deed, timeout_s=30)
    assert answer.error_type == "Runtime.OutOfMemory", answer.payload
    assert await honest.call(1) == 1
    assert await box.call("1") == 1


async def test_memory_in_pipes_is_bounded(boxes: tuple[Sandbox, Sandbox]) -> None:
    """By the isolate's limit, or before that by what pipes of one user may hold (pipe(7))."""
    box, honest = boxes
    answer = await box.invoke("pipes()", timeout_s=30)
    assert answer.error_type in ("Runtime.OutOfMemory", ""), answer.payload
    assert await honest.call(1) == 1


async def test_threads_descriptors_and_files_are_bounded(boxes: tuple[Sandbox, Sandbox]) -> None:
    box, honest = boxes
    assert 0 < await box.call("thread_bomb()") < 64
    number, held = await box.call("descriptors()")
    assert (number, held < 1024) == (24, True)
    number, made = await box.call("inodes()")
    assert (number, made < 40_000) == (28, True)
    assert await box.call("sparse()") == 27
    assert await honest.call(1) == 1


async def test_an_import_holds_little_more_than_the_functions_memory(tmp_path: Path) -> None:
    need_root()
    async with node() as driver:
        with pytest.raises(AssertionError, match=r"Runtime\.(ExitError|OutOfMemory)"):
            await open_box(driver, tmp_path, "held = bytearray(b'x') * (1 << 30)\n" + ECHO)


async def test_room_for_isolates_grows_with_them(boxes: tuple[Sandbox, Sandbox]) -> None:
    _box, honest = boxes
    parked = await honest.isolates(300)
    for one in parked[::50]:
        assert await honest.call(1, isolate=one) == 1


@pytest.mark.parametrize("deed", ["flood()", "drip()"])
async def test_a_log_flood_costs_a_neighbour_little(
    deed: str, boxes: tuple[Sandbox, Sandbox]
) -> None:
    box, honest = boxes
    loop = asyncio.get_running_loop()
    floods = await box.isolates(4)
    async with asyncio.TaskGroup() as tasks:
        for one in floods:
            tasks.create_task(box.invoke(deed, timeout_s=3, isolate=one))
        took = []
        for _ in range(20):
            (isolate,) = await honest.isolates(1)
            started_s = loop.time()
            assert await honest.call(1, isolate=isolate) == 1
            took.append(loop.time() - started_s)
    assert sorted(took)[10] < 0.2
    await box.watcher.until(lambda: len(box.watcher.died) == 4)


async def test_an_import_that_floods_its_log_costs_a_neighbour_little(
    boxes: tuple[Sandbox, Sandbox], tmp_path: Path
) -> None:
    _box, honest = boxes
    source = HOSTILE + "threading.Thread(target=flood, daemon=True).start()\n"
    flooded = await open_box(honest.bench.driver, tmp_path, source, seed=3)
    await asyncio.sleep(0.5)
    before = flooded.watcher.import_bytes
    assert await honest.call(1) == 1
    await asyncio.sleep(0.5)
    mib = (flooded.watcher.import_bytes - before) / (1 << 20)
    need(before > 0, "a thread that prints")
    assert mib < 32, "a second of it is a bounded work for the daemon"
