"""Conditions: a parsed expression and a request's placeholders become one function of an item.

Whatever can be known to be wrong without an item is refused here, in the order of the text; an
item itself never makes a condition fail, it only makes it false.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never, cast

import msgspec

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import predicates
from mayfly.stores.tables.expressions.grammar import parse_condition
from mayfly.stores.tables.expressions.paths import reader, shown
from mayfly.stores.tables.expressions.placeholders import Placeholders, Steps
from mayfly.stores.tables.expressions.predicates import ORDERED, Operand, Predicate
from mayfly.stores.tables.expressions.tokens import Flaw
from mayfly.stores.tables.expressions.tree import (
    And,
    Between,
    Call,
    Compare,
    In,
    Not,
    Or,
    Path,
    Test,
    Value,
)
from mayfly.stores.tables.expressions.tree import Operand as Written
from mayfly.stores.tables.values import AttributeValue, kind_of

_KINDS = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
_SIZED = frozenset({"S", "B", "SS", "NS", "BS", "L", "M"})


class Condition(msgspec.Struct, frozen=True):
    """A condition or a filter, ready to be asked.

    Args:
        holds: Whether it holds for an item; {} stands for an item that is not there.
        attributes: The top-level names that it reads.
    """

    holds: Predicate
    attributes: frozenset[str]


def compile_condition(
    text: str, placeholders: Placeholders, *, parameter: str = "ConditionExpression"
) -> Condition:
    """A condition from its text.

    Args:
        text: At most 4 KB.
        placeholders: The request's; those that are used are marked so.
        parameter: What it is called in messages.

    Raises:
        InvalidRequest: It is not a condition, or its operands do not fit.
    """
    try:
        written = parse_condition(text)
        binder = Binder(placeholders)
        return Condition(binder.test(written), frozenset(binder.attributes))
    except Flaw as flaw:
        raise InvalidRequest(f"Invalid {parameter}: {flaw}") from None


class Binder:
    """Puts a request's names and values into a parsed condition, in the order of the text.

    Args:
        placeholders: The request's.
    """

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self.attributes: set[str] = set()

    def test(self, written: Test) -> Predicate:
        """A condition as a function of an item.

        Raises:
            Flaw: A placeholder is not defined, or an operand does not fit.
        """
        test: Predicate
        match written:
            case Compare():
                test = self._compare(written)
            case Call():
                test = self._call(written)
            case And(parts):
                test = predicates.all_of([self.test(part) for part in parts])
            case Or(parts):
                test = predicates.any_of([self.test(part) for part in parts])
            case Not(part):
                test = predicates.negated(self.test(part))
            case Between():
                test = self._between(written)
            case In(operand, options):
                left = self.operand(operand)
                test = predicates.among(left, [self.operand(option) for option in options])
            case _:
                assert_never(written)
        return test

    def operand(self, written: Written) -> Operand:
        """An operand, as a constant or a reader."""
        match written:
            case Value(name):
                return predicates.constant(self._placeholders.value(name))
            case Path():
                return self._path(written)
            case Call(function, operands):
                (operand,) = self._operands(function, operands, count=1)
                refuse_kind("size", operand, _SIZED)
                return predicates.size(operand)
            case _:
                assert_never(written)

    def _path(self, path: Path) -> Operand:
        steps = self._placeholders.path(path)
        top = cast(str, steps[0])
        self.attributes.add(top)
        return Operand(reader(steps), name=top if len(steps) == 1 else "")

    def _compare(self, written: Compare) -> Predicate:
        sign = written.operator
        left, right = self.operand(written.left), self.operand(written.right)
        self._refuse_same(sign, written.left, written.right)
        if sign == "=":
            return predicates.equals(left, right)
        if sign == "<>":
            return predicates.differs(left, right)
        refuse_kind(sign, left, ORDERED)
        refuse_kind(sign, right, ORDERED)
        return predicates.compares(sign, left, right)

    def _between(self, written: Between) -> Predicate:
        operand = self.operand(written.operand)
        low, high = self.operand(written.low), self.operand(written.high)
        for one in (operand, low, high):
            refuse_kind("BETWEEN", one, ORDERED)
        if low.constant is not None and high.constant is not None:
            refuse_bounds(low.constant, high.constant)
        return predicates.between(operand, low, high)

    def _call(self, written: Call) -> Predicate:
        function = written.function
        make = _FUNCTIONS[function]
        operands = self._operands(function, written.operands, count=make.count)
        if make.of_path and not isinstance(written.operands[0], Path):
            raise Flaw(
                f"Operator or function requires a document path; operator or function: {function}"
            )
        if make.count > 1:
            self._refuse_same(function, written.operands[0], written.operands[1])
        return make.bind(operands)

    def _operands(
        self, function: str, written: tuple[Written, ...], *, count: int
    ) -> list[Operand]:
        operands = [self.operand(one) for one in written]
        if len(operands) != count:
            raise Flaw(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {function}, number of operands: {len(operands)}"
            )
        return operands

    def _refuse_same(self, operator: str, one: Written, other: Written) -> None:
        if not isinstance(one, Path) or not isinstance(other, Path):
            return
        steps: Steps = self._placeholders.path(one)
        if steps == self._placeholders.path(other):
            raise Flaw(
                "The first operand must be distinct from the remaining operands for this "
                f"operator or function; operator: {operator}, first operand: {shown(steps)}"
            )


def refuse_kind(operator: str, operand: Operand, kinds: frozenset[str]) -> None:
    """Refuse an operand that is always of a kind that an operator or function cannot use.

    Raises:
        Flaw: It is one.
    """
    if operand.kind and operand.kind not in kinds:
        raise incorrect_operand(operator, operand.kind)


def incorrect_operand(operator: str, kind: str) -> Flaw:
    """An operand of a kind that an operator or function cannot use."""
    return Flaw(
        "Incorrect operand type for operator or function; "
        f"operator or function: {operator}, operand type: {kind}"
    )


def refuse_bounds(low: AttributeValue, high: AttributeValue) -> None:
    """Refuse the constant bounds of a BETWEEN that holds nothing.

    Raises:
        Flaw: They are of two kinds, or the lower is above the upper.
    """
    low_kind, high_kind = kind_of(low), kind_of(high)
    told = f"lower bound operand: {_told(low)}, upper bound operand: {_told(high)}"
    if low_kind != high_kind:
        raise Flaw(
            "The BETWEEN operator requires same data type for lower and upper bounds; " + told
        )
    if not predicates.compares("<=", predicates.constant(low), predicates.constant(high))({}):
        raise Flaw(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower "
            "bound; " + told
        )


def _told(value: AttributeValue) -> str:
    kind, payload = next(iter(value.items()))
    return f"AttributeValue: {{{kind}:{payload}}}"


def _attribute_type(operands: list[Operand]) -> Predicate:
    kind = operands[1].constant
    if kind is None:
        raise incorrect_operand("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
    if "S" not in kind:
        raise incorrect_operand("attribute_type", kind_of(kind))
    if kind["S"] not in _KINDS:
        raise Flaw(
            f"Invalid attribute type name found; type: {kind['S']}, "
            f"valid types: {{{','.join(_KINDS)}}}"
        )
    return predicates.is_of_kind(operands[0], kind["S"])


def _begins_with(operands: list[Operand]) -> Predicate:
    for one in operands:
        refuse_kind("begins_with", one, frozenset({"S", "B"}))
    return predicates.begins_with(operands[0], operands[1])


@dataclass(frozen=True, slots=True)
class _Function:
    """A function of conditions: how many operands it takes, and what it makes of them."""

    count: int
    bind: Callable[[list[Operand]], Predicate]
    of_path: bool = False


_FUNCTIONS = {
    "attribute_exists": _Function(1, lambda of: predicates.exists(of[0]), of_path=True),
    "attribute_not_exists": _Function(1, lambda of: predicates.missing(of[0]), of_path=True),
    "attribute_type": _Function(2, _attribute_type),
    "begins_with": _Function(2, _begins_with),
    "contains": _Function(2, lambda of: predicates.contains(of[0], of[1])),
}
