"""The real driver on a bench, with code that a test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mayfly.testing.ids import SeededIds
from tests.support.bench import Bench
from tests.support.platform import RUNTIME
from tests.support.process_driver import kill_snapshot, process_driver


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """The function's folder."""
    folder = tmp_path / "task"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def write(task: Path) -> Callable[[str], None]:
    """Write the function's app.py."""

    def to_app(source: str) -> None:
        (task / "app.py").write_text(source)

    return to_app


@pytest.fixture
async def bench(task: Path) -> AsyncIterator[Bench]:
    """The driver `process`, run as the suite's user."""
    async with process_driver() as driver:
        yield Bench(driver, task, RUNTIME, kill_snapshot, SeededIds(1))
