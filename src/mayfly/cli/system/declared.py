"""system.toml: what a system is to have, read strictly; the folder's functions with it.

    [system]     name
    [[bucket]]   [[table]]   [[queue]]   [[schedule]]   [[secret]]   [[function]]

Each kind knows its own keys (`kinds`). What is unknown or wrong is told all at once, each with the
place where it stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from mayfly.cli.failure import USAGE, Failed

FILENAME = "system.toml"
MANIFEST = "mayfly.toml"
KINDS = ("secret", "bucket", "queue", "table", "function", "schedule")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Entry:
    """One table of system.toml, read key by key; what is wrong is noted in `problems`."""

    def __init__(self, where: str, table: Mapping[str, object], problems: list[str]) -> None:
        self.where = where
        self._table = table
        self._problems = problems
        self._known: set[str] = set()

    def problem(self, message: str) -> None:
        """Note that something is wrong here."""
        self._problems.append(f"{FILENAME}: {self.where}: {message}")

    def text(
        self, key: str, *, form: str = r"[^\n]+", must: str = "a text", default: str = ""
    ) -> str:
        """A string of a form; the default when it is missing."""
        found = self._take(key)
        if found is None:
            return default
        if isinstance(found, str) and re.fullmatch(form, found):
            return found
        self.problem(f"{key} must be {must}, not {found!r}")
        return default

    def required(self, key: str, *, form: str = r"[^\n]+", must: str = "a text") -> str:
        """A string that must be there."""
        if key not in self._table:
            self._known.add(key)
            self.problem(f'needs a {key}: write {key} = "..."')
            return ""
        return self.text(key, form=form, must=must)

    def flag(self, key: str) -> bool:
        """True or false; false when it is missing."""
        found = self._take(key)
        if found is None or isinstance(found, bool):
            return bool(found)
        self.problem(f"{key} must be true or false, not {found!r}")
        return False

    def whole(self, key: str, *, low: int, high: int, default: int) -> int:
        """A whole number within bounds."""
        found = self._take(key)
        if found is None:
            return default
        if isinstance(found, int) and not isinstance(found, bool) and low <= found <= high:
            return found
        self.problem(f"{key} must be a whole number from {low} to {high}, not {found!r}")
        return default

    def seconds(self, key: str, *, high: int, default: int) -> int:
        """A duration: 30, "30s", "5m", "12h", "4d"."""
        found = self._take(key)
        if found is None:
            return default
        per = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
        match = re.fullmatch(r"(\d{1,7})([smhd])", found) if isinstance(found, str) else None
        count = int(match[1]) * per[match[2]] if match else found
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= high:
            return count
        self.problem(f'{key} must be a duration such as "30s", at most {high} s, not {found!r}')
        return default

    def texts(self, key: str) -> list[str]:
        """A list of strings, empty when it is missing."""
        found = self._take(key)
        if found is None:
            return []
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
        self.problem(f"{key} must be a list of texts, not {found!r}")
        return []

    def value(self, key: str) -> object:
        """Whatever stands there, or None."""
        return self._take(key)

    def entries(self, key: str) -> list[Entry]:
        """A list of inner tables."""
        found = self._take(key)
        if found is None:
            return []
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            where = f"{self.where}, {key}"
            return [
                Entry(f"{where} {number}", one, self._problems)
                for number, one in enumerate(found, 1)
            ]
        self.problem(f"{key} must be a list of tables, not {found!r}")
        return []

    def finish(self) -> None:
        """Note each key that nobody asked for."""
        for key in self._table:
            if key not in self._known:
                self.problem(f'unknown key "{key}"' + _nearest(key, self._known))

    def _take(self, key: str) -> object:
        self._known.add(key)
        return self._table.get(key)


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a system is to have.

    Args:
        kind: One of KINDS.
        settings: What it is to be like, in the words of system.toml; equal settings are equal
            values, so that a difference is a change.
    """

    kind: str
    name: str
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class System:
    """A folder's declaration, in the order in which it comes about."""

    name: str
    folder: Path
    resources: tuple[Resource, ...]


Reader = Callable[[Entry, Path], Resource]


def read_system(folder: Path, readers: Mapping[str, Reader]) -> System:
    """Read a folder's system.toml and name its functions.

    Raises:
        Failed: It is missing or wrong; all that is wrong stands in the message.
    """
    document = _document(folder)
    problems: list[str] = []
    whole = Entry("at the top", document, problems)
    head = Entry("[system]", _table(document.get("system")), problems)
    name = head.text("name", form=_NAME.pattern, must="letters, digits, dots and dashes")
    head.finish()
    whole.value("system")
    resources: list[Resource] = []
    for kind in KINDS:
        for number, entry in enumerate(whole.entries(kind), 1):
            entry.where = f"[[{kind}]] {number}"
            resources.append(readers[kind](entry, folder))
            entry.finish()
    whole.finish()
    problems += _twice(resources)
    if problems:
        raise Failed("\n        ".join(problems), exit_code=USAGE)
    return System(name or _plain(folder.absolute().name), folder, tuple(resources))


def _document(folder: Path) -> Mapping[str, object]:
    path = folder / FILENAME
    if not path.is_file():
        raise Failed(
            f"{folder} has no {FILENAME}; it declares what the system is to have", exit_code=USAGE
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failed(f"{path} is not TOML: {error}", exit_code=USAGE) from error
    except RecursionError as error:
        raise Failed(f"{path} is nested too deeply", exit_code=USAGE) from error


def _table(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, dict) else {}


def _twice(resources: Collection[Resource]) -> list[str]:
    seen: set[tuple[str, str]] = set()
    found = []
    for one in resources:
        if (one.kind, one.name) in seen:
            found.append(f'{FILENAME}: the {one.kind} "{one.name}" is declared twice')
        seen.add((one.kind, one.name))
    return found


def _nearest(key: str, known: Collection[str]) -> str:
    close = get_close_matches(key, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(sorted(known))}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:64] or "system"
