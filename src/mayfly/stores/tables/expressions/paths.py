"""Document paths: reading what they lead to, and which of them get into each other's way.

A path here is resolved: its steps are names and indices, no placeholders. Nothing is written
through it; `document` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from mayfly.stores.tables.expressions.placeholders import Steps
from mayfly.stores.tables.expressions.tokens import Flaw
from mayfly.stores.tables.expressions.tree import Step
from mayfly.stores.tables.values import AttributeValue, Item

Reader = Callable[[Item], AttributeValue | None]


def reader(steps: Steps) -> Reader:
    """A function that reads what a path leads to in an item; None where it leads nowhere."""
    top = cast(str, steps[0])
    rest = steps[1:]
    if not rest:

        def read_top(item: Item) -> AttributeValue | None:
            return item.get(top)

        return read_top

    def read(item: Item) -> AttributeValue | None:
        value = item.get(top)
        for step in rest:
            if value is None:
                return None
            value = inner(value, step)
        return value

    return read


def inner(value: AttributeValue, step: Step) -> AttributeValue | None:
    """What one step leads to inside a value."""
    if isinstance(step, str):
        members = value.get("M")
        return None if members is None else members.get(step)
    elements = value.get("L")
    return None if elements is None or step >= len(elements) else elements[step]


def shown(steps: Steps) -> str:
    """A path as DynamoDB's messages show it: [a, b, [3]]."""
    return f"[{', '.join(one if isinstance(one, str) else f'[{one}]' for one in steps)}]"


class Branch:
    """A tree of paths, by step; `first` is the first path that came this way.

    Where a path has `ended`, no other one passes.
    """

    __slots__ = ("branches", "ended", "first")

    def __init__(self, first: Steps) -> None:
        self.first = first
        self.branches: dict[Step, Branch] = {}
        self.ended = False


def tree_of(paths: Iterable[Steps]) -> dict[Step, Branch]:
    """Paths as a tree.

    Raises:
        Flaw: Two overlap, or need one value to be a map and a list.
    """
    root = Branch(())
    for path in paths:
        branch = root
        fresh = True
        for step in path:
            if branch.ended:
                raise _flaw("overlap", branch.first, path)
            below = branch.branches.get(step)
            fresh = below is None
            if below is None:
                _refuse_conflict(branch, step, path)
                below = branch.branches[step] = Branch(path)
            branch = below
        if not fresh:
            raise _flaw("overlap", branch.first, path)
        branch.ended = True
    return root.branches


def _refuse_conflict(branch: Branch, step: Step, path: Steps) -> None:
    """A value cannot be read by name and by index at once."""
    for other, below in branch.branches.items():
        if isinstance(other, str) is not isinstance(step, str):
            raise _flaw("conflict", below.first, path)
        break


def _flaw(how: str, one: Steps, two: Steps) -> Flaw:
    return Flaw(
        f"Two document paths {how} with each other; must remove or rewrite one of these paths; "
        f"path one: {shown(one)}, path two: {shown(two)}"
    )
