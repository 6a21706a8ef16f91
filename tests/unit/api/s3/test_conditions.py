"""Ranges and conditions, by their tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.api.message import Headers
from mayfly.api.s3.conditions import (
    NotModified,
    Span,
    copy_range,
    delete_conditions,
    read_range,
    require_readable,
    write_conditions,
)
from mayfly.api.s3.refusals import (
    InvalidArgument,
    InvalidRange,
    NotImplementedInS3,
    PreconditionFailed,
)
from mayfly.stores.objects.record import ALWAYS, Conditions

AT_MS = 1_700_000_000_500
AT, BEFORE = "Tue, 14 Nov 2023 22:13:20 GMT", "Mon, 13 Nov 2023 22:13:20 GMT"


def headers(**named: str) -> Headers:
    return Headers((name.replace("_", "-").encode(), text.encode()) for name, text in named.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("bytes=0-3", Span(0, 4)),
        ("bytes=8-", Span(8, 2)),
        ("bytes=8-99", Span(8, 2)),
        ("bytes=-4", Span(6, 4)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=4-3", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_a_range_is_part_of_the_object(text: str | None, expected: Span | None) -> None:
    assert read_range(text, 10) == expected


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_without_a_byte_is_refused(text: str) -> None:
    with pytest.raises(InvalidRange):
        read_range(text, 10)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30))
def test_a_range_is_what_slicing_gives(first: int, last: int, size: int) -> None:
    content = bytes(range(size))
    if first >= size or last < first:
        return
    span = read_range(f"bytes={first}-{last}", size)
    assert span is not None
    assert content[span.first : span.first + span.size] == content[first : last + 1]


@pytest.mark.parametrize("text", ["bytes=0-10", "bytes=3-1", "bytes=-3", "bytes=3-", "0-3"])
def test_a_copied_range_is_exact(text: str) -> None:
    assert copy_range("bytes=2-9", 10) == Span(2, 8)
    with pytest.raises(InvalidArgument):
        copy_range(text, 10)


@pytest.mark.parametrize(
    ("named", "outcome"),
    [
        ({}, None),
        ({"if_match": '"e"'}, None),
        ({"if_match": "*"}, None),
        ({"if_match": '"x", "e"'}, None),
        ({"if_match": '"x"'}, PreconditionFailed),
        ({"if_unmodified_since": AT}, None),
        ({"if_unmodified_since": BEFORE}, PreconditionFailed),
        ({"if_match": '"e"', "if_unmodified_since": BEFORE}, None),
        ({"if_none_match": '"x"'}, None),
        ({"if_none_match": 'W/"e"'}, NotModified),
        ({"if_modified_since": BEFORE}, None),
        ({"if_modified_since": AT}, NotModified),
        ({"if_none_match": '"x"', "if_modified_since": AT}, None),
        ({"if_modified_since": "some day"}, None),
    ],
)
def test_a_read_is_judged(named: dict[str, str], outcome: type[Exception] | None) -> None:
    def judge() -> None:
        require_readable(headers(**named), etag="e", modified_ms=AT_MS)

    if outcome is None:
        judge()
    else:
        with pytest.raises(outcome):
            judge()


def test_a_write_s_conditions_are_read() -> None:
    assert write_conditions(headers()) is ALWAYS
    assert write_conditions(headers(if_none_match="*")) == Conditions(if_absent=True)
    assert write_conditions(headers(if_match='"e"')) == Conditions(if_match="e")
    with pytest.raises(NotImplementedInS3):
        write_conditions(headers(if_none_match='"e"'))
    assert delete_conditions(headers()) is ALWAYS
    found = delete_conditions(
        headers(if_match='"e"', x_amz_if_match_size="3", x_amz_if_match_last_modified_time=AT)
    )
    assert found == Conditions(if_match="e", if_size=3, if_modified_ms=1_700_000_000_000)
    with pytest.raises(InvalidArgument):
        delete_conditions(headers(x_amz_if_match_size="-3"))
