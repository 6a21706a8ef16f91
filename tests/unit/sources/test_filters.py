"""Lambda's filter patterns: each operator, what is refused, and texts that nobody expected."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.model.errors import InvalidParameter
from mayfly.sources.filters import compile_body_filters, compile_filters, compile_pattern

TEXTS = st.text(alphabet="ab*\\.é", max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def matches(pattern: object, record: object) -> bool:
    return compile_pattern(json.dumps(pattern))(record)


@pytest.mark.parametrize(
    ("condition", "fits", "fits_not"),
    [
        ("open", ["open", ["shut", "open"]], ["opens", None, 1, [], {"open": 1}]),
        (None, [None, [None]], ["", 0, False]),
        (True, [True], [1, "true", None]),
        (5, [5, 5.0, [4, 5]], ["5", 6, True]),
        ({"prefix": "re"}, ["re", "read"], ["are", "Read", 1, None]),
        ({"prefix": {"equals-ignore-case": "RE"}}, ["read", "READ"], ["are"]),
        ({"suffix": ".jpg"}, ["a.jpg"], ["a.JPG", "jpg", None]),
        ({"equals-ignore-case": "Straße"}, ["STRASSE", "straße"], ["strase"]),
        ({"wildcard": "a*c"}, ["ac", "abc", "abcbc"], ["ab", "bc", None]),
        ({"wildcard": "a\\*c"}, ["a*c"], ["abc"]),
        ({"wildcard": "*"}, ["", "x"], [None, 1]),
        ({"anything-but": "x"}, ["y", 1, None], ["x"]),
        ({"anything-but": ["x", 1]}, ["y", 2], ["x", 1]),
        ({"anything-but": {"prefix": "x"}}, ["yx"], ["xy"]),
        ({"anything-but": {"suffix": ["x", "y"]}}, ["xa"], ["ax", "ay"]),
        ({"numeric": [">", 0, "<=", 5]}, [1, 5, 0.1], [0, 5.1, "1", None, True, float("nan")]),
        ({"numeric": ["=", 3e2]}, [300], [301]),
        ({"exists": True}, ["", None, 0], [{"a": 1}]),
        ({"cidr": "10.0.0.0/24"}, ["10.0.0.7"], ["10.0.1.7", "x", 1]),
    ],
)
def test_a_condition_fits_these_and_not_those(
    condition: object, fits: list[object], fits_not: list[object]
) -> None:
    for value in fits:
        assert matches({"a": [condition]}, {"a": value}), value
    for value in fits_not:
        assert not matches({"a": [condition]}, {"a": value}), value
    assert not matches({"a": [condition]}, {}), "a field that is missing"


def test_a_field_may_have_to_be_missing() -> None:
    assert matches({"a": [{"exists": False}]}, {"b": 1})
    assert not matches({"a": [{"exists": False}]}, {"a": None})
    assert matches({"a": {"b": [{"exists": False}]}}, {})


def test_an_object_must_match_wholly_and_a_list_by_one() -> None:
    pattern = {"a": ["x", "y"], "b": {"c": [1]}}
    assert matches(pattern, {"a": "y", "b": {"c": 1, "d": 2}})
    assert not matches(pattern, {"a": "y", "b": {"c": 2}})
    assert matches(pattern, {"a": "x", "b": [{"c": 2}, {"c": 1}]})


def test_or_takes_either_side_beside_what_must_hold() -> None:
    pattern = {"kind": ["k"], "$or": [{"a": [1]}, {"b": [{"exists": False}]}]}
    assert matches(pattern, {"kind": "k", "a": 1, "b": 0})
    assert matches(pattern, {"kind": "k"})
    assert not matches(pattern, {"kind": "k", "b": 0})
    assert not matches(pattern, {"a": 1})


def test_one_of_several_patterns_suffices_and_none_lets_all_pass() -> None:
    either = compile_filters(['{"a": [1]}', '{"b": [2]}'])
    assert either({"a": 1})
    assert either({"b": 2})
    assert not either({"a": 2})
    assert compile_filters([])({"anything": 1})


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "x", "[]", "{}", '"a"', "[1]", '{"a": 1}', '{"a": []}', '{"a": {}}', '{"a": [[1]]}'),
        *('{"a": [{}]}', '{"a": [{"prefix": 1}]}', '{"a": [{"nope": 1}]}'),
        *('{"a": [{"prefix": "x", "suffix": "y"}]}', '{"a": [{"exists": "yes"}]}'),
        *('{"a": [{"numeric": []}]}', '{"a": [{"numeric": [">"]}]}'),
        *('{"a": [{"numeric": ["~", 1]}]}', '{"a": [{"numeric": [">", "1"]}]}'),
        *('{"a": [{"anything-but": []}]}', '{"a": [{"anything-but": {"exists": true}}]}'),
        *('{"a": [{"wildcard": "a**b"}]}', '{"a": [{"wildcard": "a\\\\b"}]}'),
        *('{"a": [{"wildcard": "a\\\\"}]}', '{"a": [{"cidr": "10.0.0.0/99"}]}'),
        *('{"$or": [{"a": [1]}]}', '{"$or": [1, 2]}'),
        *("[" * 5_000, '{"a":' * 100 + "[1]" + "}" * 100, json.dumps({"a": ["x" * 5_000]})),
    ],
)
def test_what_is_no_pattern_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid filter pattern definition"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "body", "passes"),
    [
        ({"body": {"a": [1]}}, '{"a": 1}', True),
        ({"body": {"a": [1]}}, '{"a": 2}', False),
        ({"body": {"a": [1]}}, "a is 1", False),
        ({"body": ["plain"]}, "plain", True),
        ({"body": ["plain"]}, '{"plain": 1}', False),
        ({"body": [{"prefix": "{"}]}, '{"a": 1}', False),
        ({"messageId": ["m"]}, "anything", True),
        ({"messageId": ["m"]}, '{"a": 1}', True),
        ({"messageId": ["n"]}, '{"a": 1}', False),
        ({"body": {"a": [{"numeric": ["<", 1e400]}]}}, '{"a": 1e999}', False),
        ({"body": {"a": [{"numeric": [">", 0]}]}}, '{"a": NaN}', False),
    ],
)
def test_a_body_is_matched_as_what_it_is(pattern: object, body: str, passes: bool) -> None:
    text = json.dumps(pattern).replace("Infinity", "1e400")
    assert compile_body_filters([text])({"messageId": "m"}, body) is passes


def test_a_body_that_is_nested_without_end_matches_nothing_and_harms_nothing() -> None:
    passes = compile_body_filters(['{"body": {"a": {"b": [1]}}}'])
    for depth in (100, 450, 900, 5_000, 100_000):
        assert not passes({}, "[" * depth + "]" * depth)
        assert not passes({}, '{"a":' * depth + "1" + "}" * depth)


def test_a_wildcard_takes_no_longer_for_a_text_that_almost_fits() -> None:
    almost = compile_pattern(json.dumps({"a": [{"wildcard": "*".join("a" * 1_000) + "*b"}]}))
    assert not almost({"a": "a" * 100_000})


@given(JSON, JSON)
def test_any_record_is_answered(pattern: object, record: object) -> None:
    try:
        passes = compile_pattern(json.dumps(pattern))
    except InvalidParameter:
        return
    assert passes(record) in (True, False)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, body: str) -> None:
    try:
        passes = compile_body_filters([pattern])
    except InvalidParameter:
        return
    assert passes({}, body) in (True, False)


@given(st.lists(st.sampled_from(["a", "b", "*"]), max_size=7), st.text("ab", max_size=9))
def test_wildcards_are_the_shells(parts: list[str], text: str) -> None:
    shape = "".join(parts)
    while "**" in shape:
        shape = shape.replace("**", "*")
    assert matches({"a": [{"wildcard": shape}]}, {"a": text}) is fnmatchcase(text, shape)


@given(TEXTS, TEXTS)
def test_a_text_that_is_escaped_matches_itself_alone(text: str, other: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("*", "\\*")
    assert matches({"a": [{"wildcard": escaped}]}, {"a": other}) is (text == other)


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1), JSON)
def test_a_pattern_of_a_records_own_values_matches_it(record: dict[str, int], more: object) -> None:
    pattern = {name: [value] for name, value in record.items()}
    assert matches(pattern, {**record, "more": more})
