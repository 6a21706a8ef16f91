"""The parameters that expressions replaced, as the same conditions, updates and key conditions.

    Expected, QueryFilter, ScanFilter   {name: {ComparisonOperator, AttributeValueList}}
    Expected, older                     {name: {Exists, Value}}
    AttributeUpdates                    {name: {Action: PUT | ADD | DELETE, Value}}
    KeyConditions                       as a filter, of a key
    AttributesToGet                     [name, ...]

Source: Developer Guide, "Legacy DynamoDB conditional parameters".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import predicates
from mayfly.stores.tables.expressions.condition import Condition
from mayfly.stores.tables.expressions.keycondition import KeyCondition, KeyTest
from mayfly.stores.tables.expressions.paths import reader
from mayfly.stores.tables.expressions.predicates import ORDERED, Operand, Predicate
from mayfly.stores.tables.expressions.projection import Projection, projection_of
from mayfly.stores.tables.expressions.update import SETS, Change, Update, Write, difference, union
from mayfly.stores.tables.values import AttributeValue, UnreadableValue, kind_of, read_value

_INVALID = "One or more parameter values were invalid: "
_MISMATCH = "Type mismatch for attribute to update"
_TEXTUAL = frozenset({"S", "B"})

# How many values an operator takes, and of which kinds; None: any.
_COUNTS = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2, "IN": -1}
_KINDS = {
    **dict.fromkeys(("LE", "LT", "GE", "GT", "BETWEEN"), ORDERED),
    "BEGINS_WITH": _TEXTUAL,
    **dict.fromkeys(("CONTAINS", "NOT_CONTAINS"), frozenset({"S", "N", "B", "BOOL", "NULL"})),
}
_SIGNS = {"EQ": "=", "LE": "<=", "LT": "<", "GE": ">=", "GT": ">"}
_KEY_OPERATORS = {**_SIGNS, "BETWEEN": "BETWEEN", "BEGINS_WITH": "begins_with"}
_OPERATORS = frozenset(
    {*_SIGNS, "NE", "BETWEEN", "BEGINS_WITH", "IN", "NULL", "NOT_NULL", "CONTAINS", "NOT_CONTAINS"}
)


def read_filter(document: object, operator: str | None) -> Condition:
    """QueryFilter or ScanFilter.

    Args:
        document: As parsed from JSON.
        operator: ConditionalOperator: "AND", "OR" or None.

    Raises:
        InvalidRequest: It is not as DynamoDB takes it.
    """
    given = _structures(document)
    tests = [_comparison(name, *_compared(one)) for name, one in given.items()]
    return _joined(given, tests, operator)


def read_expected(document: object, operator: str | None) -> Condition:
    """Expected, in its newer and its older form.

    Args:
        document: As parsed from JSON.
        operator: ConditionalOperator: "AND", "OR" or None.

    Raises:
        InvalidRequest: It is not as DynamoDB takes it.
    """
    given = _structures(document)
    return _joined(given, [_expected(name, one) for name, one in given.items()], operator)


def read_attribute_updates(document: object) -> Update:
    """AttributeUpdates.

    Raises:
        InvalidRequest: An action and its value do not fit.
    """
    given = _structures(document)
    return Update([_write(name, one) for name, one in given.items()])


def read_key_conditions(document: object) -> KeyCondition:
    """KeyConditions.

    Raises:
        InvalidRequest: They are not as DynamoDB takes them.
    """
    tests = {}
    for name, one in _structures(document).items():
        operator, values = _compared(one)
        sign = _KEY_OPERATORS.get(operator)
        if sign is None:
            raise InvalidRequest("Attempted conditional constraint is not an indexable operation")
        tests[name] = KeyTest(sign, tuple(values))
    if not tests:
        raise InvalidRequest("Conditions can be of length 1 or 2 only")
    return KeyCondition(tests)


def read_attributes_to_get(document: object) -> Projection:
    """AttributesToGet.

    Raises:
        InvalidRequest: It is no list of names, or names one twice.
    """
    names = _list(document)
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise UnreadableValue("AttributesToGet must be a list of Strings")
        if name in seen:
            raise InvalidRequest(f"{_INVALID}Duplicate value in attribute name: {name}")
        seen.add(name)
    if not names:
        raise InvalidRequest(
            "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1"
        )
    return projection_of((name,) for name in cast("Sequence[str]", names))


def _joined(
    given: Mapping[str, object], tests: Sequence[Predicate], operator: str | None
) -> Condition:
    if operator is not None and len(given) < 2:
        raise InvalidRequest(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
            if given
            else "ConditionalOperator cannot be used without Filter or Expected"
        )
    if operator not in {None, "AND", "OR"}:
        raise InvalidRequest(
            f"1 validation error detected: Value '{operator}' at 'conditionalOperator' failed to "
            "satisfy constraint: Member must satisfy enum value set: [OR, AND]"
        )
    join = predicates.any_of if operator == "OR" else predicates.all_of
    return Condition(join(tests), frozenset(given))


def _expected(name: str, given: Mapping[str, object]) -> Predicate:
    """One attribute of Expected."""
    value, values = given.get("Value"), given.get("AttributeValueList")
    exists, operator = given.get("Exists"), _word(given, "ComparisonOperator")
    _refuse_together(name, given)
    if operator is not None:
        if value is values is None and operator not in {"NULL", "NOT_NULL"}:
            raise InvalidRequest(
                f"{_INVALID}Value or AttributeValueList must be used with ComparisonOperator: "
                f"{operator} for Attribute: {name}"
            )
        listed = values if values is not None else [] if value is None else [value]
        return _comparison(
            name, *_compared({"ComparisonOperator": operator, "AttributeValueList": listed})
        )
    if values is not None:
        raise InvalidRequest(
            f"{_INVALID}AttributeValueList can only be used with a ComparisonOperator "
            f"for Attribute: {name}"
        )
    if exists is False:
        if value is not None:
            raise InvalidRequest(
                f"{_INVALID}Value cannot be used when Exists is false for Attribute: {name}"
            )
        return predicates.missing(_attribute(name))
    if value is None:
        told = "null" if exists is None else "true"
        raise InvalidRequest(
            f"{_INVALID}Value must be provided when Exists is {told} for Attribute: {name}"
        )
    return predicates.equals(_attribute(name), predicates.constant(read_value(value)))


def _refuse_together(name: str, given: Mapping[str, object]) -> None:
    for one, other in (("Value", "AttributeValueList"), ("Exists", "ComparisonOperator")):
        if given.get(one) is not None and given.get(other) is not None:
            raise InvalidRequest(
                f"{_INVALID}{one} and {other} cannot be used together for Attribute: {name}"
            )


def _compared(given: Mapping[str, object]) -> tuple[str, list[AttributeValue]]:
    """An operator and its values, which fit it."""
    operator = _word(given, "ComparisonOperator")
    listed = given.get("AttributeValueList")
    values = [read_value(one) for one in _list([] if listed is None else listed)]
    if operator is None or operator not in _OPERATORS:
        told = "null" if operator is None else f"'{operator}'"
        constraint = "not be null" if operator is None else "satisfy enum value set"
        raise InvalidRequest(
            f"1 validation error detected: Value {told} at 'comparisonOperator' failed to "
            f"satisfy constraint: Member must {constraint}"
        )
    _refuse_values(operator, values)
    return operator, values


def _refuse_values(operator: str, values: Sequence[AttributeValue]) -> None:
    count = _COUNTS.get(operator, 1)
    if len(values) != count and (count >= 0 or not values):
        raise InvalidRequest(
            f"{_INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator"
        )
    kinds = {kind_of(value) for value in values}
    if len(kinds) > 1:
        raise InvalidRequest(
            f"{_INVALID}AttributeValues inside AttributeValueList must be of same type"
        )
    for kind in kinds - _KINDS.get(operator, frozenset(kinds)):
        raise InvalidRequest(
            f"{_INVALID}ComparisonOperator {operator} is not valid for {kind} AttributeValue type"
        )
    if operator == "BETWEEN":
        low, high = map(predicates.constant, values)
        if predicates.compares(">", low, high)({}):
            raise InvalidRequest(
                "The BETWEEN condition was provided a range where the lower bound is greater "
                "than the upper bound"
            )


def _comparison(name: str, operator: str, values: Sequence[AttributeValue]) -> Predicate:
    attribute = _attribute(name)
    constants = [predicates.constant(value) for value in values]
    return _TESTS[operator](attribute, constants)


def _lacks(attribute: Operand, constants: Sequence[Operand]) -> Predicate:
    """NOT_CONTAINS, which wants that there is something to contain."""
    there = predicates.exists(attribute)
    holds = predicates.contains(attribute, constants[0])
    return lambda item: there(item) and not holds(item)


_TESTS: dict[str, Callable[[Operand, Sequence[Operand]], Predicate]] = {
    "EQ": lambda attribute, of: predicates.equals(attribute, of[0]),
    "NE": lambda attribute, of: predicates.differs(attribute, of[0]),
    "LE": lambda attribute, of: predicates.compares("<=", attribute, of[0]),
    "LT": lambda attribute, of: predicates.compares("<", attribute, of[0]),
    "GE": lambda attribute, of: predicates.compares(">=", attribute, of[0]),
    "GT": lambda attribute, of: predicates.compares(">", attribute, of[0]),
    "BETWEEN": lambda attribute, of: predicates.between(attribute, of[0], of[1]),
    "IN": predicates.among,
    "BEGINS_WITH": lambda attribute, of: predicates.begins_with(attribute, of[0]),
    "CONTAINS": lambda attribute, of: predicates.contains(attribute, of[0]),
    "NOT_CONTAINS": _lacks,
    "NULL": lambda attribute, _: predicates.missing(attribute),
    "NOT_NULL": lambda attribute, _: predicates.exists(attribute),
}


def _attribute(name: str) -> Operand:
    return Operand(reader((name,)), name=name)


def _write(name: str, given: Mapping[str, object]) -> Write:
    """One attribute of AttributeUpdates."""
    action = _word(given, "Action") or "PUT"
    if given.get("Value") is None:
        if action != "DELETE":
            raise InvalidRequest(
                f"{_INVALID}Only DELETE action is allowed when no attribute value is specified"
            )
        return Write((name,))
    value = read_value(given["Value"])
    match action:
        case "PUT":
            return Write((name,), source=lambda _: value)
        case "ADD" | "DELETE":
            return Write((name,), change=_change(action, value))
        case _:
            raise InvalidRequest(
                f"1 validation error detected: Value '{action}' at 'attributeUpdates.{name}."
                "member.action' failed to satisfy constraint: Member must satisfy enum value "
                "set: [ADD, PUT, DELETE]"
            )


def _change(action: str, value: AttributeValue) -> Change:
    kind = kind_of(value)
    if action == "DELETE":
        if kind not in SETS:
            raise InvalidRequest(
                f"{_INVALID}DELETE action with value is not supported for the type {kind}"
            )
        return difference(value, _MISMATCH)
    if kind == "L":
        return _appended(value)
    if kind not in SETS and kind != "N":
        raise InvalidRequest(f"{_INVALID}ADD action is not supported for the type {kind}")
    return union(value, _MISMATCH)


def _appended(more: AttributeValue) -> Change:
    """ADD of a list, which expressions cannot do."""

    def change(present: AttributeValue | None) -> AttributeValue | None:
        if present is None:
            return more
        if "L" not in present:
            raise InvalidRequest(_MISMATCH)
        return {"L": present["L"] + more["L"]}

    return change


def _word(given: Mapping[str, object], member: str) -> str | None:
    """A member that is a text, where it is there."""
    word = given.get(member)
    if word is not None and not isinstance(word, str):
        raise UnreadableValue(f"{member} must be a String")
    return word


def _structures(document: object) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(document, dict):
        raise UnreadableValue("Expected map or null")
    for one in document.values():
        if not isinstance(one, dict):
            raise UnreadableValue("Expected null")
    return document


def _list(document: object) -> Sequence[object]:
    if not isinstance(document, list):
        raise UnreadableValue("Expected list or null")
    return document
