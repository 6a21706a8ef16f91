"""Single values in text: numbers, booleans, blobs and AWS's three forms of time.

Headers, labels, query strings, forms and XML write a value as text; JSON writes some of them so
too. A time inside is always an aware `datetime` in UTC; what goes out may also be Unix seconds.

    iso8601         2026-03-01T12:00:00Z, with a fraction where there is one
    rfc822          Sun, 01 Mar 2026 12:00:00 GMT
    unixtimestamp   1772366400 or 1772366400.25
"""

from __future__ import annotations

import base64
import binascii
import calendar
import math
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from typing import Literal

from mayfly.api.refusals import MalformedRequest
from mayfly.api.wire.model import Member

TimeStyle = Literal["iso8601", "rfc822", "unixtimestamp"]
Scalar = str | int | float | bool | bytes | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BITS = {"integer": 31, "long": 63}
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def read_text(member: Member, text: str, *, times: TimeStyle = "iso8601") -> Scalar:
    """A value from its text.

    Args:
        times: How a time is written where the model does not say.

    Raises:
        MalformedRequest: The text is none of the member's type.
    """
    match member.shape.kind:
        case "boolean":
            return _read_boolean(text)
        case "integer" | "long" as kind:
            return read_integer(kind, text)
        case "float" | "double":
            return read_float(text)
        case "timestamp":
            return read_time(text, time_style(member, times))
        case "blob":
            return read_base64(text)
        case _:
            return text


def write_text(member: Member, value: object, *, times: TimeStyle = "iso8601") -> str:
    """The text of a value."""
    match member.shape.kind:
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return str(write_time(value, time_style(member, times)))
        case "blob":
            return write_base64(value)
        case "float" | "double":
            return str(write_float(value))
        case _:
            return str(value)


def time_style(member: Member, default: TimeStyle) -> TimeStyle:
    """How the model wants a time written here."""
    match member.timestamp_format.lower():
        case "iso8601":
            return "iso8601"
        case "rfc822":
            return "rfc822"
        case "unixtimestamp":
            return "unixtimestamp"
        case _:
            return default


def read_integer(kind: str, text: str) -> int:
    """A whole number that fits into Java's int or long."""
    try:
        number = int(text) if len(text) <= 20 else None
    except ValueError:
        number = None
    if number is None or not fits(kind, number):
        raise MalformedRequest(f"STRING_VALUE cannot be converted to {kind.capitalize()}")
    return number


def fits(kind: str, number: int) -> bool:
    """Whether a number fits into Java's int ("integer") or long ("long")."""
    bound = 1 << _BITS[kind]
    return -bound <= number < bound


def read_float(text: str) -> float:
    """A number, NaN, Infinity or -Infinity."""
    if text in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[text]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise MalformedRequest("STRING_VALUE cannot be converted to Double")
    return number


def write_float(value: object) -> float | str:
    """The number, or its name where it is none of the finite ones."""
    assert isinstance(value, int | float)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def read_base64(text: str) -> bytes:
    """The bytes of a blob."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest("STRING_VALUE cannot be converted to Blob: no base64") from error


def write_base64(value: object) -> str:
    """A blob's text."""
    assert isinstance(value, bytes | str)
    raw = value.encode() if isinstance(value, str) else value
    return base64.b64encode(raw).decode("ascii")


def read_time(value: str | float, style: TimeStyle) -> datetime:
    """A time from its text or number."""
    try:
        if isinstance(value, int | float) or style == "unixtimestamp":
            seconds = float(value)
            return _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))
        moment = parsedate_to_datetime(value) if style == "rfc822" else _read_iso(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise MalformedRequest(f"'{str(value)[:40]}' is not a {style} time") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def write_time(value: object, style: TimeStyle) -> str | float:
    """A time as the style has it; a number for unixtimestamp."""
    assert isinstance(value, datetime | int | float)
    moment = value if isinstance(value, datetime) else read_time(value, "unixtimestamp")
    moment = moment.astimezone(UTC)
    seconds = calendar.timegm(moment.timetuple())
    match style:
        case "iso8601":
            text = moment.replace(tzinfo=None).isoformat(timespec="auto")
            return f"{text}Z"
        case "rfc822":
            return formatdate(seconds, usegmt=True)
        case "unixtimestamp":
            fraction = moment.microsecond
            return (seconds * 1_000_000 + fraction) / 1_000_000 if fraction else seconds


def _read_iso(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _read_boolean(text: str) -> bool:
    lower = text.lower()
    if lower not in ("true", "false"):
        raise MalformedRequest("STRING_VALUE cannot be converted to Boolean")
    return lower == "true"
