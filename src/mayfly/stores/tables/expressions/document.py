"""A copy of an item that is being changed: what is written to is copied, the rest is shared.

While changes go on, an element that was removed from a list leaves a gap, since every index of an
update means the list as it was; `close` closes the gaps.
"""

from __future__ import annotations

from typing import cast

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions.placeholders import Steps
from mayfly.stores.tables.values import NESTING_MAX, AttributeValue, Item, refuse_deep

# Stands where an element was removed; no value is empty.
_GAP: AttributeValue = {}


class Document:
    """An item in change.

    Args:
        old: The item as it is; it is not changed.
    """

    __slots__ = ("_copies", "item")

    def __init__(self, old: Item) -> None:
        self.item: Item = dict(old)
        # By the path of the container: the ones that are this document's own.
        self._copies: dict[Steps, Item | list[AttributeValue]] = {(): self.item}

    def get(self, steps: Steps) -> AttributeValue | None:
        """What is at a path whose parent must be there.

        Raises:
            InvalidRequest: The parent is not there, or cannot have such a child.
        """
        container, last = self._container(steps[:-1]), steps[-1]
        if isinstance(container, dict) and isinstance(last, str):
            return container.get(last)
        if isinstance(container, list) and isinstance(last, int):
            # A gap is as good as nothing.
            return (container[last] or None) if last < len(container) else None
        raise _no_place()

    def put(self, steps: Steps, value: AttributeValue) -> None:
        """Write a value at a path; an index behind a list's end appends.

        Raises:
            InvalidRequest: As `get`, or the value would lie too deep.
        """
        container, last = self._container(steps[:-1]), steps[-1]
        if len(steps) > 1:
            refuse_deep(value, NESTING_MAX - len(steps) + 1)
        if isinstance(container, dict) and isinstance(last, str):
            container[last] = value
        elif isinstance(container, list) and isinstance(last, int):
            if last < len(container):
                container[last] = value
            else:
                container.append(value)
        else:
            raise _no_place()

    def remove(self, steps: Steps) -> None:
        """Take away what is at a path, if there is something.

        Raises:
            InvalidRequest: As `get`.
        """
        container, last = self._container(steps[:-1]), steps[-1]
        if isinstance(container, dict) and isinstance(last, str):
            container.pop(last, None)
        elif isinstance(container, list) and isinstance(last, int):
            if last < len(container):
                container[last] = _GAP
        else:
            raise _no_place()

    def close(self) -> Item:
        """The changed item."""
        for container in self._copies.values():
            if isinstance(container, list) and _GAP in container:
                container[:] = [one for one in container if one]
        return self.item

    def _container(self, steps: Steps) -> Item | list[AttributeValue]:
        """The map or list at a path, as this document's own copy."""
        own = self._copies.get(steps)
        if own is not None:
            return own
        value = self.get(steps) or {}
        if "M" in value:
            members = dict(value["M"])
            self._replace(steps, {"M": members})
            self._copies[steps] = members
            return members
        if "L" in value:
            elements = list(value["L"])
            self._replace(steps, {"L": elements})
            self._copies[steps] = elements
            return elements
        raise _no_place()

    def _replace(self, steps: Steps, value: AttributeValue) -> None:
        container = self._copies[steps[:-1]]
        if isinstance(container, dict):
            container[cast(str, steps[-1])] = value
        else:
            container[cast(int, steps[-1])] = value


def _no_place() -> InvalidRequest:
    return InvalidRequest(
        "The document path provided in the update expression is invalid for update"
    )
