"""Texts with places to fill: `${key}`, `${new.price}`, `${body.items.0.name:-none}`; `$$` is "$".

A path goes into objects by name and into lists by number; what is not there is the default after
":-", or nothing. Only values are filled in: a value is never read as a template itself, nothing is
computed, and no attribute of a Python object can be named.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PLACE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<path>[^{}:]+)(?::-(?P<default>[^{}]*))?\})")
_FOLDER = Path(__file__).parent
_TITLE_DEFAULT = "${summary}"
_TEXT_DEFAULT = "file:templates/text.txt"


def fill(template: str, fields: Mapping[str, Any], quoted: Callable[[str], str] = str) -> str:
    """The template with its places filled.

    Args:
        quoted: What is done with each value, so that it fits where it stands.
    """

    def filled(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        found = _look(fields, match["path"].strip())
        if found is None:
            return quoted(match["default"] or "")
        shown = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return quoted(shown)

    return _PLACE.sub(filled, template)


def fill_json(template: str, fields: Mapping[str, Any]) -> Any:
    """A JSON template filled: a string that is one place becomes its value, whatever it is.

    Raises:
        ValueError: The template is not JSON.
    """
    return _filled_in(json.loads(template), fields)


def _filled_in(node: Any, fields: Mapping[str, Any]) -> Any:
    match node:
        case dict():
            return {fill(key, fields): _filled_in(value, fields) for key, value in node.items()}
        case list():
            return [_filled_in(one, fields) for one in node]
        case str():
            whole = _PLACE.fullmatch(node)
            if whole and whole["path"]:
                found = _look(fields, whole["path"].strip())
                return whole["default"] if found is None else found
            return fill(node, fields)
        case _:
            return node


def _look(fields: Any, path: str) -> Any:
    found = fields
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


@dataclass(frozen=True)
class Templates:
    """The texts of this function: a title, a text, and the webhook's body or None for its own."""

    title: str
    text: str
    body: str | None

    @classmethod
    def configured(cls) -> Templates:
        """From TITLE, TEXT and BODY: a text, or `file:` and a path in this folder.

        Raises:
            ValueError: A file is missing or lies elsewhere, or BODY is not JSON.
        """
        body = os.environ.get("BODY")
        made = cls(
            title=_read(os.environ.get("TITLE") or _TITLE_DEFAULT),
            text=_read(os.environ.get("TEXT") or _TEXT_DEFAULT),
            body=_read(body) if body else None,
        )
        if made.body is not None:
            json.loads(made.body)
        return made


def _read(written: str) -> str:
    if not written.startswith("file:"):
        return written
    path = (_FOLDER / written.removeprefix("file:")).resolve()
    if not path.is_relative_to(_FOLDER.resolve()) or not path.is_file():
        raise ValueError(f"{written}: there is no such file in the function's folder")
    return path.read_text(encoding="utf-8").rstrip("\n")
