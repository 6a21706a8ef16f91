"""Values: what is refused with which words, and what an item's size is."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.values import (
    ITEM_BYTES_MAX,
    NESTING_MAX,
    AttributeValue,
    Item,
    UnreadableValue,
    equal,
    item_size,
    read_item,
    read_value,
    refuse_deep,
    refuse_large,
)
from tests.unit.stores.tables.strategies import items, meaning, values, wire

INVALID = "One or more parameter values were invalid: "


def nested(levels: int, kind: str) -> object:
    """A text inside as many containers."""
    value: object = {"S": "x"}
    for _ in range(levels):
        value = {"M": {"a": value}} if kind == "M" else {"L": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported"),
        ({"X": "a"}, "Supplied AttributeValue is empty"),
        ({"S": "a", "N": "1"}, "has more than one datatypes set"),
        ({"SS": []}, f"{INVALID}An string set  may not be empty"),
        ({"NS": []}, f"{INVALID}An number set  may not be empty"),
        ({"BS": []}, f"{INVALID}Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, f"{INVALID}Input collection [a, a] contains duplicates."),
        ({"NS": ["1", "1.0"]}, f"{INVALID}Input collection contains duplicates."),
        (
            {"BS": ["Yg==", "Yg=="]},
            f"{INVALID}Input collection [Yg==, Yg==]of type BS contains duplicates.",
        ),
        ({"NULL": False}, f"{INVALID}Null attribute value types must have the value of true"),
        ({"N": ""}, "The parameter cannot be converted to a numeric value: "),
        ({"L": [{}]}, "Supplied AttributeValue is empty"),
    ],
)
def test_what_dynamodb_refuses_is_refused_with_its_words(value: object, told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_item({"a": value})
    assert str(refused.value).find(told) in {0, len("Supplied AttributeValue ")}
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    "value",
    [
        {"S": 5},
        {"N": 1},
        {"N": 1.5},
        {"BOOL": "true"},
        {"NULL": "no"},
        {"B": "a"},
        {"B": "Yh=="},
        {"B": "Y g="},
        {"B": "\u00e9\u00e9\u00e9\u00e9"},
        {"S": "\ud800"},
        {"M": {"\ud800": {"S": "a"}}},
        {"SS": "a"},
        {"SS": [1]},
        {"M": []},
        {"L": {}},
        {"L": [5]},
        "a",
        5,
        None,
        True,
    ],
)
def test_json_of_the_wrong_type_is_a_serialization_exception(value: object) -> None:
    with pytest.raises(UnreadableValue) as refused:
        read_item({"a": value})
    assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("kind", ["M", "L"])
def test_a_value_has_32_levels_at_most(kind: str) -> None:
    read_item({"a": nested(NESTING_MAX - 1, kind)})
    with pytest.raises(InvalidRequest, match="Nesting Levels have exceeded supported limits"):
        read_item({"a": nested(NESTING_MAX, kind)})
    with pytest.raises(InvalidRequest, match="Nesting Levels"):
        read_value(nested(2000, kind))


def test_levels_are_counted_for_what_is_put_inside_as_well() -> None:
    value = read_value(nested(3, "L"))
    refuse_deep(value, 4)
    with pytest.raises(InvalidRequest, match="Nesting Levels"):
        refuse_deep(value, 3)


def test_an_absent_member_written_as_null_is_absent() -> None:
    assert read_value({"S": "a", "N": None}) == {"S": "a"}


def test_numbers_are_brought_into_normal_form_in_place() -> None:
    document = {
        "a": {"N": "1.50"},
        "b": {"L": [{"NS": ["1e1", "2"]}]},
        "c": {"M": {"d": {"N": "-0"}}},
    }
    item, _ = read_item(document)
    assert item is document
    assert item == {
        "a": {"N": "1.5"},
        "b": {"L": [{"NS": ["10", "2"]}]},
        "c": {"M": {"d": {"N": "0"}}},
    }


def test_sizes_are_those_of_the_developer_guide() -> None:
    item = {
        "pk": {"S": "\u00e9a"},
        "n": {"N": "123"},
        "b": {"B": "Yg=="},
        "t": {"BOOL": True},
        "z": {"NULL": True},
        "m": {"M": {"k": {"S": "vv"}}},
        "l": {"L": [{"S": "a"}, {"N": "1"}]},
        "e": {"M": {}},
        "s": {"SS": ["a", "bc"]},
    }
    sizes = [2 + 3, 1 + 3, 1 + 1, 1 + 1, 1 + 1, 1 + 3 + 1 + 1 + 2, 1 + 3 + 2 + 1 + 2, 1 + 3, 1 + 3]
    assert read_item(item)[1] == sum(sizes)


@given(items)
def test_reading_measures_what_measuring_measures(item: Item) -> None:
    read, size = read_item(item)
    assert size == item_size(read)


@given(items)
def test_reading_changes_nothing_but_the_writing_of_numbers(item: Item) -> None:
    before = {name: meaning(value) for name, value in copy.deepcopy(item).items()}
    read, _ = read_item(item)
    assert {name: meaning(value) for name, value in read.items()} == before


@given(values, values)
def test_values_are_equal_when_they_mean_the_same(
    one: AttributeValue, other: AttributeValue
) -> None:
    first, second = read_value(one), read_value(other)
    assert equal(first, second) == (meaning(first) == meaning(second))
    assert equal(first, first)


def test_a_set_is_equal_in_any_order_at_any_depth() -> None:
    one = wire("M", {"a": wire("L", [wire("SS", ["a", "b"])])})
    other = wire("M", {"a": wire("L", [wire("SS", ["b", "a"])])})
    assert equal(one, other)
    assert not equal(one, wire("M", {"a": wire("L", [wire("NS", ["1"])])}))


def test_an_item_over_400_kilobytes_is_refused() -> None:
    refuse_large(ITEM_BYTES_MAX)
    with pytest.raises(InvalidRequest, match=r"^Item size has exceeded the maximum allowed size$"):
        refuse_large(ITEM_BYTES_MAX + 1)
    with pytest.raises(InvalidRequest, match=r"^Item size to update has exceeded"):
        refuse_large(ITEM_BYTES_MAX + 1, update=True)
