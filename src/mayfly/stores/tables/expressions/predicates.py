"""The single tests of DynamoDB's conditions, each as a function of an item.

An operand is a constant or a reader; with a constant at its right a test is made for that
constant, so that filtering an item costs a look-up and a comparison. What is not there makes a
test false, but for `<>`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import cast

import msgspec

from mayfly.stores.tables.expressions.paths import Reader
from mayfly.stores.tables.values import AttributeValue, Item, Kind, binary, equal, kind_of

Predicate = Callable[[Item], bool]
# What is compared for order: a text, a Decimal or bytes.
Comparable = str | Decimal | bytes

ORDERED = frozenset({"S", "N", "B"})
_PLAIN = frozenset({"S", "N", "B", "BOOL", "NULL"})
_SET_OF = {"S": "SS", "N": "NS", "B": "BS"}

_COMPARISONS = cast(
    "dict[str, Callable[[object, object], bool]]",
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
)
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPARABLES: dict[str, Callable[[str], Comparable]] = {"S": str, "N": Decimal, "B": binary}


class Operand(msgspec.Struct, frozen=True):
    """A constant where `constant` is set; `name` is a top-level attribute's, where it is one.

    `kind` is that of every value it can be, "" where that depends on the item.
    """

    read: Reader
    constant: AttributeValue | None = None
    name: str = ""
    kind: str = ""


def constant(value: AttributeValue) -> Operand:
    """An operand that is the same for every item."""
    return Operand(lambda _: value, value, kind=kind_of(value))


def exists(operand: Operand) -> Predicate:
    """Whether there is something."""
    name, read = operand.name, operand.read
    return (lambda item: name in item) if name else (lambda item: read(item) is not None)


def missing(operand: Operand) -> Predicate:
    """Whether there is nothing."""
    name, read = operand.name, operand.read
    return (lambda item: name not in item) if name else (lambda item: read(item) is None)


def equals(left: Operand, right: Operand) -> Predicate:
    """`left` = `right`; sets are equal in any order."""
    if left.constant is not None and right.constant is None:
        return equals(right, left)
    read, read_right, wanted = left.read, right.read, right.constant
    if wanted is not None:
        if kind_of(wanted) not in _PLAIN:
            return lambda item: (value := read(item)) is not None and equal(value, wanted)
        if left.name:
            name = left.name
            return lambda item: item.get(name) == wanted
        return lambda item: read(item) == wanted

    def test(item: Item) -> bool:
        value, other = read(item), read_right(item)
        return value is not None and other is not None and equal(value, other)

    return test


def differs(left: Operand, right: Operand) -> Predicate:
    """`left` <> `right`: what is not there differs from everything."""
    same = equals(left, right)
    return lambda item: not same(item)


def compares(sign: str, left: Operand, right: Operand) -> Predicate:
    """`left` < `right` and the like: of one kind, and ordered as a key would be."""
    if left.constant is not None and right.constant is None:
        return compares(MIRRORED[sign], right, left)
    compare = _COMPARISONS[sign]
    read, read_right = left.read, right.read
    if right.constant is not None:
        kind, comparable, bound = _bound(right.constant)

        def test_bound(item: Item) -> bool:
            value = read(item)
            payload = None if value is None else value.get(kind)
            return payload is not None and compare(comparable(cast(str, payload)), bound)

        return test_bound

    def test(item: Item) -> bool:
        value, other = read(item), read_right(item)
        if value is None or other is None:
            return False
        kind = kind_of(value)
        if kind not in ORDERED or kind not in other:
            return False
        return compare(comparable_of(value), comparable_of(other))

    return test


def between(operand: Operand, low: Operand, high: Operand) -> Predicate:
    """`operand` BETWEEN `low` AND `high`, both included."""
    above = compares(">=", operand, low)
    below = compares("<=", operand, high)
    return lambda item: above(item) and below(item)


def among(operand: Operand, options: Sequence[Operand]) -> Predicate:
    """`operand` IN (`options`)."""
    constants = [one.constant for one in options if one.constant is not None]
    read = operand.read
    if len(constants) == len(options) and all(kind_of(one) in _PLAIN for one in constants):
        return lambda item: read(item) in constants
    tests = [equals(operand, option) for option in options]
    return lambda item: any(test(item) for test in tests)


def is_of_kind(operand: Operand, kind: str) -> Predicate:
    """attribute_type."""
    read = operand.read
    return lambda item: kind in (read(item) or ())


def begins_with(operand: Operand, prefix: Operand) -> Predicate:
    """Of texts and of binaries."""
    read, read_prefix = operand.read, prefix.read

    def test(item: Item) -> bool:
        value, start = read(item), read_prefix(item)
        if value is None or start is None:
            return False
        if "S" in value and "S" in start:
            return value["S"].startswith(start["S"])
        if "B" in value and "B" in start:
            return binary(value["B"]).startswith(binary(start["B"]))
        return False

    return test


def contains(container: Operand, part: Operand) -> Predicate:
    """A text in a text, bytes in bytes, a member in a set, an element in a list."""
    read, read_part = container.read, part.read

    def test(item: Item) -> bool:
        value, wanted = read(item), read_part(item)
        return value is not None and wanted is not None and _holds(value, wanted)

    return test


def size(operand: Operand) -> Operand:
    """size(`operand`) as an operand: a number, or nothing where there is no size."""
    read = operand.read

    def measure(item: Item) -> AttributeValue | None:
        value = read(item)
        if value is None:
            return None
        kind = kind_of(value)
        if kind == "B":
            return {"N": str(len(binary(value["B"])))}
        if kind in {"N", "BOOL", "NULL"}:
            return None
        return {"N": str(len(cast("str | list[object]", value[cast(Kind, kind)])))}

    value = operand.constant
    return Operand(measure, None if value is None else measure({}), kind="N")


def negated(test: Predicate) -> Predicate:
    """NOT."""
    return lambda item: not test(item)


def all_of(tests: Sequence[Predicate]) -> Predicate:
    """AND."""
    if len(tests) == 1:
        return tests[0]

    def test(item: Item) -> bool:
        for one in tests:  # noqa: SIM110 - a generator costs more than the tests
            if not one(item):
                return False
        return True

    return test


def any_of(tests: Sequence[Predicate]) -> Predicate:
    """OR."""
    if len(tests) == 1:
        return tests[0]

    def test(item: Item) -> bool:
        for one in tests:  # noqa: SIM110 - a generator costs more than the tests
            if one(item):
                return True
        return False

    return test


def comparable_of(value: AttributeValue) -> Comparable:
    """What a text, number or binary is ordered by. Texts: code points order as UTF-8 does."""
    _, _, comparable = _bound(value)
    return comparable


def _bound(value: AttributeValue) -> tuple[Kind, Callable[[str], Comparable], Comparable]:
    kind = cast(Kind, kind_of(value))
    comparable = _COMPARABLES[kind]
    return kind, comparable, comparable(cast(str, value[kind]))


def _holds(value: AttributeValue, wanted: AttributeValue) -> bool:
    kind = kind_of(value)
    if kind == "L":
        return any(equal(one, wanted) for one in value["L"])
    if kind == "S":
        return "S" in wanted and wanted["S"] in value["S"]
    if kind == "B":
        return "B" in wanted and binary(wanted["B"]) in binary(value["B"])
    wanted_kind = kind_of(wanted)
    if _SET_OF.get(wanted_kind) != kind:
        return False
    member = cast(str, wanted[cast(Kind, wanted_kind)])
    return member in cast("list[str]", value[cast(Kind, kind)])
