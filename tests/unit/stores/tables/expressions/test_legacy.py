"""The parameters before expressions: the same conditions, updates and keys, their own words."""

from __future__ import annotations

import pytest

from mayfly.stores.tables.definition import Key, KeyAttribute, KeyType
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import Clauses, read_clauses
from tests.unit.stores.tables.expressions.asking import item_of, refuses

INVALID = "One or more parameter values were invalid: "
ITEM = {"a": {"S": "text"}, "n": {"N": "5"}, "s": {"SS": ["x"]}, "l": {"L": [{"N": "1"}]}}


def compared(operator: str, *values: object) -> dict[str, object]:
    """A condition of one attribute."""
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


def asked(clauses: Clauses) -> bool:
    """Whether a filter or a condition holds for ITEM."""
    condition = clauses.filter or clauses.condition
    assert condition is not None
    return condition.holds(item_of(ITEM))


@pytest.mark.parametrize(
    ("name", "condition", "wanted"),
    [
        ("a", compared("EQ", {"S": "text"}), True),
        ("a", compared("NE", {"S": "text"}), False),
        ("q", compared("NE", {"S": "text"}), True),
        ("n", compared("LE", {"N": "5.0"}), True),
        ("n", compared("LT", {"N": "5.0"}), False),
        ("n", compared("GE", {"N": "4"}), True),
        ("n", compared("GT", {"S": "4"}), False),
        ("n", compared("BETWEEN", {"N": "4"}, {"N": "6"}), True),
        ("n", compared("IN", {"N": "4"}, {"N": "5.0"}), True),
        ("a", compared("BEGINS_WITH", {"S": "te"}), True),
        ("a", compared("CONTAINS", {"S": "ex"}), True),
        ("s", compared("CONTAINS", {"S": "x"}), True),
        ("l", compared("CONTAINS", {"N": "1"}), True),
        ("l", compared("NOT_CONTAINS", {"N": "2"}), True),
        ("q", compared("NOT_CONTAINS", {"N": "2"}), False),
        ("q", compared("NULL"), True),
        ("a", {"ComparisonOperator": "NOT_NULL"}, True),
    ],
)
def test_a_filter_compares(name: str, condition: object, wanted: bool) -> None:
    assert asked(read_clauses("Scan", {"ScanFilter": {name: condition}})) is wanted
    key = {"k": compared("EQ", {"S": "k"})}
    request = {"QueryFilter": {name: condition}, "KeyConditions": key}
    assert asked(read_clauses("Query", request)) is wanted
    assert asked(read_clauses("PutItem", {"Expected": {name: condition}})) is wanted


def test_expected_has_an_older_form() -> None:
    wants = {"a": {"Value": {"S": "text"}}, "q": {"Exists": False}}
    assert asked(read_clauses("DeleteItem", {"Expected": wants}))
    wants = {"a": {"Value": {"S": "text"}, "Exists": True}, "n": {"Exists": False}}
    assert not asked(read_clauses("DeleteItem", {"Expected": wants}))
    either = {"Expected": wants, "ConditionalOperator": "OR"}
    assert asked(read_clauses("DeleteItem", either))
    one = {"a": {"Value": {"S": "text"}, "ComparisonOperator": "EQ"}}
    assert asked(read_clauses("DeleteItem", {"Expected": one}))


def test_attribute_updates_put_add_and_delete() -> None:
    clauses = read_clauses(
        "UpdateItem",
        {
            "AttributeUpdates": {
                "a": {"Action": "DELETE"},
                "b": {"Value": {"N": "1.0"}},
                "n": {"Action": "ADD", "Value": {"N": "2"}},
                "s": {"Action": "DELETE", "Value": {"SS": ["x"]}},
                "t": {"Action": "ADD", "Value": {"NS": ["1"]}},
                "l": {"Action": "ADD", "Value": {"L": [{"N": "2"}]}},
            }
        },
    )
    assert clauses.update is not None
    new = clauses.update.apply(item_of(ITEM), {})
    assert new == {
        "b": {"N": "1"},
        "n": {"N": "7"},
        "t": {"NS": ["1"]},
        "l": {"L": [{"N": "1"}, {"N": "2"}]},
    }
    shown = clauses.update.returned("UPDATED_OLD", item_of(ITEM), new)
    assert shown == {"a": {"S": "text"}, "n": {"N": "5"}, "s": {"SS": ["x"]}, "l": ITEM["l"]}


@pytest.mark.parametrize("name", ["a", "l"])
def test_an_add_to_another_type_is_refused(name: str) -> None:
    added = {"Action": "ADD", "Value": {"N": "2"}}
    clauses = read_clauses("UpdateItem", {"AttributeUpdates": {name: added}})
    assert clauses.update is not None
    with pytest.raises(InvalidRequest, match=r"^Type mismatch for attribute to update"):
        clauses.update.apply(item_of(ITEM), {})


def test_key_conditions_bound_a_range() -> None:
    key = Key(KeyAttribute("h", KeyType.STRING), KeyAttribute("r", KeyType.STRING))
    asks = {"h": compared("EQ", {"S": "x"}), "r": compared("BEGINS_WITH", {"S": "a"})}
    clauses = read_clauses("Query", {"KeyConditions": asks})
    assert clauses.key is not None
    assert clauses.key.resolve(key) == (b"x", b"a", b"b")


def test_attributes_to_get_are_a_projection() -> None:
    clauses = read_clauses("GetItem", {"AttributesToGet": ["a", "name", "a.b"]})
    assert clauses.projection is not None
    assert clauses.projection.of(item_of(ITEM)) == {"a": {"S": "text"}}


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ({}, "Value must be provided when Exists is null for Attribute: a"),
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
        (
            {"Exists": False, "Value": {"S": "a"}},
            "Value cannot be used when Exists is false for Attribute: a",
        ),
        (
            {"Value": {"S": "a"}, "AttributeValueList": []},
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"Exists": False, "ComparisonOperator": "NULL"},
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"AttributeValueList": [{"S": "a"}]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            {"ComparisonOperator": "EQ"},
            (
                "Value or AttributeValueList must be used with ComparisonOperator: EQ "
                "for Attribute: a"
            ),
        ),
        (compared("EQ"), "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (
            compared("NULL", {"S": "a"}),
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (compared("IN"), "Invalid number of argument(s) for the IN ComparisonOperator"),
        (
            compared("IN", {"S": "a"}, {"N": "1"}),
            "AttributeValues inside AttributeValueList must be of same type",
        ),
        (
            compared("LT", {"BOOL": True}),
            "ComparisonOperator LT is not valid for BOOL AttributeValue type",
        ),
    ],
)
def test_a_faulty_expectation_is_refused_in_dynamodbs_words(expected: object, told: str) -> None:
    refuses(f"{INVALID}{told}", "PutItem", Expected={"a": expected})


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({}, "Only DELETE action is allowed when no attribute value is specified"),
        (
            {"Action": "DELETE", "Value": {"S": "a"}},
            "DELETE action with value is not supported for the type S",
        ),
        ({"Action": "ADD", "Value": {"M": {}}}, "ADD action is not supported for the type M"),
    ],
)
def test_a_faulty_attribute_update_is_refused_in_dynamodbs_words(update: object, told: str) -> None:
    refuses(f"{INVALID}{told}", "UpdateItem", AttributeUpdates={"a": update})


def test_other_faults_are_refused_in_dynamodbs_words() -> None:
    between = compared("BETWEEN", {"N": "2"}, {"N": "1"})
    refuses(
        "The BETWEEN condition was provided a range where the lower bound is greater than the "
        "upper bound",
        "Scan",
        ScanFilter={"a": between},
    )
    refuses(
        "Attempted conditional constraint is not an indexable operation",
        "Query",
        KeyConditions={"a": compared("NE", {"S": "a"})},
    )
    refuses(f"{INVALID}Duplicate value in attribute name: a", "GetItem", AttributesToGet=["a", "a"])
    refuses(
        "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        "PutItem",
        Expected={"a": {"Exists": False}},
        ConditionalOperator="OR",
    )
    refuses(
        "ConditionalOperator cannot be used without Filter or Expected",
        "PutItem",
        ConditionalOperator="OR",
    )
