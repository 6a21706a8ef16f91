"""What is asked for, judged: from an event, a query, or the function's environment.

Each word may be written in the event or, in capitals, in [function.env] of mayfly.toml, where it
holds for every event that does not say otherwise. A wrong word is an `Unusable` that names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from convert import FITS, FORMATS, SIDE_MAX, Unusable, Wish

Wishes = dict[str, Any]

SIZES_MAX = 12
KEYS = (
    *("format", "formats", "width", "height", "sizes"),
    *("fit", "crop", "quality", "strip", "animate"),
)
_ALIASES = {"jpg": "jpeg", "tif": "tiff"}
_CROP_NUMBERS = 4
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def with_configured(asked: Wishes) -> Wishes:
    """What is asked for, and for the rest what the function's environment asks for."""
    configured = {key: os.environ[key.upper()] for key in KEYS if os.environ.get(key.upper())}
    for alike in (("width", "height", "sizes"), ("format", "formats")):
        if any(key in asked for key in alike):
            configured = {key: value for key, value in configured.items() if key not in alike}
    return configured | asked


def is_several(wishes: Wishes) -> bool:
    """Whether a list was asked for, even of one."""
    return "sizes" in wishes or "formats" in wishes


def parse(wishes: Wishes) -> list[Wish]:
    """Every picture that is wished for: each size in each format.

    Raises:
        Unusable: A word is unknown or its value cannot be used.
    """
    unknown = set(wishes) - set(KEYS)
    if unknown:
        raise Unusable(f"there is no {_listed(unknown)}; there is {_listed(KEYS)}")
    rest: Wishes = {
        "fit": _choice("fit", wishes.get("fit", "inside"), FITS),
        "crop": _crop(wishes.get("crop")),
        "quality": _number("quality", wishes.get("quality", 80), 100),
        "strip": _flag("strip", wishes.get("strip", True)),
        "animate": _flag("animate", wishes.get("animate", True)),
    }
    formats = _list("formats", wishes["formats"]) if "formats" in wishes else None
    made = [
        Wish(format=_format(one), **size, **rest)
        for one in formats or [wishes.get("format") or ""]
        for size in _sizes(wishes)
    ]
    if len(made) > SIZES_MAX:
        raise Unusable(f"{len(made)} pictures are too many for one call: at most {SIZES_MAX}")
    return made


def _sizes(wishes: Wishes) -> list[Wishes]:
    if "sizes" not in wishes:
        return [{"width": _side(wishes, "width"), "height": _side(wishes, "height")}]
    return [_size(one) for one in _list("sizes", wishes["sizes"])]


def _list(key: str, value: object) -> list[Any]:
    items = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(items, list) or not 0 < len(items) <= SIZES_MAX:
        what = "widths" if key == "sizes" else "names"
        raise Unusable(f"{key} must be a list of 1 to {SIZES_MAX} {what}")
    return items


def _size(size: object) -> Wishes:
    """One of `sizes`: a width, "WIDTHxHEIGHT", or {"width": ..., "height": ...}."""
    if isinstance(size, dict):
        return {"width": _side(size, "width"), "height": _side(size, "height")}
    width, by, height = str(size).partition("x")
    if by:
        return {key: _number("sizes", v, SIDE_MAX) for key, v in _pairs(width, height) if v}
    return {"width": _number("sizes", size, SIDE_MAX)}


def _pairs(width: str, height: str) -> Iterable[tuple[str, str]]:
    if not width and not height:
        raise Unusable('sizes must hold widths or "WIDTHxHEIGHT", not "x"')
    return (("width", width), ("height", height))


def _side(wishes: Mapping[str, Any], key: str) -> int | None:
    return None if wishes.get(key) is None else _number(key, wishes[key], SIDE_MAX)


def _crop(value: object) -> tuple[int, int, int, int] | None:
    """A text "x,y,width,height", a list of the four, or an object with them."""
    if value is None:
        return None
    if isinstance(value, dict):
        value = [value.get(key) for key in ("x", "y", "width", "height")]
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != _CROP_NUMBERS:
        raise Unusable(f"crop must be x, y, width and height in pixels, not {value!r}")
    x, y = (_number("crop", one, SIDE_MAX * 4, least=0) for one in parts[:2])
    width, height = (_number("crop", one, SIDE_MAX * 4) for one in parts[2:])
    return x, y, width, height


def _number(key: str, value: Any, most: int, *, least: int = 1) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if isinstance(value, bool | float) or not least <= number <= most:
        raise Unusable(f"{key} must be a whole number from {least} to {most}, not {value!r}")
    return number


def _format(value: object) -> str:
    return _choice("format", _ALIASES.get(str(value).lower(), value), FORMATS) if value else ""


def _choice(key: str, value: Any, choices: Sequence[str]) -> str:
    if str(value).lower() not in choices:
        raise Unusable(f"{key} must be one of {', '.join(choices)}, not {value!r}")
    return str(value).lower()


def _flag(key: str, value: object) -> bool:
    if str(value).lower() not in _FLAGS:
        raise Unusable(f"{key} must be true or false, not {value!r}")
    return _FLAGS[str(value).lower()]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
