"""Key conditions: which part of a table or an index a Query reads.

    hash = :h AND range BETWEEN :a AND :b    becomes    hash, low <= range < high

as bytes of encoded keys. Every operator fits that one form: the least key above `x` is `x` and a
zero byte, and the least above all that start with `x` is `x` with its last byte raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from mayfly.stores.tables.definition import Key, KeyAttribute
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions.condition import (
    incorrect_operand,
    refuse_bounds,
)
from mayfly.stores.tables.expressions.grammar import parse_condition
from mayfly.stores.tables.expressions.placeholders import Placeholders
from mayfly.stores.tables.expressions.predicates import MIRRORED, ORDERED
from mayfly.stores.tables.expressions.tokens import Flaw
from mayfly.stores.tables.expressions.tree import (
    And,
    Between,
    Call,
    Compare,
    In,
    Not,
    Operand,
    Or,
    Path,
    Test,
    Value,
)
from mayfly.stores.tables.keys import TOP, encode, refuse_unfit
from mayfly.stores.tables.values import AttributeValue, kind_of

_PARAMETER = "KeyConditionExpression"
# Messages in which AWS names the parameter itself.
_TOLD_ALREADY = ("Invalid condition in", "Invalid operator used in")
_MISSED = "Query condition missed key schema element: "


class KeyRange(NamedTuple):
    """What a Query reads: of one hash key, `low` <= range key < `high`, as encoded bytes."""

    hash: bytes
    low: bytes
    high: bytes


class KeyTest(msgspec.Struct, frozen=True):
    """One attribute's part: "=", "<", "<=", ">", ">=", "BETWEEN" or "begins_with"."""

    operator: str
    values: tuple[AttributeValue, ...]


class KeyCondition(msgspec.Struct, frozen=True):
    """A key condition, before it is known which key it is of.

    Args:
        tests: By attribute.
    """

    tests: Mapping[str, KeyTest]

    @property
    def attributes(self) -> frozenset[str]:
        """The attributes that it names."""
        return frozenset(self.tests)

    def resolve(self, key: Key) -> KeyRange:
        """The part of a table or an index with this key.

        Raises:
            InvalidRequest: It does not fit the key.
        """
        names = key.names
        if len(self.tests) > len(names):
            raise InvalidRequest(
                f"The number of query conditions ({len(self.tests)}) exceeds the number of "
                f"key attributes defined in the schema ({len(names)})"
            )
        for name in names[: max(len(self.tests), 1)]:
            if name not in self.tests:
                raise InvalidRequest(_MISSED + name)
        hash_test = self.tests[key.hash.name]
        if hash_test.operator != "=":
            raise InvalidRequest("Query key condition not supported")
        (hash_bytes,) = _encoded(key.hash, hash_test, hashed=True)
        if key.range is None or key.range.name not in self.tests:
            return KeyRange(hash_bytes, b"", TOP)
        test = self.tests[key.range.name]
        return KeyRange(hash_bytes, *_bounds(test, _encoded(key.range, test, hashed=False)))


def compile_key_condition(text: str, placeholders: Placeholders) -> KeyCondition:
    """A key condition from its text.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        written = parse_condition(text)
        _refuse_operators(written)
        return KeyCondition(_tests(written, placeholders))
    except Flaw as flaw:
        told = str(flaw)
        if told.startswith(_TOLD_ALREADY):
            raise InvalidRequest(told) from None
        raise InvalidRequest(f"Invalid {_PARAMETER}: {told}") from None


def prefix_end(prefix: bytes) -> bytes:
    """The least bytes above all that start with a prefix."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else TOP


def _bounds(test: KeyTest, values: Sequence[bytes]) -> tuple[bytes, bytes]:
    value = values[0]
    match test.operator:
        case "=":
            bounds = value, value + b"\0"
        case "<":
            bounds = b"", value
        case "<=":
            bounds = b"", value + b"\0"
        case ">":
            bounds = value + b"\0", TOP
        case ">=":
            bounds = value, TOP
        case "begins_with":
            bounds = value, prefix_end(value)
        case _:
            bounds = value, values[1] + b"\0"
    return bounds


def _encoded(part: KeyAttribute, test: KeyTest, *, hashed: bool) -> list[bytes]:
    for value in test.values:
        if part.type not in value or (test.operator == "begins_with" and part.type == "N"):
            raise InvalidRequest(
                "One or more parameter values were invalid: "
                "Condition parameter type does not match schema type"
            )
    encoded = [encode(value) for value in test.values]
    for one in encoded:
        refuse_unfit(part, one, hashed=hashed)
    return encoded


def _parts(written: Test) -> Iterator[Test]:
    if isinstance(written, And):
        for part in written.parts:
            yield from _parts(part)
    else:
        yield written


def _refuse_operators(written: Test) -> None:
    """Refuse whatever a key condition may not hold, before its operands are looked at."""
    for part in _parts(written):
        found = ""
        if isinstance(part, Not | In | Or):
            found = type(part).__name__.upper()
        elif isinstance(part, Compare) and part.operator == "<>":
            found = part.operator
        elif isinstance(part, Call) and part.function != "begins_with":
            found = part.function
        if found:
            raise Flaw(f"Invalid operator used in KeyConditionExpression: {found}")


def _tests(written: Test, placeholders: Placeholders) -> dict[str, KeyTest]:
    tests: dict[str, KeyTest] = {}
    for part in _parts(written):
        name, test = _test(part, placeholders)
        if name in tests:
            raise Flaw("KeyConditionExpressions must only contain one condition per key")
        tests[name] = test
    return tests


def _test(part: Test, placeholders: Placeholders) -> tuple[str, KeyTest]:
    """One condition of a key: the attribute, and what it must be."""
    match part:
        case Compare(operator, Path() as path, value):
            name, values = _name(path, placeholders), [_constant(value, placeholders)]
        case Compare(operator, value, Path() as path):
            values, name = [_constant(value, placeholders)], _name(path, placeholders)
        case Between(Path() as path, low, high):
            operator, name = "BETWEEN", _name(path, placeholders)
            values = [_constant(low, placeholders), _constant(high, placeholders)]
        case Call("begins_with", (Path() as path, value)):
            operator, name = "begins_with", _name(path, placeholders)
            values = [_constant(value, placeholders)]
        case _:
            raise _misshapen(part)
    _refuse_kinds(operator, values)
    if isinstance(part, Compare) and not isinstance(part.left, Path):
        operator = MIRRORED.get(operator, operator)
    return name, KeyTest(operator, tuple(values))


def _refuse_kinds(operator: str, values: Sequence[AttributeValue]) -> None:
    kinds = {"=": None, "begins_with": frozenset({"S", "B"})}.get(operator, ORDERED)
    for value in values:
        if kinds is not None and kind_of(value) not in kinds:
            raise incorrect_operand(operator, kind_of(value))
    if operator == "BETWEEN":
        refuse_bounds(values[0], values[1])


def _name(path: Path, placeholders: Placeholders) -> str:
    steps = placeholders.path(path)
    if len(steps) > 1:
        raise Flaw("KeyConditionExpressions cannot have conditions on nested attributes")
    return cast(str, steps[0])


def _constant(operand: Operand, placeholders: Placeholders) -> AttributeValue:
    match operand:
        case Value(name):
            return placeholders.value(name)
        case Call():
            raise Flaw("KeyConditionExpressions cannot contain nested operations")
        case Path():
            raise Flaw(
                "Invalid condition in KeyConditionExpression: "
                "Multiple attribute names used in one condition"
            )


def _misshapen(part: Test) -> Flaw:
    """What is wrong with a condition that has no attribute where it belongs."""
    match part:
        case Compare(_, left, right) if isinstance(left, Call) or isinstance(right, Call):
            return Flaw("KeyConditionExpressions cannot contain nested operations")
        case Between():
            what = "BETWEEN operator must have the key attribute as its first operand"
        case Call("begins_with", (_, _)):
            what = "begins_with operator must have the key attribute as its first operand"
        case Call(function, operands):
            return Flaw(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {function}, number of operands: {len(operands)}"
            )
        case _:
            what = "No key attribute specified"
    return Flaw(f"Invalid condition in KeyConditionExpression: {what}")
