"""Names: nouns for things, one word an idea, and no file that could hold anything."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.test_size import EVERY, ROOT, SOURCE, name

BANNED = {"utils", "helpers", "common", "base", "manager", "misc", "service", "handler"}
# AWS's spellings stay in api/: there, a "service" is botocore's.
AWS_WORDS = {"service"}
# A user's function is called as its user calls it.
USERS = {"prebuilt", "demo", "examples"}
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"
WORDS = (
    *("function", "version", "alias", "layer", "image", "snapshot", "isolate", "driver"),
    *("invocation", "outcome", "event", "source", "mapping", "destination", "backlog"),
    *("grant", "node"),
)


def words(identifier: str) -> set[str]:
    """The words of a snake_case or CamelCase name, singular and plural as written."""
    return {one.lower() for one in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    empty = [
        name(path)
        for path in EVERY
        for part in path.relative_to(ROOT).parts
        if words(part.removesuffix(".py")) & BANNED and not USERS & set(path.parts)
    ]
    assert not empty, f"what are they for? {empty}"


def test_no_class_has_a_name_that_says_nothing() -> None:
    empty = [
        f"{name(path)}: {node.name}"
        for path in SOURCE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and words(node.name) & (BANNED - AWS_WORDS if "api" in path.parts else BANNED)
        and not USERS & set(path.parts)
    ]
    assert not empty, f"what are they? {empty}"


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_field_is_in_the_glossary(word: str) -> None:
    assert re.search(rf"^\*\*{word}\*\*", GLOSSARY.read_text(), re.MULTILINE | re.IGNORECASE)
