"""Numbers: normal form, bounds, exact arithmetic, and an order that memcmp sees."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.numbers import added, normalise, size_of, sort_bytes, subtracted

WIDE = Context(prec=600)
OVERFLOW = "Number overflow"
UNDERFLOW = "Number underflow"
NOT_NUMERIC = "cannot be converted to a numeric value"

in_bounds = st.builds(
    lambda sign, digits, magnitude: Decimal((sign, digits, magnitude - len(digits) + 1)),
    st.sampled_from((0, 1)),
    st.lists(st.integers(0, 9), min_size=1, max_size=38).filter(lambda one: one[0] != 0).map(tuple),
    st.integers(-130, 125),
) | st.integers(-(10**6), 10**6).map(Decimal)


@pytest.mark.parametrize(
    ("given_text", "normal"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0e125", "0"),
        ("0.000", "0"),
        ("+3", "3"),
        (".123", "0.123"),
        ("5.", "5"),
        ("0042.1200", "42.12"),
        ("-17.4E37", "-174" + "0" * 36),
        ("1E125", "1" + "0" * 125),
        ("1e-130", "0." + "0" * 129 + "1"),
        ("100", "100"),
        ("1e0000000000000000000000002", "100"),
    ],
)
def test_a_number_is_kept_in_one_plain_form(given_text: str, normal: str) -> None:
    assert normalise(given_text) == normal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", NOT_NUMERIC),
        ("abc", f"{NOT_NUMERIC}: abc"),
        (" 1", NOT_NUMERIC),
        ("1 ", NOT_NUMERIC),
        ("1_0", NOT_NUMERIC),
        ("NaN", NOT_NUMERIC),
        ("Infinity", NOT_NUMERIC),
        ("0x10", NOT_NUMERIC),
        ("1e", NOT_NUMERIC),
        (".", NOT_NUMERIC),
        ("\u0661", NOT_NUMERIC),
        ("1e9223372036854775808", NOT_NUMERIC),
        ("1e" + "9" * 5000, NOT_NUMERIC),
        ("1e126", OVERFLOW),
        ("-1e126", OVERFLOW),
        ("0e126", OVERFLOW),
        ("1e99999999999", OVERFLOW),
        ("1e-131", UNDERFLOW),
        ("0e-131", UNDERFLOW),
        ("1e-99999999999", UNDERFLOW),
        ("9" * 39, "more than 38 significant digits"),
        ("1." + "1" * 38, "more than 38 significant digits"),
    ],
)
def test_what_is_no_number_of_dynamodb_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told.replace(".", r"\.")):
        normalise(text)


@given(in_bounds)
def test_the_normal_form_is_the_same_number_and_its_own_normal_form(number: Decimal) -> None:
    normal = normalise(str(number))
    assert Decimal(normal) == number
    assert normalise(normal) == normal
    assert "e" not in normal.lower()


@given(st.text(max_size=12) | st.from_regex(r"[+-]?[0-9.]{0,9}([eE][+-]?[0-9]{0,4})?"))
def test_a_text_is_a_number_or_refused(text: str) -> None:
    try:
        normal = normalise(text)
    except InvalidRequest:
        return
    assert Decimal(normal) == Decimal(text)


@given(in_bounds, in_bounds)
def test_bytes_are_ordered_as_the_numbers_are(one: Decimal, other: Decimal) -> None:
    first, second = sort_bytes(normalise(str(one))), sort_bytes(normalise(str(other)))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


def test_bytes_of_neighbours_are_ordered() -> None:
    rising = ["-1e125", "-121", "-120.01", "-12", "-1.2", "-1e-130"]
    rising += ["0", "1e-130", "0.12", "1", "1.2", "12", "12.01", "121", "1e125"]
    encoded = [sort_bytes(normalise(one)) for one in rising]
    assert encoded == sorted(encoded)
    assert len(set(encoded)) == len(encoded)
    assert max(map(len, encoded)) <= 22


@given(in_bounds, in_bounds)
def test_sums_and_differences_are_exact_or_refused(one: Decimal, other: Decimal) -> None:
    first, second = normalise(str(one)), normalise(str(other))
    for compute, exact in (
        (added, WIDE.add(one, other)),
        (subtracted, WIDE.subtract(one, other)),
    ):
        try:
            assert Decimal(compute(first, second)) == exact
        except InvalidRequest:
            digits = exact.normalize(WIDE).as_tuple().digits
            assert len(digits) > 38 or not -130 <= exact.adjusted() <= 125


def test_a_sum_of_too_many_digits_is_called_an_overflow() -> None:
    with pytest.raises(InvalidRequest, match=OVERFLOW):
        added("1" + "0" * 50, "1")
    with pytest.raises(InvalidRequest, match=OVERFLOW):
        added("9" + "0" * 125, "9" + "0" * 125)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 1), ("1", 2), ("-1", 3), ("3.14159", 5), ("123456", 4), ("1E125", 2), ("0.005", 2)],
)
def test_a_number_costs_a_byte_for_two_digits_on_each_side_of_the_point(
    text: str, size: int
) -> None:
    assert size_of(normalise(text)) == size
