"""Size and form: a file, a function and a line stay small enough to be read."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 499
FUNCTION_LINES_MAX = 59
LINE_LENGTH_MAX = 100
DOCSTRING_LINES_MIN = 3
DOCSTRING_LINES_MAX = 15
SCREENFUL_LINES = 60


def python_files(*folders: str) -> list[Path]:
    """Our Python files; a user's function under prebuilt/ or demo/ is held to the same bounds."""
    found = [one for folder in folders for one in (ROOT / folder).rglob("*.py")]
    skipped = {".venv-others", ".worktree", "out", "__pycache__"}
    return sorted(one for one in found if not skipped & set(one.parts))


EVERY = python_files("src", "tests", "bench", "demo", "scripts", "examples")
SOURCE = python_files("src")


def name(path: Path) -> str:
    """A path as people say it."""
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_a_file_stays_under_500_lines() -> None:
    sizes = {name(path): len(path.read_text().splitlines()) for path in EVERY}
    long = {path: lines for path, lines in sizes.items() if lines > FILE_LINES_MAX}
    assert not long, f"make each a folder of its name: {long}"


def test_a_function_stays_under_60_lines() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {lines} lines"
        for path in EVERY
        for node in functions(path)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long, "split:\n" + "\n".join(long)


def test_a_line_stays_within_100_characters() -> None:
    long = [
        f"{name(path)}:{number}"
        for path in EVERY
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > LINE_LENGTH_MAX
    ]
    assert not long, "break:\n" + "\n".join(long)


def test_a_module_says_in_3_to_15_lines_what_it_is_for() -> None:
    wrong = [f"{name(path)}: {fault}" for path in SOURCE if (fault := _docstring_fault(path))]
    assert not wrong, "\n".join(wrong)


def _docstring_fault(path: Path) -> str:
    """What is wrong with a module's docstring, "" when nothing is.

    A picture (indented lines) does not count; a package's face, a user's function and a module of
    a screenful may be said in one line.
    """
    text = path.read_text()
    said = ast.get_docstring(ast.parse(text))
    if not said:
        return "says nothing" if text.strip() else ""
    prose = [line for line in said.splitlines() if not line.startswith("  ")]
    if len(prose) > DOCSTRING_LINES_MAX:
        return f"says it in {len(prose)} lines, {DOCSTRING_LINES_MAX} are enough"
    short = path.name == "__init__.py" or "prebuilt" in path.parts
    if len(said.splitlines()) < DOCSTRING_LINES_MIN and not short:
        small = len(text.splitlines()) <= SCREENFUL_LINES
        return "" if small else "say what it is for, what it never does, and its one idea"
    return ""


def test_nothing_is_left_for_later() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    found = [
        f"{name(path)}:{token.start[0]}"
        for path in EVERY
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.COMMENT and any(word in token.string for word in words)
    ]
    assert not found, "file an issue, or do it:\n" + "\n".join(found)
