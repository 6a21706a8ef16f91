"""Updates: SET, REMOVE, ADD and DELETE as changes of an item, and what a request is shown of them.

Every operand is read from the item as it was. Then come the removals, then the writes in the
order of their indices, so that indices behind a list's end append in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, assert_never, cast

import msgspec

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions.condition import incorrect_operand
from mayfly.stores.tables.expressions.document import Document
from mayfly.stores.tables.expressions.grammar import parse_update
from mayfly.stores.tables.expressions.paths import reader
from mayfly.stores.tables.expressions.placeholders import Placeholders, Steps
from mayfly.stores.tables.expressions.projection import Projection, projection_of
from mayfly.stores.tables.expressions.tokens import Flaw
from mayfly.stores.tables.expressions.tree import (
    Action,
    Arithmetic,
    Assign,
    Call,
    Merge,
    Operand,
    Path,
    Remove,
    Value,
)
from mayfly.stores.tables.numbers import added, subtracted
from mayfly.stores.tables.values import AttributeValue, Item, Kind, kind_of

ReturnValues = Literal["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"]

SETS = frozenset({"SS", "NS", "BS"})
WRONG_KIND = "An operand in the update expression has an incorrect data type"
_NOTHING_THERE = "The provided expression refers to an attribute that does not exist in the item"
_KINDS_IN_WORDS = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
    "L": "LIST",
    "M": "MAP",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
}

# Makes a new value from the item as it was.
Source = Callable[[Item], AttributeValue]
# Makes a new value of the present one, or None where nothing is left.
Change = Callable[[AttributeValue | None], AttributeValue | None]


class Write(msgspec.Struct, frozen=True):
    """One path that is written: by a source, by a change of what is there, or removed."""

    steps: Steps
    source: Source | None = None
    change: Change | None = None


class Update:
    """An update, ready to be applied to any item.

    Args:
        writes: No two of their paths overlap.

    Raises:
        Flaw: Two do.
    """

    __slots__ = ("_flat", "_removals", "_shown", "_writes", "attributes")

    def __init__(self, writes: Iterable[Write]) -> None:
        given = list(writes)
        self._shown: Projection = projection_of(write.steps for write in given)
        self.attributes: frozenset[str] = self._shown.attributes
        self._removals = [one for one in given if one.source is None and one.change is None]
        self._writes = [one for one in given if one.source or one.change]
        if not self._shown.flat:
            self._writes.sort(key=lambda one: one.steps[-1] if _is_index(one.steps) else -1)
        self._flat = self._shown.flat

    def refuse_keys(self, names: Iterable[str]) -> None:
        """Refuse to change the attributes of the table's key.

        Raises:
            InvalidRequest: The update writes to one of them, or into it.
        """
        for name in names:
            if name in self.attributes:
                raise InvalidRequest(
                    "One or more parameter values were invalid: "
                    f"Cannot update attribute {name}. This attribute is part of the key"
                )

    def apply(self, old: Item | None, key: Item) -> Item:
        """The item after the update.

        Args:
            old: The item as it is, None where there is none; it is not changed.
            key: The key's attributes, which a new item starts with.

        Returns:
            A new item, which shares the values that did not change with `old`. Its size is
            not checked.

        Raises:
            InvalidRequest: An operand or a path does not fit the item.
        """
        before = key if old is None else old
        if self._flat:
            return self._apply_flat(before)
        sources = [None if one.source is None else one.source(before) for one in self._writes]
        document = Document(before)
        for removal in self._removals:
            document.remove(removal.steps)
        for write, value in zip(self._writes, sources, strict=True):
            _put(document, write, value)
        return document.close()

    def _apply_flat(self, before: Item) -> Item:
        """As `apply`, where every path is a top-level name."""
        new = dict(before)
        for removal in self._removals:
            new.pop(cast(str, removal.steps[0]), None)
        for write in self._writes:
            name = cast(str, write.steps[0])
            if write.source is not None:
                new[name] = write.source(before)
            elif write.change is not None:
                value = write.change(before.get(name))
                if value is None:
                    new.pop(name, None)
                else:
                    new[name] = value
        return new

    def returned(self, kind: ReturnValues, old: Item | None, new: Item) -> Item | None:
        """What ReturnValues asks for; None where there is nothing to show."""
        found: Item | None
        match kind:
            case "NONE":
                found = None
            case "ALL_OLD":
                found = old
            case "ALL_NEW":
                found = new
            case "UPDATED_OLD":
                found = None if old is None else self._shown.of(old)
            case "UPDATED_NEW":
                found = self._shown.of(new)
            case _:
                assert_never(kind)
        return found or None


def compile_update(text: str, placeholders: Placeholders) -> Update:
    """An update from its text.

    Raises:
        InvalidRequest: It is none, its paths overlap, or its operands do not fit.
    """
    try:
        actions = parse_update(text)
        binder = _Binder(placeholders)
        return Update([binder.write(action) for action in actions])
    except Flaw as flaw:
        raise InvalidRequest(f"Invalid UpdateExpression: {flaw}") from None


def union(more: AttributeValue, mismatch: str) -> Change:
    """A change that adds to a number, or adds members to a set; it makes either.

    Args:
        more: A number or a set.
        mismatch: What to say of a value of another kind.
    """
    kind = cast(Kind, kind_of(more))

    def change(present: AttributeValue | None) -> AttributeValue | None:
        if present is None:
            return more
        if kind not in present:
            raise InvalidRequest(mismatch)
        if kind == "N":
            return {"N": added(present["N"], more["N"])}
        return _members(kind, [*dict.fromkeys((*_set(present, kind), *_set(more, kind)))])

    return change


def difference(less: AttributeValue, mismatch: str) -> Change:
    """A change that takes members from a set, and the set when none is left.

    Args:
        less: A set.
        mismatch: What to say of a value of another kind.
    """
    kind = cast(Kind, kind_of(less))
    gone = frozenset(_set(less, kind))

    def change(present: AttributeValue | None) -> AttributeValue | None:
        if present is None:
            return None
        if kind not in present:
            raise InvalidRequest(mismatch)
        left = [one for one in _set(present, kind) if one not in gone]
        return _members(kind, left) if left else None

    return change


class _Binder:
    """Puts a request's names and values into parsed actions, in the order of the text."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders

    def write(self, action: Action) -> Write:
        steps = self._placeholders.path(action.path)
        match action:
            case Remove():
                return Write(steps)
            case Assign():
                return Write(steps, source=self._source(action.source))
            case Merge():
                return Write(steps, change=self._change(action))
            case _:
                assert_never(action)

    def _change(self, action: Merge) -> Change:
        value = self._placeholders.value(action.value.name)
        kind = kind_of(value)
        if kind in SETS or (kind == "N" and action.verb == "ADD"):
            return (union if action.verb == "ADD" else difference)(value, WRONG_KIND)
        raise Flaw(
            "Incorrect operand type for operator or function; "
            f"operator: {action.verb}, operand type: {_KINDS_IN_WORDS[kind]}"
        )

    def _source(self, written: Operand | Arithmetic) -> Source:
        match written:
            case Value(name):
                value = self._placeholders.value(name)
                return lambda _: value
            case Path():
                return _present(self._placeholders.path(written))
            case Arithmetic():
                return self._arithmetic(written)
            case Call("if_not_exists"):
                return self._if_not_exists(written)
            case Call():
                return self._list_append(written)
            case _:
                assert_never(written)

    def _arithmetic(self, written: Arithmetic) -> Source:
        left = self._of_kind("N", written.operator, written.left)
        right = self._of_kind("N", written.operator, written.right)
        compute = added if written.operator == "+" else subtracted

        def source(item: Item) -> AttributeValue:
            one, other = left(item), right(item)
            if "N" not in one or "N" not in other:
                raise InvalidRequest(WRONG_KIND)
            return {"N": compute(one["N"], other["N"])}

        return source

    def _if_not_exists(self, written: Call) -> Source:
        _refuse_count(written)
        path, fallback = written.operands
        if not isinstance(path, Path):
            raise Flaw(
                "Operator or function requires a document path; "
                f"operator or function: {written.function}"
            )
        read = reader(self._placeholders.path(path))
        otherwise = self._source(fallback)

        def source(item: Item) -> AttributeValue:
            present = read(item)
            return otherwise(item) if present is None else present

        return source

    def _list_append(self, written: Call) -> Source:
        _refuse_count(written)
        left = self._of_kind("L", written.function, written.operands[0])
        right = self._of_kind("L", written.function, written.operands[1])

        def source(item: Item) -> AttributeValue:
            one, other = left(item), right(item)
            if "L" not in one or "L" not in other:
                raise InvalidRequest(WRONG_KIND)
            return {"L": one["L"] + other["L"]}

        return source

    def _of_kind(self, kind: str, operator: str, written: Operand) -> Source:
        """An operand, which is refused at once when it is a constant of another kind."""
        source = self._source(written)
        if isinstance(written, Value):
            found = kind_of(self._placeholders.value(written.name))
            if found != kind:
                raise incorrect_operand(operator, found)
        if isinstance(written, Call) and written.function == "list_append" and kind != "L":
            raise incorrect_operand(operator, "L")
        return source


def _present(steps: Steps) -> Source:
    read = reader(steps)

    def source(item: Item) -> AttributeValue:
        value = read(item)
        if value is None:
            raise InvalidRequest(_NOTHING_THERE)
        return value

    return source


def _put(document: Document, write: Write, value: AttributeValue | None) -> None:
    """Do one write, whose source, where it has one, gave `value`."""
    if write.change is not None:
        value = write.change(document.get(write.steps))
    if value is None:
        document.remove(write.steps)
    else:
        document.put(write.steps, value)


def _refuse_count(call: Call) -> None:
    if len(call.operands) != 2:
        raise Flaw(
            "Incorrect number of operands for operator or function; "
            f"operator or function: {call.function}, number of operands: {len(call.operands)}"
        )


def _is_index(steps: Steps) -> bool:
    return isinstance(steps[-1], int)


def _set(value: AttributeValue, kind: Kind) -> list[str]:
    return cast("list[str]", value[kind])


def _members(kind: Kind, members: list[str]) -> AttributeValue:
    return cast(AttributeValue, {kind: members})
