"""Typed looks into JSON that came over the wire, so that nothing untyped goes further."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

Document = Mapping[str, object]


def parse(data: bytes | str) -> Document:
    """A JSON object.

    Raises:
        ValueError: Not JSON, or not an object.
    """
    value: object = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("a JSON object was expected")  # noqa: TRY004  callers catch one kind
    return cast(Document, value)


def text(document: Document, key: str, default: str = "") -> str:
    """A string, or the default when it is missing or null; other values are written out."""
    value = document.get(key)
    return default if value is None else str(value)


def number(document: Document, key: str, default: float = 0) -> float:
    """A number, or the default."""
    value = document.get(key)
    return value if isinstance(value, int | float) else default


def number_or_none(document: Document, key: str) -> float | None:
    """A number, or None when it is missing or null."""
    value = document.get(key)
    return value if isinstance(value, int | float) else None


def part(document: Document, key: str) -> Document:
    """An inner object, or an empty one."""
    value = document.get(key)
    return cast(Document, value) if isinstance(value, dict) else {}


def parts(document: Document, key: str) -> Sequence[Document]:
    """The objects of an inner list."""
    return [cast(Document, one) for one in _list(document, key) if isinstance(one, dict)]


def texts(document: Document, key: str) -> Sequence[str]:
    """The values of an inner list as strings."""
    return [str(one) for one in _list(document, key)]


def _list(document: Document, key: str) -> Sequence[object]:
    value = document.get(key)
    return cast(Sequence[object], value) if isinstance(value, list) else ()
