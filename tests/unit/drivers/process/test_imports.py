"""How an import can end, and what its caller is told each time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mayfly.drivers.process.driver import DriverLimits
from mayfly.testing.ids import SeededIds
from tests.support.bench import Bench, Watcher
from tests.support.platform import RUNTIME
from tests.support.process_driver import kill_snapshot, process_driver

Write = Callable[[str], None]


async def _failure(bench: Bench) -> tuple[str, str]:
    snapshot = await bench.driver.snapshot(bench.spec("app.handler"), Watcher())
    failure = snapshot.facts.failure
    await snapshot.close()
    assert failure is not None
    document = json.loads(failure.payload)
    assert document["errorType"] == failure.error_type
    return failure.error_type, document["errorMessage"]


async def test_an_import_that_exits_is_told_with_its_status_every_time(
    bench: Bench, write: Write
) -> None:
    """Its death shows in two places at once; whichever the daemon sees first, it knows."""
    write("import os\nos._exit(5)\n")
    for _ in range(40):
        error_type, message = await _failure(bench)
        assert error_type == "Runtime.ExitError"
        assert "exit status 5" in message


@pytest.mark.parametrize(
    ("source", "error_type", "words"),
    [
        ("import sys\nsys.exit(4)\n", "Runtime.ExitError", "exit status 4"),
        ("import sys\nsys.exit('sorry')\n", "Runtime.ExitError", "exit status 1"),
        ("import os, signal\nos.kill(os.getpid(), 11)\n", "Runtime.ExitError", "segmentation"),
        ("import os\nos.closerange(0, 4096)\n", "Runtime.ExitError", "Runtime exited"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt", ""),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "module 'app'"),
        ("import nowhere\n", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("1 / 0\n", "ZeroDivisionError", "division by zero"),
        ("x = '\\ud800'\nraise ValueError(x)\n", "ValueError", ""),
    ],
)
async def test_a_failed_import_is_told_as_lambda_does(
    bench: Bench, write: Write, source: str, error_type: str, words: str
) -> None:
    write(source)
    found, message = await _failure(bench)
    assert found == error_type
    assert words in message


async def test_an_import_that_takes_too_much_memory_ends_and_is_told(
    task: Path, write: Write
) -> None:
    write("held = bytearray(b'x') * (400 << 20)\n")
    async with process_driver(limits=DriverLimits(parked_memory_mib=64)) as driver:
        error_type, _ = await _failure(Bench(driver, task, RUNTIME, kill_snapshot, SeededIds(1)))
    # The kernel kills a snapshot over its cgroup's limit, and refuses one over its data limit.
    assert error_type in ("Runtime.OutOfMemory", "Runtime.ExitError")


async def test_an_import_that_hangs_ends_at_its_bound(bench: Bench, write: Write) -> None:
    write("import time\ntime.sleep(60)\n")
    spec = dataclasses.replace(bench.spec("app.handler"), init_timeout_s=0.3)
    snapshot = await bench.driver.snapshot(spec, Watcher())
    failure = snapshot.facts.failure
    assert failure is not None
    assert failure.error_type == "Sandbox.Timedout"
    await snapshot.close()
