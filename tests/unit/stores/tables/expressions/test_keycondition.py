"""Key conditions: the bytes that they bound, and the words of each refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.stores.tables.definition import Key, KeyAttribute, KeyType
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import KeyRange, Placeholders, compile_key_condition
from mayfly.stores.tables.expressions.keycondition import prefix_end
from mayfly.stores.tables.keys import TOP, encode
from mayfly.stores.tables.values import AttributeValue, read_value
from tests.unit.stores.tables.expressions.asking import holds, refuses
from tests.unit.stores.tables.strategies import base64_of, binaries, numbers, texts, wire, written


def key_of(kind: str) -> Key:
    """A key with a range attribute of a kind."""
    return Key(KeyAttribute("pk", KeyType.STRING), KeyAttribute("sk", KeyType(kind)))


HASH = Key(KeyAttribute("pk", KeyType.STRING))


def resolved(text: str, key: Key, **values: AttributeValue) -> KeyRange:
    """What a key condition reads; `p` is the hash key's value."""
    named = {f":{name}": read_value(value) for name, value in {"p": {"S": "h"}, **values}.items()}
    placeholders = Placeholders({"#p": "pk"}, named)
    return compile_key_condition(text, placeholders).resolve(key)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("pk = :p", b"", TOP),
        (":p = pk", b"", TOP),
        ("#p = :p AND sk = :a", b"b", b"b\0"),
        ("sk < :a and pk = :p", b"", b"b"),
        ("pk = :p AND sk <= :a", b"", b"b\0"),
        ("pk = :p AND (sk > :a)", b"b\0", TOP),
        ("(pk = :p) AND sk >= :a", b"b", TOP),
        ("pk = :p AND :a > sk", b"", b"b"),
        ("pk = :p AND :a <= sk", b"b", TOP),
        ("pk = :p AND sk BETWEEN :a AND :b", b"b", b"c\0"),
        ("pk = :p AND begins_with(sk, :a)", b"b", b"c"),
        ("(pk = :p AND begins_with ( sk , :a ))", b"b", b"c"),
    ],
)
def test_a_key_condition_becomes_one_range(text: str, low: bytes, high: bytes) -> None:
    assert resolved(text, key_of("S"), a={"S": "b"}, b={"S": "c"}) == (b"h", low, high)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", TOP), (b"a\xfe\xff", b"a\xff")],
)
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


ranged = st.one_of(
    st.tuples(*[texts.filter(bool).map(lambda one: wire("S", one))] * 3),
    st.tuples(*[numbers.map(lambda one: wire("N", written(one)))] * 3),
    st.tuples(*[binaries.filter(bool).map(lambda one: wire("B", base64_of(one)))] * 3),
)


@given(ranged, st.sampled_from(["=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"]))
def test_the_range_holds_exactly_what_the_same_filter_holds(
    given_values: tuple[AttributeValue, ...], operator: str
) -> None:
    value, one, other = map(read_value, given_values)
    kind = next(iter(value))
    if operator == "begins_with" and kind == "N":
        return
    values = {":a": one}
    text = f"sk {operator} :a"
    if operator == "begins_with":
        text = "begins_with(sk, :a)"
    if operator == "BETWEEN":
        if encode(one) > encode(other):
            one, other = other, one
        values = {":a": one, ":b": other}
        text = "sk BETWEEN :a AND :b"
    found = resolved(f"pk = :p AND {text}", key_of(kind), a=one, b=other)
    inside = found.low <= encode(value) < found.high
    assert inside == holds(text, {"sk": value}, values)


OPERAND = (
    "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
    "operator or function: {}, operand type: {}"
)
NOT_FIRST = "operator must have the key attribute as its first operand"
IN_CONDITION = "Invalid condition in KeyConditionExpression: "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pk = :s OR sk = :s", "Invalid operator used in KeyConditionExpression: OR"),
        ("NOT pk = :s", "Invalid operator used in KeyConditionExpression: NOT"),
        ("pk IN (:s)", "Invalid operator used in KeyConditionExpression: IN"),
        ("pk <> :s", "Invalid operator used in KeyConditionExpression: <>"),
        ("contains(a.d, b)", "Invalid operator used in KeyConditionExpression: contains"),
        (
            "pk = :s AND attribute_exists(sk)",
            "Invalid operator used in KeyConditionExpression: attribute_exists",
        ),
        (":s BETWEEN sk AND pk", f"{IN_CONDITION}BETWEEN {NOT_FIRST}"),
        ("begins_with(:s, sk)", f"{IN_CONDITION}begins_with {NOT_FIRST}"),
        (":s = :s", f"{IN_CONDITION}No key attribute specified"),
        ("pk = sk", f"{IN_CONDITION}Multiple attribute names used in one condition"),
        (
            "size(pk) > :n",
            (
                "Invalid KeyConditionExpression: "
                "KeyConditionExpressions cannot contain nested operations"
            ),
        ),
        (
            "pk.a = :s",
            (
                "Invalid KeyConditionExpression: "
                "KeyConditionExpressions cannot have conditions on nested attributes"
            ),
        ),
        (
            "pk = :s AND sk > :n AND sk < :n",
            (
                "Invalid KeyConditionExpression: "
                "KeyConditionExpressions must only contain one condition per key"
            ),
        ),
        ("begins_with(sk, :n) AND pk = :missing", OPERAND.format("begins_with", "N")),
        ("pk = :s AND :t >= sk", OPERAND.format(">=", "BOOL")),
        ("pk = :s AND sk BETWEEN :t AND :t", OPERAND.format("BETWEEN", "BOOL")),
        (
            "pk = :missing AND begins_with(sk, :n)",
            (
                "Invalid KeyConditionExpression: An expression attribute value used in "
                "expression is not defined; attribute value: :missing"
            ),
        ),
        ("", "Invalid KeyConditionExpression: The expression can not be empty;"),
        (
            "pk = ",
            'Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "="',
        ),
    ],
)
def test_a_faulty_key_condition_is_refused_in_dynamodbs_words(text: str, told: str) -> None:
    refuses(
        told,
        "Query",
        KeyConditionExpression=text,
        ExpressionAttributeValues={":s": {"S": "a"}, ":n": {"N": "1"}, ":t": {"BOOL": True}},
    )


SCHEMA = (
    "One or more parameter values were invalid: Condition parameter type does not match schema type"
)


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ("sk = :s", key_of("S"), "Query condition missed key schema element: pk"),
        ("pk = :s AND x = :s", key_of("S"), "Query condition missed key schema element: sk"),
        ("pk > :s", key_of("S"), "Query key condition not supported"),
        ("pk = :n", HASH, SCHEMA),
        ("pk = :s AND sk = :s", key_of("N"), SCHEMA),
        ("pk = :s AND begins_with(sk, :s)", key_of("N"), SCHEMA),
        (
            "pk = :s AND sk = :s",
            HASH,
            (
                "The number of query conditions (2) exceeds the number of key attributes "
                "defined in the schema (1)"
            ),
        ),
        (
            "pk = :e",
            HASH,
            (
                "One or more parameter values are not valid. The AttributeValue for a key "
                "attribute cannot contain an empty string value. Key: pk"
            ),
        ),
    ],
)
def test_a_key_condition_that_does_not_fit_the_key_is_refused(
    text: str, key: Key, told: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(text, key, s={"S": "a"}, n={"N": "1"}, e={"S": ""})
    assert str(refused.value) == told
