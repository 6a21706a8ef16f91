"""On which line each key of a TOML document stands: `tomllib` reads values but tells no places.

    locate(text) -> {("function", "memory"): 4, ("trigger", 0, "type"): 9, ...}

Keys of tables, dotted keys, arrays of tables, inline tables and items of arrays all have a place.
The text must have been read by `tomllib` before: nothing is checked here, and a document that is
not TOML gives nonsense. Grammar: https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(
    r"""[ \t]*(?P<part>[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*""", re.VERBOSE
)
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}(?!")|'{3}.*?'{3,5}(?!')|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
# A number, a boolean, a date or a time: the last may hold one space ("1979-05-27 07:32:00").
_BARE = re.compile(r"[^,\]}#\n]*")


def locate(text: str) -> Mapping[Path, int]:
    """The line of every key and item, counted from 1; tables have their header's line."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


def line_of(lines: Mapping[Path, int], path: Sequence[str | int]) -> int:
    """The line of `path`, or of the nearest thing around it; 1 where there is none."""
    place = tuple(path)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


class _Scanner:
    """Walks the text once; `at` is where it stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counted_to = 0
        self._line = 1
        # How many tables of each array of tables were met.
        self._tables: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        self._skip_blank()
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _header(self) -> Path:
        opening = 2 if self.text.startswith("[[", self.at) else 1
        self.at += opening
        path: Path = ()
        *above, last = self._key()
        for part in above:
            path = self._current((*path, part))
        path = (*path, last)
        if opening == 2:
            number = self._tables.get(path, -1) + 1
            self._tables[path] = number
            self._note(path)
            path = (*path, number)
        self._note(path)
        self.at += opening
        return path

    def _current(self, path: Path) -> Path:
        """`path`, or where it is an array of tables, the table of it that is being written."""
        return (*path, self._tables[path]) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        path = table
        line_start = self.at
        for part in self._key():
            path = (*path, part)
            self._note(path, line_start)
        self.at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while match := _KEY_PART.match(self.text, self.at):
            parts.append(_unquoted(match["part"]))
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        if not parts:
            raise ValueError(f"not TOML at character {self.at}")
        return parts

    def _value(self, path: Path) -> None:
        self.at = self._after_spaces()
        if self.text.startswith("[", self.at):
            self._array(path)
        elif self.text.startswith("{", self.at):
            self._inline_table(path)
        else:
            match = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
            assert match is not None, "the second pattern matches everywhere"
            self.at = match.end()

    def _array(self, path: Path) -> None:
        self.at += 1
        number = 0
        while True:
            self._skip_blank()
            if self._closes("]"):
                return
            self._note((*path, number))
            self._value((*path, number))
            number += 1
            self._skip_blank()
            self._pass(",")

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while True:
            self._skip_blank()
            if self._closes("}"):
                return
            self._pair(path)
            self._skip_blank()
            self._pass(",")

    def _closes(self, bracket: str) -> bool:
        if self.at >= len(self.text):
            raise ValueError("not TOML: a bracket is not closed")
        if self.text.startswith(bracket, self.at):
            self.at += 1
            return True
        return False

    def _pass(self, sign: str) -> None:
        if self.text.startswith(sign, self.at):
            self.at += 1

    def _after_spaces(self) -> int:
        at = self.at
        while self.text.startswith((" ", "\t"), at):
            at += 1
        return at

    def _skip_blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        assert match is not None, "the pattern matches everywhere"
        self.at = match.end()

    def _note(self, path: Path, at: int | None = None) -> None:
        """The first place counts: a dotted key names its tables again and again."""
        place = self.at if at is None else at
        if place > self._counted_to:
            self._line += self.text.count("\n", self._counted_to, place)
            self._counted_to = place
        self.lines.setdefault(path, self._line)


def _unquoted(part: str) -> str:
    if part.startswith('"'):
        return str(tomllib.loads(f"key = {part}")["key"])
    return part.removeprefix("'").removesuffix("'")
