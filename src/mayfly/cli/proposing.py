"""Edits of a mayfly.toml: a few keys change, every other line and comment stays as it is.

It works on lines, finds a key by its table's header, and reads its own result back: where the file
is written in a way that it does not follow, it says so and changes nothing.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence

from mayfly.cli.failure import Failed

Value = int | str | Sequence[str]
# By table, by key; None takes the key away.
Edits = Mapping[str, Mapping[str, Value | None]]

_HEADER = re.compile(r"\s*\[")
_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*')


def edited(text: str, edits: Edits) -> str:
    """The manifest with these keys changed.

    Raises:
        Failed: The file is no TOML, or is written in a way that is not followed here.
    """
    before = _parsed(text)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for table, keys in edits.items():
        for key, value in keys.items():
            if before.get(table, {}).get(key) != value:
                lines = _with_key(lines, table, key, value)
    after = "".join(lines)
    if not _says(after, _expected(before, edits)):
        raise Failed(
            "this mayfly.toml is written in a way that is not followed; write it by hand:",
            detail=_by_hand(edits),
        )
    return after


def difference(before: str, after: str, name: str) -> str:
    """The change as a unified diff, "" where there is none."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


def _with_key(lines: list[str], table: str, key: str, value: Value | None) -> list[str]:
    begin, end = _span(lines, table)
    new = [] if value is None else [_written(key, value) + "\n"]
    if begin < 0:
        head = ["\n"] if lines and lines[-1].strip() else []
        return [*lines, *head, f"[{table}]\n", *new] if new else lines
    at = next((n for n in range(begin, end) if _is_key(lines[n], key)), None)
    if at is not None:
        return [*lines[:at], *new, *lines[_value_end(lines, at) :]]
    while end > begin and not lines[end - 1].strip():
        end -= 1
    return [*lines[:end], *new, *lines[end:]]


def _by_hand(edits: Edits) -> str:
    lines = []
    for table, keys in edits.items():
        lines.append(f"[{table}]")
        lines += [
            f"# without {key}" if value is None else _written(key, value)
            for key, value in keys.items()
        ]
    return "\n".join(lines)


def _span(lines: Sequence[str], table: str) -> tuple[int, int]:
    """The lines below a table's header, as far as the next header; -1 where it has none."""
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?$")
    begin = next((n + 1 for n, line in enumerate(lines) if header.match(line)), -1)
    end = begin
    while 0 <= end < len(lines) and not _HEADER.match(lines[end]):
        end = _value_end(lines, end)
    return begin, end


def _is_key(line: str, key: str) -> bool:
    return re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line) is not None


def _value_end(lines: Sequence[str], at: int) -> int:
    """After the last line of the value that begins here; an array may take several."""
    depth = 0
    for number in range(at, len(lines)):
        bare = _STRINGS.sub("", lines[number])
        depth += bare.count("[") - bare.count("]")
        if depth <= 0:
            return number + 1
    return len(lines)


def _written(key: str, value: Value) -> str:
    # A string of JSON is one of TOML (a basic string).
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _parsed(text: str) -> dict[str, dict[str, object]]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"mayfly.toml cannot be read: {error}") from error


def _says(text: str, wanted: Mapping[str, object]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _expected(before: Mapping[str, Mapping[str, object]], edits: Edits) -> dict[str, object]:
    wanted: dict[str, object] = dict(before)
    for table, keys in edits.items():
        content = {**before.get(table, {}), **keys}
        left = {key: value for key, value in content.items() if value is not None}
        if left or table in before:
            wanted[table] = left
    return wanted
