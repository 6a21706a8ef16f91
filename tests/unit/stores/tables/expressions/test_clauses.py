"""All clauses of a request: what may stand together, and what placeholders must be."""

from __future__ import annotations

import pytest

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import read_clauses
from mayfly.stores.tables.values import UnreadableValue
from tests.unit.stores.tables.expressions.asking import refuses

V = {":v": {"N": "1"}}


def test_one_request_has_all_its_clauses() -> None:
    clauses = read_clauses(
        "Query",
        {
            "KeyConditionExpression": "pk = :v",
            "FilterExpression": "#a > :v",
            "ProjectionExpression": "#a, b",
            "ExpressionAttributeNames": {"#a": "a"},
            "ExpressionAttributeValues": {":v": {"N": "1.0"}},
        },
    )
    assert clauses.key is not None
    assert clauses.key.attributes == {"pk"}
    assert clauses.filter is not None
    assert clauses.filter.holds({"a": {"N": "1.5"}})
    assert clauses.projection is not None
    assert clauses.projection.attributes == {"a", "b"}
    assert clauses.condition is None
    assert clauses.update is None


def test_an_update_without_an_expression_changes_nothing() -> None:
    for request in ({}, {"ConditionExpression": "attribute_exists(a)"}):
        clauses = read_clauses("UpdateItem", request)
        assert clauses.update is not None
        assert clauses.update.apply(None, {"pk": {"S": "a"}}) == {"pk": {"S": "a"}}
        assert clauses.update.attributes == frozenset()


@pytest.mark.parametrize(
    "operation", ["PutItem", "GetItem", "Scan", "Put", "ConditionCheck", "Get"]
)
def test_a_request_may_have_no_clause(operation: str) -> None:
    clauses = read_clauses(operation, {"TableName": "t", "ReturnValues": "NONE"})
    assert (clauses.condition, clauses.update, clauses.filter) == (None, None, None)


def test_expressions_and_the_parameters_before_them_do_not_mix() -> None:
    refuses(
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributeUpdates, Expected} "
        "Expression parameters: {UpdateExpression, ConditionExpression}",
        "UpdateItem",
        Expected={},
        AttributeUpdates={},
        ConditionExpression="",
        UpdateExpression="",
    )


@pytest.mark.parametrize(
    ("operation", "request_members", "told"),
    [
        (
            "PutItem",
            {"ExpressionAttributeNames": {"#a": "a"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            "PutItem",
            {"ExpressionAttributeValues": V},
            (
                "ExpressionAttributeValues can only be specified when using expressions: "
                "ConditionExpression is null"
            ),
        ),
        (
            "UpdateItem",
            {"ExpressionAttributeValues": V},
            (
                "ExpressionAttributeValues can only be specified when using expressions: "
                "UpdateExpression and ConditionExpression are null"
            ),
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeNames": {}},
            "ExpressionAttributeNames must not be empty",
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {}},
            "ExpressionAttributeValues must not be empty",
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeNames": {"a": "a"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":a-b": {"S": ""}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: ":a-b"',
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {"N": "b"}}},
            (
                "ExpressionAttributeValues contains invalid value: "
                "The parameter cannot be converted to a numeric value: b for key :v"
            ),
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {"SS": []}}},
            (
                "ExpressionAttributeValues contains invalid value: One or more parameter values "
                "were invalid: An string set  may not be empty for key :v"
            ),
        ),
        (
            "Scan",
            {
                "FilterExpression": "a = :v",
                "ExpressionAttributeValues": {**V, ":x": {"S": "a"}, ":y": {"S": "a"}},
            },
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:x, :y}",
        ),
        (
            "GetItem",
            {
                "ProjectionExpression": "#a",
                "ExpressionAttributeNames": {"#a": "a", "#unused": "b"},
            },
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}",
        ),
        (
            "UpdateItem",
            {
                "UpdateExpression": "SET a = :w",
                "ConditionExpression": "b = :w",
                "ExpressionAttributeValues": V,
            },
            (
                "Invalid UpdateExpression: An expression attribute value used in expression is "
                "not defined; attribute value: :w"
            ),
        ),
    ],
)
def test_faulty_placeholders_are_refused_in_dynamodbs_words(
    operation: str, request_members: dict[str, object], told: str
) -> None:
    refuses(told, operation, **request_members)


@pytest.mark.parametrize(
    "request_members",
    [
        {"ConditionExpression": 5},
        {"Expected": []},
        {"Expected": {"a": "b"}},
        {"ConditionExpression": "a = :v", "ExpressionAttributeValues": []},
        {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {"S": 5}}},
        {"ConditionExpression": "a = :v", "ExpressionAttributeNames": {"#v": 5}},
        {"Expected": {"a": {"ComparisonOperator": 5, "AttributeValueList": []}}},
        {"Expected": {"a": {"ComparisonOperator": "EQ", "AttributeValueList": {}}}},
    ],
)
def test_json_of_the_wrong_type_is_a_serialization_exception(
    request_members: dict[str, object],
) -> None:
    with pytest.raises(UnreadableValue):
        read_clauses("PutItem", request_members)


def test_an_empty_name_is_refused() -> None:
    request = {"ProjectionExpression": "#a", "ExpressionAttributeNames": {"#a": ""}}
    with pytest.raises(InvalidRequest, match="for key #a"):
        read_clauses("GetItem", request)
