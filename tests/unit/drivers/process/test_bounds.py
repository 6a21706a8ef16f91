"""Each isolate's own bounds, with cgroups (root) or without them (an ordinary user)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.support.bench import Bench, Watcher, births

Write = Callable[[str], None]

BOMB = """
import os, time
def handler(event, context):
    if not event:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    made = 0
    try:
        while made < 2000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            made += 1
    except OSError:
        pass
    print(made, flush=True)
    time.sleep(60)
"""

HUNGRY = {
    "in Python": "def handler(e, c):\n    return len(bytearray(b'x') * (400 << 20))\n",
    "while its answer is written": "def handler(e, c):\n    return ['x' * 1000] * 3_000_000\n",
    "in C, where nobody looks at what malloc says": """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def handler(event, context):
    while True:
        block = libc.malloc(ctypes.c_size_t(1 << 20))
        ctypes.memset(block or 0, 1, 1 << 20)
""",
}


async def test_a_fork_bomb_takes_nothing_from_its_neighbours(bench: Bench, write: Write) -> None:
    write(BOMB)
    snapshot, watcher, bomb = await bench.up("app.handler")
    (before,) = await births(snapshot, watcher, 1)
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(bomb.invoke(bench.invocation(b"true"), timeout_s=60))
        await watcher.until(lambda: watcher.printed.endswith(b"\n"))
        assert 0 < int(watcher.printed) < bench.spec().pids_max
        (after,) = await births(snapshot, watcher, 1)
        for neighbour in (before, after):
            answer = await neighbour.invoke(bench.invocation(b"false"), timeout_s=5)
            assert answer.payload == b"0"
        call.cancel()
    await watcher.until(lambda: bomb in watcher.died)
    await snapshot.close()


@pytest.mark.parametrize("how", HUNGRY)
async def test_running_out_of_memory_is_told_as_that(bench: Bench, write: Write, how: str) -> None:
    write(HUNGRY[how])
    snapshot, watcher, isolate = await bench.up("app.handler")
    answer = await isolate.invoke(bench.invocation(), timeout_s=20)
    assert answer.error_type == "Runtime.OutOfMemory", answer
    assert json.loads(answer.payload)["errorType"] == "Runtime.OutOfMemory"
    await watcher.until(lambda: isolate in watcher.died)
    await snapshot.close()


async def test_a_crash_with_memory_to_spare_is_a_crash(bench: Bench, write: Write) -> None:
    write("import os\ndef handler(e, c):\n    os.abort()\n")
    # abort() cannot end a pid 1 by its signal, and then takes an instruction that can.
    _, _, isolate = await bench.up("app.handler")
    answer = await isolate.invoke(bench.invocation(), timeout_s=5)
    assert answer.error_type == "Runtime.ExitError"
    assert "signal: " in json.loads(answer.payload)["errorMessage"]


async def test_a_full_tmp_is_no_space_left(bench: Bench, write: Write) -> None:
    write("""
import errno
def handler(event, context):
    block, written = b"x" * (8 << 20), 0
    try:
        with open("/tmp/big", "wb", buffering=0) as big:
            while written <= event:
                written += big.write(block)
    except OSError as error:
        return errno.errorcode[error.errno]
""")
    spec = bench.spec("app.handler", memory_mib=1024)
    watcher = Watcher()
    snapshot = await bench.driver.snapshot(spec, watcher)
    (isolate,) = await births(snapshot, watcher, 1)
    whole = spec.function.settings.tmp_mib << 20
    answer = await isolate.invoke(bench.invocation(str(whole).encode()), timeout_s=20)
    assert answer.payload == b'"ENOSPC"'


async def test_an_exception_that_cannot_be_printed_is_an_answer(bench: Bench, write: Write) -> None:
    write("""
class Mute(Exception):
    def __str__(self):
        raise RuntimeError
def handler(event, context):
    raise Mute
""")
    _, _, isolate = await bench.up("app.handler")
    answer = await isolate.invoke(bench.invocation(), timeout_s=5)
    assert answer.error_type == "Mute"


async def test_one_isolate_of_many_is_gone_with_all_that_it_started(
    bench: Bench, write: Write
) -> None:
    write(BOMB)
    snapshot, watcher, bomb = await bench.up("app.handler")
    answer = await bomb.invoke(bench.invocation(b"true"), timeout_s=0.5)
    assert answer.error_type == "Sandbox.Timedout"
    await watcher.until(lambda: bomb in watcher.died)
    (next_one,) = await births(snapshot, watcher, 1)
    answer = await next_one.invoke(bench.invocation(b"false"), timeout_s=5)
    assert answer.payload == b"0"
