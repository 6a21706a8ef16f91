"""What a test needs of the machine: without it, skipped at home and failed in CI.

A suite that quietly skips in CI promises what nobody checked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI") == "true"


def need(present: bool, what: str) -> None:
    """Go on when `present`; else skip at home and fail in CI, naming `what` is missing."""
    if present:
        return
    if IN_CI:
        pytest.fail(f"this machine lacks what the test needs: {what}", pytrace=False)
    pytest.skip(f"needs {what}")


def need_command(name: str) -> str:
    """The path of a program, or a skip."""
    path = shutil.which(name)
    need(path is not None, f"the program {name}")
    assert path is not None
    return path


def need_root() -> None:
    """Go on when this is root: only root can become another user."""
    need(os.geteuid() == 0, "root, to become another user")


def need_package_index(python: Path) -> None:
    """Go on when pip reaches an index; `python` is an interpreter with pip."""
    asked = subprocess.run(
        [python, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "click"],
        capture_output=True,
        check=False,
        timeout=90,
    )
    need(asked.returncode == 0, "a package index that pip can reach")
