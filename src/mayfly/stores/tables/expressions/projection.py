"""Projections: the parts of an item that a request asks for, merged into one item.

Also what ReturnValues shows of an update. Values are shared with the item, never changed; what an
item lacks is left out, and so is a container of which nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions.grammar import parse_projection
from mayfly.stores.tables.expressions.paths import Branch, tree_of
from mayfly.stores.tables.expressions.placeholders import Placeholders, Steps
from mayfly.stores.tables.expressions.tokens import Flaw
from mayfly.stores.tables.expressions.tree import Step
from mayfly.stores.tables.values import AttributeValue, Item


class Projection(msgspec.Struct, frozen=True):
    """A projection, ready to be applied.

    Args:
        attributes: The top-level names that it shows, or shows parts of.
        flat: Whether all paths are top-level names.
        tree: Its paths, by step; empty where they are flat.
    """

    attributes: frozenset[str]
    flat: bool
    tree: dict[Step, Branch]

    def of(self, item: Item) -> Item:
        """The item's projected parts; a list's elements close up. Shares values with `item`."""
        if self.flat:
            names = self.attributes
            return {name: value for name, value in item.items() if name in names}
        return _named(self.tree, item)


def projection_of(paths: Iterable[Steps]) -> Projection:
    """A projection from resolved paths.

    Raises:
        Flaw: Two overlap.
    """
    listed = list(paths)
    names = frozenset([cast(str, path[0]) for path in listed])
    # The usual one: different names. No path can be in another's way.
    if len(names) == len(listed) and max(map(len, listed), default=1) == 1:
        return Projection(names, flat=True, tree={})
    return Projection(names, flat=False, tree=tree_of(listed))


def compile_projection(text: str, placeholders: Placeholders) -> Projection:
    """A projection from its text.

    Raises:
        InvalidRequest: It is none, or two of its paths overlap.
    """
    try:
        return projection_of([placeholders.path(path) for path in parse_projection(text)])
    except Flaw as flaw:
        raise InvalidRequest(f"Invalid ProjectionExpression: {flaw}") from None


def _named(branches: dict[Step, Branch], members: Item) -> Item:
    """The named members, each cut down to what is asked of it."""
    shown: Item = {}
    for name, value in members.items():
        branch = branches.get(name)
        if branch is not None and (part := _part(branch, value)) is not None:
            shown[name] = part
    return shown


def _part(branch: Branch, value: AttributeValue) -> AttributeValue | None:
    """What a branch asks of a value, None where there is nothing of it."""
    if branch.ended:
        return value
    branches = branch.branches
    if isinstance(next(iter(branches)), str):
        members = _named(branches, value.get("M", {}))
        return {"M": members} if members else None
    elements = value.get("L", [])
    parts = [
        part
        for index in sorted(cast("dict[int, Branch]", branches))
        if index < len(elements) and (part := _part(branches[index], elements[index])) is not None
    ]
    return {"L": parts} if parts else None
