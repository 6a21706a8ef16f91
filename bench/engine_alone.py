"""The engine's own part: an event written to a parked isolate until its result is read.

No HTTP, no admission, no pool: the driver's `Isolate.invoke`, once for each fresh isolate. It is
what the whole path of (a) can at best become.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.series import EVENT, HANDLER, Effort, Measured, run_alone
from mayfly.drivers.process.driver import ProcessDriver
from mayfly.model.errors import MayflyError
from mayfly.model.function import Code, Function, Settings
from mayfly.model.invocation import Invocation
from mayfly.ports import Isolate, RuntimeInfo, SnapshotSpec

RUNTIME = f"python3.{sys.version_info.minor}"
WHAT = "the engine alone: event written to result read"
ROUNDS = 1_500


class RealClock:
    """The port Clock over the machine's clocks."""

    def now_ms(self) -> float:
        """Unix milliseconds."""
        return time.time() * 1000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Cradle:
    """A nursery that hands out isolates as they park."""

    def __init__(self) -> None:
        self.parked: asyncio.Queue[Isolate] = asyncio.Queue()

    def isolate_parked(self, isolate: Isolate) -> None:
        """A new one is ready."""
        self.parked.put_nowait(isolate)

    def isolate_output(self, isolate: Isolate, data: bytes) -> None:
        """Output is not measured."""

    def isolate_died(self, isolate: Isolate) -> None:
        """Death is not measured."""

    def snapshot_output(self, data: bytes) -> None:
        """Output is not measured."""

    def snapshot_died(self, reason: str) -> None:
        """Shown, for then the series hangs."""
        print(f"the snapshot died: {reason}", file=sys.stderr)


def measure(effort: Effort) -> list[Measured]:
    """The series, or why not."""
    folder = Path(tempfile.mkdtemp(prefix="mayfly-bench-"))
    try:
        runtime = RuntimeInfo(RUNTIME, Path(sys.executable).resolve(), sys.version.split()[0])
        samples = asyncio.run(_measure(folder, min(ROUNDS, effort.calls), runtime))
    except MayflyError as failed:
        return [Measured("a", WHAT, missing=failed.message)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [Measured("a", WHAT, samples)]


async def _measure(folder: Path, rounds: int, runtime: RuntimeInfo) -> list[int]:
    code = folder / "code"
    code.mkdir()
    (code / "app.py").write_text(HANDLER)
    (folder / "runtimes").mkdir()
    driver = ProcessDriver(
        runtimes={RUNTIME: runtime}, folder=folder / "runtimes", tag="bench", clock=RealClock()
    )
    function = Function("bench", Code("0" * 64, 1), Settings("app.handler", RUNTIME), "revision", 0)
    cradle = Cradle()
    snapshot = await driver.snapshot(
        SnapshotSpec("bench0000001", function, code, None, {"_HANDLER": "app.handler"}, 10.0, 256),
        cradle,
    )
    samples: list[int] = []
    try:
        for number in range(rounds):
            snapshot.birth(1)
            isolate = await asyncio.wait_for(cradle.parked.get(), 10)
            await asyncio.sleep(0.001)
            call = Invocation(f"request-{number:08}", function, EVENT, function.arn)
            start = time.perf_counter_ns()
            answer = await isolate.invoke(call, timeout_s=3.0)
            samples.append((time.perf_counter_ns() - start) // 1_000)
            assert answer.payload, answer
    finally:
        await snapshot.close()
        await driver.close()
    return samples


if __name__ == "__main__":
    run_alone(measure)
