"""The real driver `process` for tests, with cgroups and a runtime's tree that the suite shares.

    async with process_driver() as driver:
        snapshot = await driver.snapshot(...)

The tree of a runtime is built once for the whole suite, as it is content-addressed and read-only.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from mayfly.daemon.world import RealClock
from mayfly.drivers.process.driver import DriverLimits, ProcessDriver
from mayfly.ports import RuntimeInfo, Snapshot
from tests.support.needs import need
from tests.support.platform import RUNTIME
from tests.support.unprivileged import user_namespaces

_numbers = count()


def this_runtime() -> Mapping[str, RuntimeInfo]:
    """The interpreter that runs the suite, as a runtime."""
    executable = Path(sys.executable).resolve()
    return {RUNTIME: RuntimeInfo(RUNTIME, executable, RUNTIME.removeprefix("python"))}


def runtimes_folder() -> Path:
    """Where the suite keeps runtimes' trees; its sandboxes' uids pass through to them."""
    folder = Path(os.environ["MAYFLY_SUITE"], "runtimes")
    folder.mkdir(mode=0o755, exist_ok=True)
    return folder


def new_tag() -> str:
    """A name for cgroups that no other driver of this machine has."""
    return f"t{os.getpid()}n{next(_numbers)}"


def kill_snapshot(snapshot: Snapshot) -> None:
    """As an operator would."""
    os.kill(snapshot.facts.pid, signal.SIGKILL)


@asynccontextmanager
async def process_driver(
    *,
    runtimes: Mapping[str, RuntimeInfo] | None = None,
    folder: Path | None = None,
    tag: str | None = None,
    limits: DriverLimits | None = None,
) -> AsyncIterator[ProcessDriver]:
    """A driver for as long as the block runs; needs user namespaces when this is no root."""
    need(os.geteuid() == 0 or user_namespaces(), "user namespaces for ordinary users")
    driver = ProcessDriver(
        runtimes=this_runtime() if runtimes is None else runtimes,
        folder=runtimes_folder() if folder is None else folder,
        tag=tag or new_tag(),
        clock=RealClock(),
        driver_limits=limits,
    )
    try:
        yield driver
    finally:
        await driver.close()
