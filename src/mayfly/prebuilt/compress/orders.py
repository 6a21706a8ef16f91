"""What is to be done, judged: from the event, and for the rest from the function's environment.

Nothing is read or written here. A wrong word is a `Refused` that names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FORMATS = {
    "zip": ".zip",
    "tar": ".tar",
    "tar.gz": ".tar.gz",
    "tar.zst": ".tar.zst",
    "tar.xz": ".tar.xz",
    "gzip": ".gz",
    "zstd": ".zst",
    "xz": ".xz",
}
SINGLE = ("gzip", "zstd", "xz")
_ALIASES = {"gz": "gzip", "zst": "zstd", "tgz": "tar.gz", "txz": "tar.xz", "tzst": "tar.zst"}
_KEYS = (
    *("action", "bucket", "key", "version", "prefix", "format", "level"),
    *("target_bucket", "target_key", "target_prefix"),
)
_FROM_ENVIRONMENT = ("action", "format", "level", "target_bucket", "target_key", "target_prefix")
_LEVEL_MAX = {"zstd": 19, "tar.zst": 19}
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


class Refused(Exception):
    """What was asked for cannot be done, or must not; the message is for the caller."""


class Gone(Refused):
    """The object is not there, or no more."""


class Action(StrEnum):
    """Which way."""

    COMPRESS = "compress"
    EXTRACT = "extract"


@dataclass(frozen=True)
class Order:
    """One thing to do.

    Args:
        key: The object; None where a whole prefix is packed.
        version: Of the object; None is the present one.
        format: One of FORMATS; "" finds an archive's by its first bytes.
        level: 1 to 9 (zstd: 19); None is the format's own.
        target: Where the archive goes, or the prefix of what comes out of one.
    """

    action: Action
    bucket: str
    key: str | None
    prefix: str
    version: str | None
    format: str
    level: int | None
    target_bucket: str
    target: str


def order_of(event: object) -> Order:
    """The order that an event gives.

    Raises:
        Refused: A word is missing, unknown or wrong.
    """
    if not isinstance(event, dict):
        raise Refused('the event must be an object: {"bucket": "logs", "key": "a.log"}')
    unknown = set(event) - set(_KEYS)
    if unknown:
        raise Refused(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(_KEYS)}")
    environment = {one: os.environ.get(one.upper()) for one in _FROM_ENVIRONMENT}
    words = {key: value for key, value in environment.items() if value} | event
    action = Action(_choice("action", words.get("action", "compress"), list(Action)))
    bucket, key, prefix = words.get("bucket"), words.get("key"), words.get("prefix")
    if not isinstance(bucket, str) or not isinstance(prefix if key is None else key, str):
        raise Refused('name a bucket, and a key or a prefix: {"bucket": "logs", "prefix": "2024/"}')
    if action is Action.EXTRACT and key is None:
        raise Refused("one archive is extracted: name its key")
    made = _format(action, words.get("format"), single=key is not None)
    return Order(
        action=action,
        bucket=bucket,
        key=key,
        prefix=prefix or "",
        version=words.get("version"),
        format=made,
        level=_level(words.get("level"), made),
        target_bucket=str(words.get("target_bucket") or bucket),
        target=_target(action, words, key if key is not None else str(prefix), made),
    )


def _format(action: Action, value: object, *, single: bool) -> str:
    if value is None:
        return "" if action is Action.EXTRACT else ("gzip" if single else "zip")
    word = _choice("format", _ALIASES.get(str(value).lower(), value), FORMATS)
    if action is Action.COMPRESS and not single and word in SINGLE:
        raise Refused(f"{word} holds one object; for a prefix take zip, tar.gz, tar.zst or tar.xz")
    return word


def _level(value: Any, made: str) -> int | None:
    if value is None:
        return None
    most = _LEVEL_MAX.get(made, 9)
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool) or not 1 <= number <= most:
        raise Refused(f"level must be a whole number from 1 to {most}, not {value!r}")
    return number


def _target(action: Action, words: dict[str, Any], source: str, made: str) -> str:
    if action is Action.EXTRACT:
        return _filled(str(words.get("target_prefix") or "{dir}{name}/"), source)
    template = words.get("target_key")
    if template is None:
        return (source.rstrip("/") or "archive") + FORMATS[made]
    return _filled(str(template), source)


def _filled(template: str, source: str) -> str:
    folder, slash, file_name = source.rstrip("/").rpartition("/")
    name, dot, extension = file_name.rpartition(".")
    if name.endswith(".tar"):
        name, extension = name.removesuffix(".tar"), f"tar.{extension}"
    known = {
        "dir": folder + slash,
        "name": name if dot else file_name,
        "ext": extension if dot else "",
        "key": source,
    }
    for one in _PLACEHOLDER.findall(template):
        if one not in known:
            raise Refused(f"a template has {{{one}}}; there is {', '.join(known)}")
    return _PLACEHOLDER.sub(lambda match: known[match[1]], template)


def _choice(key: str, value: object, choices: Iterable[str]) -> str:
    if str(value).lower() not in choices:
        raise Refused(f"{key} must be one of {', '.join(choices)}, not {value!r}")
    return str(value).lower()
