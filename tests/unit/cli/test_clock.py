from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.cli import clock


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("250ms", 0.25), ("90", 90), ("30s", 30), ("5m", 300), ("2h", 7200), ("1.5d", 129_600)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(written: str, seconds: float) -> None:
    assert clock.parse_duration_s(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "m", "5 parsecs", "five", "-5m", "nan", "inf", "1e999s"])
def test_what_is_no_duration_is_refused_with_its_text(written: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        clock.parse_duration_s(written)


@given(st.text(max_size=10))
def test_any_text_is_a_finite_duration_or_refused(written: str) -> None:
    try:
        seconds = clock.parse_duration_s(written)
    except ValueError:
        return
    assert 0 <= seconds < float("inf")


def test_amazon_writes_time_in_utc_without_punctuation() -> None:
    assert clock.amazon_date(1_769_903_999_000) == "20260131T235959Z"
