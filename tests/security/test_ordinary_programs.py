"""What ordinary programs need works inside the seal; what does not is told plainly."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.security.sandbox import Sandbox, sandbox
from tests.support.needs import need

SOURCE = Path(__file__).with_name("programs.py").read_text()
PROGRAMS = [
    "json_and_friends",
    "asyncio_with_a_subprocess",
    "subprocesses",
    "processes_and_pipes",
    "a_pool_and_shared_memory",
    "threads",
    "sqlite",
    "tls",
    "archives",
    "temporary_files",
    "signals_and_timers",
    "event_loops",
    "times_and_numbers",
    "the_machine",
    "foreign_functions",
]
PACKAGES = {"images": ["PIL", "pillow.libs"], "numbers": ["numpy", "numpy.libs"]}


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    # Where no cgroup counts memory, what numpy's libraries reserve counts as if it were used.
    async with sandbox(tmp_path, SOURCE, memory_mib=512) as one:
        yield one


@pytest.mark.parametrize("program", PROGRAMS)
async def test_what_ordinary_programs_need_works(program: str, box: Sandbox) -> None:
    assert await box.call(program) is True


@pytest.mark.parametrize("program", list(PACKAGES))
async def test_packages_with_libraries_of_their_own_work(program: str, box: Sandbox) -> None:
    name, *_ = PACKAGES[program]
    found = importlib.util.find_spec(name)
    need(found is not None, f"the package {name}")
    assert found is not None
    assert found.origin is not None
    site = Path(found.origin).parents[1]
    for folder in PACKAGES[program]:
        if (site / folder).is_dir():
            shutil.copytree(site / folder, box.bench.code_path / folder)
    assert await box.call(program) is True
