"""Values and items as Hypothesis makes them, and what they mean in Python's own types."""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from typing import cast

from hypothesis import strategies as st

from mayfly.stores.tables.values import AttributeValue, Item

# What a value means: a number is a Decimal, a set a frozenset.
Meaning = object


def written(number: Decimal) -> str:
    """A number as a client may write it."""
    return str(number)


def wire(kind: str, payload: object) -> AttributeValue:
    """A value as on the wire."""
    return cast(AttributeValue, {kind: payload})


numbers = st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.sampled_from((0, 1)),
    st.lists(st.integers(0, 9), min_size=1, max_size=20).map(tuple),
    st.integers(-40, 40),
)
small_numbers = st.integers(-3, 3).map(Decimal)
texts = st.text(max_size=6)
binaries = st.binary(max_size=6)


def base64_of(raw: bytes) -> str:
    """Bytes as on the wire."""
    return base64.b64encode(raw).decode()


def _scalars() -> st.SearchStrategy[AttributeValue]:
    return st.one_of(
        texts.map(lambda one: wire("S", one)),
        numbers.map(lambda one: wire("N", written(one))),
        binaries.map(lambda one: wire("B", base64_of(one))),
        st.booleans().map(lambda one: wire("BOOL", one)),
        st.just(wire("NULL", True)),
    )


def _sets() -> st.SearchStrategy[AttributeValue]:
    return st.one_of(
        st.sets(texts, min_size=1, max_size=4).map(lambda one: wire("SS", list(one))),
        st.sets(st.integers(-9, 9), min_size=1, max_size=4).map(
            lambda one: wire("NS", [str(number) for number in one])
        ),
        st.sets(binaries, min_size=1, max_size=4).map(
            lambda one: wire("BS", [base64_of(raw) for raw in one])
        ),
    )


values: st.SearchStrategy[AttributeValue] = st.recursive(
    _scalars() | _sets(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda one: wire("L", one)),
        st.dictionaries(texts, inner, max_size=3).map(lambda one: wire("M", one)),
    ),
    max_leaves=8,
)
items: st.SearchStrategy[Item] = st.dictionaries(texts, values, max_size=5)


def meaning(value: AttributeValue) -> tuple[str, Meaning]:
    """A value's kind, and what it means."""
    ((kind, payload),) = value.items()
    read = _MEANINGS.get(kind)
    return kind, payload if read is None else read(payload)


_MEANINGS: dict[str, Callable[[object], Meaning]] = {
    "N": lambda one: Decimal(cast(str, one)),
    "B": lambda one: base64.b64decode(cast(str, one)),
    "NS": lambda one: frozenset(map(Decimal, cast("list[str]", one))),
    "SS": lambda one: frozenset(cast("list[str]", one)),
    "BS": lambda one: frozenset(map(base64.b64decode, cast("list[str]", one))),
    "L": lambda one: [meaning(each) for each in cast("list[AttributeValue]", one)],
    "M": lambda one: {name: meaning(each) for name, each in cast(Item, one).items()},
}
