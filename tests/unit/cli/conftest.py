"""A fake platform, and the command line called in this process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mayfly.cli import main
from tests.unit.cli.fake_platform import FakePlatform, run_fake_platform


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakePlatform]:
    """A fake platform."""
    with run_fake_platform(tmp_path / "data") as running:
        yield running


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs the command line; stdin is empty unless given."""

    def run(*words: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main.run(words)
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run
