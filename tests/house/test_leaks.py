"""The leak check itself: a check that never fires promises nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import leaks


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE_S", 0.0)


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """A suite of its own, so that the real one is not blamed."""
    return str(tmp_path)


@pytest.fixture
def forgotten(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a suite started and did not end, in a session of its own."""
    with subprocess.Popen(
        ["sleep", "60"], env={"MAYFLY_SUITE": mark}, start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_a_process_that_was_not_ended_is_named(mark: str) -> None:
    before = leaks.take_census()
    with subprocess.Popen(["sleep", "60"], env={"MAYFLY_SUITE": mark}) as process:
        found = leaks.left_behind(before, mark=mark)
        process.kill()
    assert any(f"process {process.pid} " in one and "sleep 60" in one for one in found)


def test_a_process_that_was_there_before_is_nobodys_leak(
    mark: str, forgotten: subprocess.Popen[bytes]
) -> None:
    before = leaks.take_census()
    found = leaks.left_behind(before, mark=mark)
    assert not any(f"process {forgotten.pid} " in one for one in found)


def test_a_file_left_in_the_suites_folder_is_named(mark: str) -> None:
    before = leaks.take_census()
    (Path(mark) / "left").touch()
    assert f"file {Path(mark) / 'left'}" in leaks.left_behind(before, mark=mark)


def test_a_file_of_ours_left_in_the_temporary_folder_is_named(mark: str) -> None:
    before = leaks.take_census()
    descriptor, name = tempfile.mkstemp(prefix="mayfly-", dir="/var/tmp")
    try:
        assert f"file {name}" in leaks.left_behind(before, mark=mark)
    finally:
        os.close(descriptor)
        Path(name).unlink()
