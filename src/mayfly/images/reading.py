"""Reads the values of a TOML document by type; whatever is wrong is collected, with its line.

A reader asks for each value that it knows; a wrong one becomes a problem and its default. So one
pass finds all problems, and the author sees them together:

    mayfly.toml:4: unknown key "memroy" in [function]; did you mean "memory"?
    mayfly.toml:7: timeout must be "10s", "1m" or whole seconds, from 1 s to 900 s, not "soon"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from mayfly.images.positions import line_of, locate
from mayfly.model.errors import InvalidManifest

Place = tuple[str | int, ...]

E = TypeVar("E", bound=StrEnum)

_PROBLEMS_MAX = 20
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_SECONDS_PER = {"s": 1, "m": 60}
_DURATION = re.compile(r"(\d{1,9})(s|m)")


class Reading:
    """One document being read.

    Raises:
        InvalidManifest: It is not TOML.
    """

    def __init__(self, text: str, filename: str) -> None:
        self._filename = filename
        self._problems: list[tuple[int, str]] = []
        text = text.removeprefix("\ufeff")
        try:
            self.document: Mapping[str, object] = tomllib.loads(text)
            self._lines = locate(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidManifest(self._syntax_error(text, str(error))) from error
        except RecursionError as error:
            raise InvalidManifest(f"{filename}:1: is nested too deeply") from error

    def line(self, place: Place) -> int:
        """The line on which a key or item stands, or what is around it."""
        return line_of(self._lines, place)

    def problem(self, place: Place, message: str) -> None:
        """Note that something is wrong at `place`."""
        self._problems.append((self.line(place), message))

    def finish(self) -> None:
        """Raise InvalidManifest with all problems by line, when there are any."""
        if not self._problems:
            return
        found = sorted(self._problems)
        told = [f"{self._filename}:{line}: {message}" for line, message in found[:_PROBLEMS_MAX]]
        if len(found) > _PROBLEMS_MAX:
            told.append(f"... and {len(found) - _PROBLEMS_MAX} more")
        raise InvalidManifest("\n".join(told))

    def table(self, place: Place, known: Collection[str] | None = None) -> Mapping[str, object]:
        """The table at `place`, empty when it is absent; keys not among `known` are problems."""
        found = self.value(place)
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.problem(place, f"{_name(place)} must be a table: write [{_dotted(place)}]")
            return {}
        for key in found:
            if known is not None and key not in known:
                self.problem((*place, key), _unknown(key, place, known))
        return found

    def value(self, place: Place) -> object:
        """What stands at `place`, or None."""
        found: object = self.document
        for part in place:
            if isinstance(found, dict) and part in found:
                found = found[str(part)]
            elif isinstance(found, list) and isinstance(part, int):
                found = found[part]
            else:
                return None
        return found

    def text(self, place: Place, *, form: str, must: str, default: str = "") -> str:
        """A string that matches the pattern `form` whole; `must` says so to a person."""
        found = self.value(place)
        if found is None:
            return default
        if isinstance(found, str) and re.fullmatch(form, found):
            return found
        self.problem(place, f"{_name(place)} must be {must}, not {shown(found)}")
        return default

    def whole(self, place: Place, *, bounds: tuple[int, int], unit: str, default: int) -> int:
        """A whole number within `bounds`, both included."""
        found = self.value(place)
        low, high = bounds
        if found is None:
            return default
        if isinstance(found, int) and not isinstance(found, bool) and low <= found <= high:
            return found
        must = f"a whole number{unit} from {low} to {high}"
        self.problem(place, f"{_name(place)} must be {must}, not {shown(found)}")
        return default

    def seconds(self, place: Place, *, bounds: tuple[int, int], default: int) -> int:
        """A duration: "10s", "1m", or whole seconds."""
        found = self.value(place)
        low, high = bounds
        if found is None:
            return default
        match = _DURATION.fullmatch(found) if isinstance(found, str) else None
        seconds = int(match[1]) * _SECONDS_PER[match[2]] if match else found
        if isinstance(seconds, int) and not isinstance(seconds, bool) and low <= seconds <= high:
            return seconds
        must = f'"10s", "1m" or whole seconds, from {low} s to {high} s'
        self.problem(place, f"{_name(place)} must be {must}, not {shown(found)}")
        return default

    def choice(self, place: Place, kinds: type[E], default: E) -> E:
        """One of an enumeration's values."""
        found = self.value(place)
        if found is None:
            return default
        names = [kind.value for kind in kinds]
        if isinstance(found, str) and found in names:
            return kinds(found)
        message = f"{_name(place)} must be {either(names)}, not {shown(found)}"
        self.problem(place, message + suggested(str(found), names))
        return default

    def truth(self, place: Place) -> bool | None:
        """True, false, or None when it is absent."""
        found = self.value(place)
        if found is None or isinstance(found, bool):
            return found
        self.problem(place, f"{_name(place)} must be true or false, not {shown(found)}")
        return None

    def texts(self, place: Place) -> list[tuple[Place, str]]:
        """A list of strings, each with its place."""
        found = self.value(place)
        if found is None:
            return []
        if not isinstance(found, list):
            self.problem(place, f"{_name(place)} must be a list of strings, not {shown(found)}")
            return []
        items: list[tuple[Place, str]] = []
        for number, item in enumerate(found):
            if isinstance(item, str):
                items.append(((*place, number), item))
            else:
                message = f"{_name(place)} must hold strings only, not {shown(item)}"
                self.problem((*place, number), message)
        return items

    def _syntax_error(self, text: str, said: str) -> str:
        match = _TOML_PLACE.search(said)
        last = text.count("\n") + 1
        line = int(match[1]) if match and match[1] else last
        what = _TOML_PLACE.sub("", said)
        return f"{self._filename}:{line}: is not TOML: {what[:1].lower()}{what[1:]}"


def suggested(written: str, known: Collection[str]) -> str:
    """The end of a message about a wrong word: the nearest right one, or ""."""
    near = get_close_matches(written.lower(), {name.lower(): name for name in known}, n=1)
    original = next((name for name in known if near and name.lower() == near[0]), None)
    return f'; did you mean "{original}"?' if original else ""


def either(names: Collection[str]) -> str:
    """The names in quotes, as a person lists them."""
    *most, last = [f'"{name}"' for name in names]
    return f"{', '.join(most)} or {last}" if most else last


def shown(value: object) -> str:
    """A value as it stands in TOML, cut short."""
    match value:
        case str():
            return f'"{value[:60]}"'
        case bool():
            return str(value).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return str(value)[:60]


def _unknown(key: str, place: Place, known: Collection[str]) -> str:
    where = f" in [{_dotted(place)}]" if place else ""
    near = suggested(key, known)
    return f'unknown key "{key}"{where}' + (near or f"; known are {', '.join(known)}")


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place if not isinstance(part, int))


def _name(place: Place) -> str:
    """What a message calls the value: its own key, without its table's."""
    return str(next(part for part in reversed(place) if not isinstance(part, int)))
