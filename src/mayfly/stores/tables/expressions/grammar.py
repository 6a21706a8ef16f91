"""The grammar: a recursive descent for each kind of expression; parsed texts are remembered.

condition   disjunct { OR disjunct }           disjunct  conjunct { AND conjunct }
conjunct    [NOT] primary                      primary   unit [comparator | BETWEEN | IN ...]
unit        ( condition | operand )            operand   path | :value | function(operand, ...)
update      { SET path = sum, ... | REMOVE path, ... | ADD path :v, ... | DELETE path :v, ... }
projection  path { , path }                    path      name { .name | [index] }
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeGuard

from mayfly.stores.tables.expressions.reserved import RESERVED
from mayfly.stores.tables.expressions.tokens import INDEX_MAX, Cursor, Flaw, Kind
from mayfly.stores.tables.expressions.tree import (
    Action,
    And,
    Arithmetic,
    Assign,
    Between,
    Call,
    Compare,
    In,
    Merge,
    Not,
    Operand,
    Or,
    Path,
    Remove,
    Step,
    Test,
    Value,
)

# A text is at most 4 KB and a parsed one some ten times that.
_REMEMBERED_MAX = 1024
_IN_OPTIONS_MAX = 100
_PATH_STEPS_MAX = 32

_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
_CONDITION_FUNCTIONS = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"}
)
_UPDATE_FUNCTIONS = frozenset({"if_not_exists", "list_append"})
_FUNCTIONS = _CONDITION_FUNCTIONS | _UPDATE_FUNCTIONS | {"size"}
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")

# How grave a fault is that is not of the syntax: the smallest is told.
_PARENTHESES, _FUNCTION, _MISUSED, _RESERVED, _SECTION, _COUNT = range(6)


@lru_cache(_REMEMBERED_MAX)
def parse_condition(text: str) -> Test:
    """A condition, filter or key condition.

    Raises:
        Flaw: It is none.
    """
    cursor = Cursor(text)
    condition = _Conditions(cursor).whole()
    cursor.close()
    return condition


@lru_cache(_REMEMBERED_MAX)
def parse_update(text: str) -> tuple[Action, ...]:
    """An update's actions, in the order that they are written in.

    Raises:
        Flaw: It is none.
    """
    cursor = Cursor(text)
    actions = _Updates(cursor).whole()
    cursor.close()
    return actions


@lru_cache(_REMEMBERED_MAX)
def parse_projection(text: str) -> tuple[Path, ...]:
    """A projection's paths.

    Raises:
        Flaw: It is none.
    """
    cursor = Cursor(text)
    paths = [parse_path(cursor)]
    while cursor.take(","):
        paths.append(parse_path(cursor))
    cursor.close()
    return tuple(paths)


def parse_path(cursor: Cursor) -> Path:
    """A path at the cursor."""
    steps: list[Step] = [_name(cursor)]
    while True:
        if cursor.take("."):
            steps.append(_name(cursor))
        elif cursor.take("["):
            steps.append(_index(cursor))
            cursor.want("]")
        else:
            break
    if len(steps) > _PATH_STEPS_MAX:
        raise Flaw(
            f"The document path has too many nesting elements; path nesting elements: {len(steps)}"
        )
    return Path(tuple(steps))


def _name(cursor: Cursor) -> str:
    token = cursor.token
    if token.kind not in {Kind.WORD, Kind.NAME}:
        cursor.refuse()
    cursor.step()
    if token.kind is Kind.WORD and token.text.upper() in RESERVED:
        cursor.note(
            _RESERVED,
            f"Attribute name is a reserved keyword; reserved keyword: {token.text}",
        )
    return token.text


def _index(cursor: Cursor) -> int:
    if cursor.token.kind is not Kind.INDEX:
        cursor.refuse()
    digits = cursor.step().text.lstrip("0") or "0"
    if len(digits) > len(str(INDEX_MAX)) or int(digits) > INDEX_MAX:
        raise Flaw(f"List index is not within the allowable range; index: [{digits}]")
    return int(digits)


def _value(cursor: Cursor) -> Value:
    if cursor.token.kind is not Kind.VALUE:
        cursor.refuse()
    return Value(cursor.step().text)


def _at_call(cursor: Cursor) -> bool:
    following = cursor.following
    return cursor.token.kind is Kind.WORD and following.kind is Kind.SIGN and following.text == "("


def _misuse(cursor: Cursor, call: Call) -> None:
    cursor.note(
        _MISUSED,
        "The function is not allowed to be used this way in an expression; "
        f"function: {call.function}",
    )


def _refuse_unknown(cursor: Cursor, call: Call) -> None:
    if call.function not in _FUNCTIONS:
        cursor.note(_FUNCTION, f"Invalid function name; function: {call.function}")


class _Conditions:
    """The grammar of conditions."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        # The parentheses closed last, by the places of their tokens: to find doubled ones.
        self._closed = (-1, -1)

    def whole(self) -> Test:
        return self._test(self._disjunction())

    def _disjunction(self) -> Test | Operand:
        first = self._conjunction()
        if not self._cursor.at_word("OR"):
            return first
        parts = [self._test(first)]
        while self._cursor.take_word("OR"):
            self._cursor.count_operator()
            parts.append(self._test(self._conjunction()))
        return Or(tuple(parts))

    def _conjunction(self) -> Test | Operand:
        first = self._term()
        if not self._cursor.at_word("AND"):
            return first
        parts = [self._test(first)]
        while self._cursor.take_word("AND"):
            self._cursor.count_operator()
            parts.append(self._test(self._term()))
        return And(tuple(parts))

    def _term(self) -> Test | Operand:
        """A comparison, or what stands in parentheses; one call a level, since levels are many."""
        cursor = self._cursor
        negations = 0
        while cursor.take_word("NOT"):
            cursor.count_operator()
            negations += 1
        if cursor.at("("):
            opened = cursor.place
            cursor.step()
            cursor.descend()
            found = self._disjunction()
            cursor.ascend()
            self._close(opened)
        else:
            found = self._bare()
        if _is_operand(found):
            found = self._compared(found)
        if not negations:
            return found
        test = self._test(found)
        return Not(test) if negations % 2 else test

    def _test(self, parsed: Test | Operand) -> Test:
        """What stands where a truth must stand."""
        if isinstance(parsed, Path | Value):
            self._cursor.refuse()
        if isinstance(parsed, Call) and parsed.function == "size":
            _misuse(self._cursor, parsed)
        return parsed

    def _compared(self, left: Operand) -> Test | Operand:
        """An operand and what it is compared with, if anything."""
        cursor = self._cursor
        token = cursor.token
        if token.kind is Kind.SIGN and token.text in _COMPARATORS:
            cursor.step()
            cursor.count_operator()
            return Compare(token.text, self._plain(left), self._plain(self._operand()))
        if cursor.take_word("BETWEEN"):
            cursor.count_operator()
            low = self._plain(self._operand())
            if not cursor.take_word("AND"):
                cursor.refuse()
            return Between(self._plain(left), low, self._plain(self._operand()))
        if cursor.take_word("IN"):
            cursor.count_operator()
            return In(self._plain(left), self._options())
        return left

    def _options(self) -> tuple[Operand, ...]:
        options = self._list()
        if len(options) > _IN_OPTIONS_MAX:
            self._cursor.note(
                _COUNT,
                "The IN operator is provided with too many operands; "
                f"number of operands: {len(options)}",
            )
        return options

    def _operand(self) -> Operand:
        cursor = self._cursor
        if not cursor.at("("):
            return self._bare()
        opened = cursor.place
        cursor.step()
        cursor.descend()
        inner = self._operand()
        cursor.ascend()
        self._close(opened)
        return inner

    def _close(self, opened: int) -> None:
        closing = self._cursor.place
        self._cursor.want(")")
        if self._closed == (opened + 1, closing - 1):
            self._cursor.note(_PARENTHESES, "The expression has redundant parentheses;")
        self._closed = (opened, closing)

    def _bare(self) -> Operand:
        cursor = self._cursor
        if cursor.token.kind is Kind.VALUE:
            return _value(cursor)
        if _at_call(cursor):
            return self._call()
        if cursor.token.kind is Kind.WORD and cursor.token.text.upper() in _KEYWORDS:
            cursor.refuse()
        return parse_path(cursor)

    def _call(self) -> Call:
        cursor = self._cursor
        if cursor.token.text.upper() in _KEYWORDS:
            cursor.refuse()
        function = cursor.step().text
        cursor.count_operator()
        call = Call(function, self._list())
        _refuse_unknown(cursor, call)
        if function in _UPDATE_FUNCTIONS:
            _misuse(cursor, call)
        return call

    def _list(self) -> tuple[Operand, ...]:
        cursor = self._cursor
        cursor.want("(")
        cursor.descend()
        operands = [self._plain(self._operand())]
        while cursor.take(","):
            operands.append(self._plain(self._operand()))
        cursor.want(")")
        cursor.ascend()
        return tuple(operands)

    def _plain(self, operand: Operand) -> Operand:
        """An operand where a truth may not stand."""
        if isinstance(operand, Call) and operand.function in _CONDITION_FUNCTIONS:
            _misuse(self._cursor, operand)
        return operand


def _is_operand(parsed: Test | Operand) -> TypeGuard[Operand]:
    return isinstance(parsed, Path | Value | Call)


class _Updates:
    """The grammar of updates."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def whole(self) -> tuple[Action, ...]:
        cursor = self._cursor
        actions: list[Action] = []
        seen: set[str] = set()
        while cursor.at_word(*_SECTIONS):
            section = cursor.step().text.upper()
            if section in seen:
                cursor.note(
                    _SECTION,
                    f'The "{section}" section can only be used once in an update expression;',
                )
            seen.add(section)
            actions.append(self._action(section))
            while cursor.take(","):
                actions.append(self._action(section))
        if not actions:
            cursor.refuse()
        return tuple(actions)

    def _action(self, section: str) -> Action:
        cursor = self._cursor
        path = parse_path(cursor)
        if section == "REMOVE":
            return Remove(path)
        if section != "SET":
            return Merge(section, path, _value(cursor))
        cursor.want("=")
        return Assign(path, self._sum())

    def _sum(self) -> Operand | Arithmetic:
        """A sum or an operand, perhaps in parentheses."""
        cursor = self._cursor
        if cursor.take("("):
            cursor.descend()
            inner = self._sum()
            cursor.ascend()
            cursor.want(")")
            return inner if isinstance(inner, Arithmetic) else self._rest(inner)
        return self._rest(self._operand())

    def _rest(self, left: Operand) -> Operand | Arithmetic:
        for sign in "+-":
            if self._cursor.take(sign):
                self._cursor.count_operator()
                return Arithmetic(sign, left, self._operand())
        return left

    def _operand(self, inside: str = "") -> Operand:
        cursor = self._cursor
        if cursor.take("("):
            cursor.descend()
            operand = self._operand(inside)
            cursor.ascend()
            cursor.want(")")
            return operand
        if cursor.token.kind is Kind.VALUE:
            return _value(cursor)
        return self._call(inside) if _at_call(cursor) else parse_path(cursor)

    def _call(self, inside: str) -> Call:
        cursor = self._cursor
        function = cursor.step().text
        cursor.count_operator()
        cursor.want("(")
        cursor.descend()
        operands = [self._operand(function)]
        while cursor.take(","):
            operands.append(self._operand(function))
        cursor.want(")")
        cursor.ascend()
        call = Call(function, tuple(operands))
        _refuse_unknown(cursor, call)
        if function not in _UPDATE_FUNCTIONS or (function == "list_append" and inside):
            _misuse(cursor, call)
        return call
