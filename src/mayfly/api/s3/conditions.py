"""Conditions and ranges: what a request makes its answer depend on. Pure.

    reads    If-Match, If-Unmodified-Since -> 412;  If-None-Match, If-Modified-Since -> 304
    writes   If-Match, If-None-Match: * -> judged by the store, at the moment of the write
    Range    bytes=a-b, a-, -n -> (first, size);  several ranges, or nonsense -> the whole

Source: RFC 9110, sections 13 and 14; "GetObject", Amazon S3 API Reference.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from mayfly.api.message import Headers
from mayfly.api.s3.refusals import (
    InvalidArgument,
    InvalidRange,
    NotImplementedInS3,
    PreconditionFailed,
)
from mayfly.stores.objects.record import ALWAYS, Conditions

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_MATCHES = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


class NotModified(Exception):
    """The reader has it already: 304."""


class Span(NamedTuple):
    """A part of an object's bytes."""

    first: int
    size: int


def require_readable(headers: Headers, *, etag: str, modified_ms: int, prefix: str = "") -> None:
    """Judge a read's conditions.

    Args:
        etag: Without quotes.
        prefix: "x-amz-copy-source-" for the conditions of a copy.

    Raises:
        PreconditionFailed: 412.
        NotModified: 304.
    """
    match, none_match, since, unmodified = (headers.find(prefix + name) for name in _MATCHES)
    if match is None and none_match is None and since is None and unmodified is None:
        return
    modified_s = modified_ms // 1_000
    if match is not None:
        if not _names(match, etag):
            raise PreconditionFailed(Condition="If-Match")
    elif unmodified is not None and (at := _unix_s(unmodified)) is not None and modified_s > at:
        raise PreconditionFailed(Condition="If-Unmodified-Since")
    if none_match is not None:
        if _names(none_match, etag):
            raise NotModified
    elif since is not None and (at := _unix_s(since)) is not None and modified_s <= at:
        raise NotModified


def write_conditions(headers: Headers) -> Conditions:
    """A write's conditions.

    Raises:
        NotImplementedInS3: If-None-Match with anything but "*".
    """
    match, none_match = headers.find("if-match"), headers.find("if-none-match")
    if match is None and none_match is None:
        return ALWAYS
    if none_match is not None and none_match.strip() != "*":
        raise NotImplementedInS3(
            "A header you provided implies functionality that is not implemented",
            Header="If-None-Match",
        )
    return Conditions(
        if_absent=none_match is not None, if_match="" if match is None else unquoted(match)
    )


def delete_conditions(headers: Headers) -> Conditions:
    """A delete's conditions.

    Raises:
        InvalidArgument: A size or time that is none.
    """
    match = headers.find("if-match")
    size = headers.find("x-amz-if-match-size")
    time = headers.find("x-amz-if-match-last-modified-time")
    if match is None and size is None and time is None:
        return ALWAYS
    if size is not None and not (size.isascii() and size.isdigit() and len(size) <= 15):
        raise InvalidArgument("x-amz-if-match-size is no size", ArgumentValue=size[:40])
    at = None if time is None else _unix_s(time)
    if time is not None and at is None:
        raise InvalidArgument("x-amz-if-match-last-modified-time is no time")
    return Conditions(
        if_match="" if match is None else unquoted(match),
        if_size=None if size is None else int(size),
        if_modified_ms=None if at is None else at * 1_000,
    )


def read_range(text: str | None, size: int) -> Span | None:
    """The bytes that a Range header asks for; None for all of them.

    Raises:
        InvalidRange: There is no such byte.
    """
    found = None if text is None else _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        wanted = min(int(last), size)
        span = Span(size - wanted, wanted)
    elif last and int(last) < int(first):
        return None
    else:
        end = min(int(last) + 1, size) if last else size
        span = Span(int(first), end - int(first))
    if span.size <= 0:
        raise InvalidRange(ActualObjectSize=str(size), RangeRequested=found.group())
    return span


def copy_range(text: str, size: int) -> Span:
    """The bytes that x-amz-copy-source-range asks for; it must be exact.

    Raises:
        InvalidArgument: It is no range of the source.
    """
    found = _RANGE.fullmatch(text)
    if found is None or not all(found.groups()) or int(found[2]) < int(found[1]):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where "
            "first and last are the zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=text[:60],
        )
    first, last = int(found[1]), int(found[2])
    if last >= size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=text[:60],
        )
    return Span(first, last - first + 1)


def unquoted(etag: str) -> str:
    """An entity tag without its quotes."""
    return etag.strip().removeprefix("W/").strip('"')


def _names(text: str, etag: str) -> bool:
    return any(unquoted(one) in ("*", etag) for one in text.split(","))


def _unix_s(text: str) -> int | None:
    """A date of a header; an unreadable one is as if it were not there."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except ValueError:
        return None
