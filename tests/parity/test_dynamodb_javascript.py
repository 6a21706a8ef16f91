"""AWS's SDK for JavaScript v3, unmodified, does an application's round with tables and streams."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.needs import need, need_command
from tests.support.platform import Platform

PROGRAMS = Path(__file__).parent / "javascript"
INSTALL_S, RUN_S = 100, 60


@pytest.fixture
def javascript(pytestconfig: pytest.Config) -> Path:
    """A folder with the programs and the SDK, which is installed once for each version of it."""
    npm = need_command("npm")
    assert pytestconfig.cache is not None
    folder = Path(pytestconfig.cache.mkdir("javascript"))
    for program in PROGRAMS.iterdir():
        if program.name != "package.json":
            shutil.copy(program, folder)
    wanted = (PROGRAMS / "package.json").read_text()
    ready = folder / "package.installed.json"
    if ready.exists() and ready.read_text() == wanted:
        return folder
    (folder / "package.json").write_text(wanted)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    need(ended.returncode == 0, f"a registry that npm reaches: {ended.stderr[-500:]}")
    ready.write_text(wanted)
    return folder


def test_an_application_in_javascript_works(platform: Platform, javascript: Path) -> None:
    node = need_command("node")
    ended = subprocess.run(
        [node, "tables.mjs", platform.new_name("js")],
        cwd=javascript,
        env=platform.environment,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert ended.stdout == "all well\n", ended.stderr
    assert ended.returncode == 0
