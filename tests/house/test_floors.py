"""The floors: an import only ever goes down, and the contracts cover every room that there is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.test_size import ROOT

PACKAGE = ROOT / "src" / "mayfly"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
# The rooms that may touch libc, or that only wire others together.
FREE_OF_LIBC_RULE = {"daemon", "guest", "drivers", "testing", "prebuilt", "telemetry", "config"}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [sys.executable, program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def _contract(title: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = next(one for one in CONTRACTS if one["name"] == title)
    return found


def _rooms(folder: Path) -> set[str]:
    return {
        one.stem
        for one in folder.iterdir()
        if one.suffix == ".py" or (one.is_dir() and any(one.glob("*.py")))
    } - {"__init__"}


def test_every_import_goes_down() -> None:
    ended = _lint(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("title", "room", "key"),
    [
        ("Drivers do not know each other", "drivers", "modules"),
        ("Backends do not know each other", "backends", "modules"),
    ],
)
def test_siblings_are_kept_apart_by_a_contract_that_names_each(
    title: str, room: str, key: str
) -> None:
    folders = {
        f"mayfly.{room}.{one.name}"
        for one in (PACKAGE / room).iterdir()
        if one.is_dir() and any(one.glob("*.py"))
    }
    assert folders <= set(_contract(title)[key])


def test_the_rule_about_libc_names_every_room_but_the_drivers() -> None:
    named = {
        one.removeprefix("mayfly.")
        for one in _contract("Only one room touches libc")["source_modules"]
    }
    assert _rooms(PACKAGE) - FREE_OF_LIBC_RULE <= named


def test_the_guest_imports_nothing_of_ours() -> None:
    forbidden = set(
        _contract("The guest stands alone: it is copied into images")["forbidden_modules"]
    )
    others = {f"mayfly.{one}" for one in _rooms(PACKAGE) - {"guest", "testing", "prebuilt"}}
    assert others <= forbidden


def test_only_the_syscalls_rooms_import_ctypes() -> None:
    allowed = {"syscalls.py", "bootstrap.py"}
    users = {
        one.name
        for one in PACKAGE.rglob("*.py")
        if "import ctypes" in one.read_text() and "prebuilt" not in one.parts
    }
    assert users <= allowed
