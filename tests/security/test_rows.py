"""Each row of the escape list is tried by a test that is there, and the page says no more."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

from tests.security import probes, rows, test_escapes_as_a_user

TESTS = Path(__file__).resolve().parents[1]


@lru_cache
def _tests_of(file: str) -> frozenset[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


def test_each_row_is_tried() -> None:
    by_probes = {one.row for one in [*probes.PROBES, *probes.ISOLATES_ONLY]}
    by_tests = {one.row for one in rows.ELSEWHERE}
    assert by_probes | by_tests == set(rows.ROWS) == set(range(1, 49))


def test_names_of_probes_are_unique() -> None:
    names = [(one.row, one.name) for one in [*probes.PROBES, *probes.ISOLATES_ONLY]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("one", rows.ELSEWHERE, ids=lambda one: f"{one.row}-{one.tried[:40]}")
def test_a_test_that_is_named_is_there_and_holds_the_words(one: rows.Elsewhere) -> None:
    file, _, name = one.test.partition("::")
    assert name in _tests_of(file)
    for word in re.findall(r"`([^`]+)`", one.ends):
        assert word in (TESTS / file).read_text()


def test_who_is_said_to_try_as_an_ordinary_user_does() -> None:
    parts = {part.removeprefix("tests/") for part in test_escapes_as_a_user.PARTS}
    assert "security/test_escapes.py" in parts
    assert "an ordinary user" in (TESTS / "security/test_doors.py").read_text()
    assert "test_driver.py" in (TESTS / "contracts/test_driver_as_a_user.py").read_text()
