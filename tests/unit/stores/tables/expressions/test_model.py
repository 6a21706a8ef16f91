"""Conditions against a naive model, and random text: an answer or the one kind of refusal."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import Placeholders, compile_condition, read_clauses
from mayfly.stores.tables.values import AttributeValue, Item, read_item, read_value
from tests.unit.stores.tables.strategies import Meaning, meaning, small_numbers, values, wire

# An expression's text, and what it says of an item's meanings.
Meanings = dict[str, tuple[str, Meaning]]
Model = tuple[str, Callable[[Meanings], bool]]

NAMES = ("alpha", "beta", "gamma")
few = st.one_of(
    values,
    small_numbers.map(lambda one: wire("N", str(one))),
    st.sampled_from("abc").map(lambda one: wire("S", one)),
    st.sampled_from(["YQ==", "YmM=", "/w=="]).map(lambda one: wire("B", one)),
)


def _ordered(sign: str, one: tuple[str, Meaning] | None, other: tuple[str, Meaning] | None) -> bool:
    if sign in {"=", "<>"}:
        same = one is not None and one == other
        return same if sign == "=" else not same
    if one is None or other is None or one[0] != other[0]:
        return False
    left, right = one[1], other[1]
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.encode(), right.encode()
    if isinstance(left, bytes) and isinstance(right, bytes):
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
            sign
        ]
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
            sign
        ]
    return False


def _comparison(one: str, sign: str, other: str) -> Model:
    return f"{one} {sign} {other}", lambda of: _ordered(sign, of.get(one), of.get(other))


def _between(one: str, low: str, high: str) -> Model:
    return (
        f"{one} BETWEEN {low} AND {high}",
        lambda of: (
            _ordered(">=", of.get(one), of.get(low)) and _ordered("<=", of.get(one), of.get(high))
        ),
    )


def _among(one: str, options: list[str]) -> Model:
    return (
        f"{one} IN ({', '.join(options)})",
        lambda of: any(_ordered("=", of.get(one), of.get(option)) for option in options),
    )


def _exists(name: str, there: bool) -> Model:
    function = "attribute_exists" if there else "attribute_not_exists"
    return f"{function}({name})", lambda of: (name in of) is there


def _joined(word: str, one: Model, other: Model) -> Model:
    text = f"({one[0]}) {word} ({other[0]})"
    if word == "AND":
        return text, lambda of: one[1](of) and other[1](of)
    return text, lambda of: one[1](of) or other[1](of)


def _negated(one: Model) -> Model:
    return f"NOT ({one[0]})", lambda of: not one[1](of)


names = st.sampled_from(NAMES)
anything = st.sampled_from([*NAMES, ":one", ":two"])
signs = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
leaves = st.one_of(
    st.builds(_comparison, anything, signs, anything).filter(
        lambda one: len({*one[0].split()}) > 2
    ),
    st.builds(_between, names, anything, anything),
    st.builds(_among, names, st.lists(anything, min_size=1, max_size=3)),
    st.builds(_exists, names, st.booleans()),
)
models = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(_joined, st.sampled_from(["AND", "OR"]), inner, inner),
        st.builds(_negated, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(st.dictionaries(names, few, max_size=3), few, few, models)
def test_a_condition_means_what_the_model_says(
    item: Item, one: AttributeValue, two: AttributeValue, model: Model
) -> None:
    checked, _ = read_item(item)
    given_values = {":one": read_value(one), ":two": read_value(two)}
    text, says = model
    try:
        condition = compile_condition(text, Placeholders(None, dict(given_values)))
    except InvalidRequest as refused:
        # A constant of a kind that has no order, or bounds the wrong way round.
        expected = re.search("Incorrect operand type|BETWEEN operator", str(refused))
        if expected is None:
            raise
        return
    meanings = {name: meaning(value) for name, value in {**checked, **given_values}.items()}
    assert condition.holds(checked) is says(meanings)


PIECES = [
    *("a", "b.c", "d[0]", "#n", "#x", ":v", ":w", "size", "name", "contains", "begins_with"),
    *("attribute_exists", "attribute_type", "if_not_exists", "list_append", "AND", "or", "NOT"),
    *("BETWEEN", "IN", "SET", "remove", "ADD", "DELETE", "=", "<>", "<", ">=", "(", ")", "[", "]"),
    *(",", ".", "+", "-", "0", "99999999999", "_", "$", "\u00e9", "\ud800", "\0", "#", ":"),
]
nonsense = st.text(max_size=30) | st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join)
PARAMETERS = [
    ("PutItem", "ConditionExpression"),
    ("UpdateItem", "UpdateExpression"),
    ("Scan", "FilterExpression"),
    ("GetItem", "ProjectionExpression"),
    ("Query", "KeyConditionExpression"),
]


@settings(max_examples=600)
@given(nonsense, st.sampled_from(PARAMETERS), few)
def test_any_text_is_an_expression_or_refused(
    text: str, parameter: tuple[str, str], value: AttributeValue
) -> None:
    operation, name = parameter
    request: dict[str, object] = {name: text, "ExpressionAttributeNames": {"#n": "name"}}
    if operation != "GetItem":
        request["ExpressionAttributeValues"] = {":v": value}
    try:
        clauses = read_clauses(operation, request)
        if clauses.update is not None:
            clauses.update.apply({"a": value}, {})
        for condition in (clauses.condition, clauses.filter):
            assert condition is None or condition.holds({"a": value}) in {True, False}
        if clauses.projection is not None:
            clauses.projection.of({"a": value})
    except InvalidRequest:
        return


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*("S", "N", "B", "M", "L", "SS", "NS", "BS", "BOOL", "NULL"), "a", ""]
            ),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=400)
@given(json)
def test_any_json_is_an_item_or_refused(document: object) -> None:
    try:
        item, size = read_item(document)
    except InvalidRequest:
        return
    assert size >= 0
    assert read_item(item) == (item, size)


legacy = st.dictionaries(
    st.sampled_from(["ComparisonOperator", "AttributeValueList", "Exists", "Value", "Action"]),
    st.sampled_from(["EQ", "NULL", "IN", "BETWEEN", "ADD", "PUT", "DELETE", True, False, None])
    | values
    | st.lists(values, max_size=2),
)


@given(
    st.sampled_from(
        [
            ("PutItem", "Expected"),
            ("UpdateItem", "AttributeUpdates"),
            ("Scan", "ScanFilter"),
            ("Query", "KeyConditions"),
        ]
    ),
    st.dictionaries(st.sampled_from(NAMES), legacy | json, max_size=2) | json,
    st.sampled_from(["AND", "OR"]) | json,
    st.dictionaries(names, few, max_size=3),
)
def test_any_older_parameter_is_used_or_refused(
    parameter: tuple[str, str], document: object, operator: object, item: Item
) -> None:
    operation, name = parameter
    try:
        clauses = read_clauses(operation, {name: document, "ConditionalOperator": operator})
        if clauses.update is not None:
            clauses.update.apply(item, {})
        if clauses.condition is not None:
            clauses.condition.holds(item)
    except InvalidRequest:
        return
