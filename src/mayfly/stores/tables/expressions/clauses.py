"""All clauses of a request at once: expressions, or the parameters before them, never both.

The one door for those who answer requests. Of several faults the one is told that AWS tells; no
clause is used before all are read, so a request is refused whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions.condition import Condition, compile_condition
from mayfly.stores.tables.expressions.keycondition import KeyCondition, compile_key_condition
from mayfly.stores.tables.expressions.legacy import (
    read_attribute_updates,
    read_attributes_to_get,
    read_expected,
    read_filter,
    read_key_conditions,
)
from mayfly.stores.tables.expressions.placeholders import Placeholders
from mayfly.stores.tables.expressions.projection import Projection, compile_projection
from mayfly.stores.tables.expressions.update import Update, compile_update
from mayfly.stores.tables.values import UnreadableValue

_NAMES = "ExpressionAttributeNames"
_VALUES = "ExpressionAttributeValues"


class Clauses(msgspec.Struct, frozen=True):
    """What a request says besides table, key and item; None where it does not say it."""

    condition: Condition | None = None
    update: Update | None = None
    filter: Condition | None = None
    projection: Projection | None = None
    key: KeyCondition | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """The parameters that an operation takes, in the order in which messages name them."""

    expressions: tuple[str, ...]
    legacy: tuple[str, ...] = ()


_WRITE = _Form(("ConditionExpression",), ("Expected", "ConditionalOperator"))
_UPDATE = _Form(
    ("UpdateExpression", "ConditionExpression"),
    ("AttributeUpdates", "Expected", "ConditionalOperator"),
)
_READ = _Form(("ProjectionExpression",), ("AttributesToGet",))
_FORMS = {
    "PutItem": _WRITE,
    "DeleteItem": _WRITE,
    "UpdateItem": _UPDATE,
    "GetItem": _READ,
    "Keys": _READ,
    "Query": _Form(
        ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
        ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
    ),
    "Scan": _Form(
        ("ProjectionExpression", "FilterExpression"),
        ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
    ),
    "Put": _Form(("ConditionExpression",)),
    "Update": _Form(("UpdateExpression", "ConditionExpression")),
    "Delete": _Form(("ConditionExpression",)),
    "ConditionCheck": _Form(("ConditionExpression",)),
    "Get": _Form(("ProjectionExpression",)),
}
_NONE = Clauses()


def read_clauses(operation: str, request: Mapping[str, object]) -> Clauses:
    """The clauses of a request, ready to be used.

    Args:
        operation: "PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan"; "Keys" for
            a table of BatchGetItem; "Put", "Update", "Delete", "ConditionCheck" or "Get" for a
            part of a transaction.
        request: As parsed from JSON. The numbers of its values are brought into normal form in
            place.

    Raises:
        InvalidRequest: With DynamoDB's message.
    """
    form = _FORMS[operation]
    expressions = [name for name in form.expressions if request.get(name) is not None]
    legacy = [name for name in form.legacy if request.get(name) is not None]
    if expressions and legacy:
        raise InvalidRequest(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(legacy)}}} "
            f"Expression parameters: {{{', '.join(expressions)}}}"
        )
    _refuse_idle_placeholders(form, expressions, request)
    if expressions:
        clauses = _from_expressions(expressions, request)
    elif legacy:
        clauses = _from_legacy(operation, request)
    else:
        clauses = _NONE
    if operation == "UpdateItem" and clauses.update is None:
        return msgspec.structs.replace(clauses, update=Update([]))
    return clauses


def _refuse_idle_placeholders(
    form: _Form, expressions: list[str], request: Mapping[str, object]
) -> None:
    if request.get(_NAMES) is not None and not expressions:
        raise InvalidRequest(f"{_NAMES} can only be specified when using expressions")
    valued = [name for name in form.expressions if name != "ProjectionExpression"]
    used = any(name in expressions for name in valued)
    if valued and not used and request.get(_VALUES) is not None:
        verb = "are" if len(valued) > 1 else "is"
        raise InvalidRequest(
            f"{_VALUES} can only be specified when using expressions: "
            f"{' and '.join(valued)} {verb} null"
        )


def _from_expressions(expressions: list[str], request: Mapping[str, object]) -> Clauses:
    placeholders = Placeholders(request.get(_NAMES), request.get(_VALUES))
    texts = {name: _text(name, request[name]) for name in expressions}

    def condition(parameter: str) -> Condition | None:
        text = texts.get(parameter)
        if text is None:
            return None
        return compile_condition(text, placeholders, parameter=parameter)

    update, projection = texts.get("UpdateExpression"), texts.get("ProjectionExpression")
    key = texts.get("KeyConditionExpression")
    # In AWS's order: of several faults the first is told.
    clauses = Clauses(
        update=None if update is None else compile_update(update, placeholders),
        condition=condition("ConditionExpression"),
        key=None if key is None else compile_key_condition(key, placeholders),
        filter=condition("FilterExpression"),
        projection=None if projection is None else compile_projection(projection, placeholders),
    )
    placeholders.refuse_unused()
    return clauses


def _from_legacy(operation: str, request: Mapping[str, object]) -> Clauses:
    operator = request.get("ConditionalOperator")
    operator = None if operator is None else _text("ConditionalOperator", operator)
    filters = request.get("QueryFilter" if operation == "Query" else "ScanFilter")
    updates, expected = request.get("AttributeUpdates"), request.get("Expected")
    keys, names = request.get("KeyConditions"), request.get("AttributesToGet")
    if operator is not None and expected is None and filters is None:
        raise InvalidRequest("ConditionalOperator cannot be used without Filter or Expected")
    return Clauses(
        update=None if updates is None else read_attribute_updates(updates),
        condition=None if expected is None else read_expected(expected, operator),
        key=None if keys is None else read_key_conditions(keys),
        filter=None if filters is None else read_filter(filters, operator),
        projection=None if names is None else read_attributes_to_get(names),
    )


def _text(parameter: str, text: object) -> str:
    if not isinstance(text, str):
        raise UnreadableValue(f"{parameter} must be a String")
    return text
