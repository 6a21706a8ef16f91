"""Short ways to ask: an expression, its placeholders, an item."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

import pytest

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import (
    Placeholders,
    compile_condition,
    compile_projection,
    compile_update,
    read_clauses,
)
from mayfly.stores.tables.values import Item, read_item

Names = Mapping[str, str]


def item_of(document: Mapping[str, object]) -> Item:
    """A checked item."""
    return read_item(copy.deepcopy(dict(document)))[0]


def holds(
    text: str,
    item: Mapping[str, object],
    values: Mapping[str, object] | None = None,
    names: Names | None = None,
) -> bool:
    """Whether a condition holds."""
    placeholders = Placeholders(names, copy.deepcopy(values))
    condition = compile_condition(text, placeholders)
    placeholders.refuse_unused()
    return condition.holds(item_of(item))


def updated(
    text: str,
    item: Mapping[str, object],
    values: Mapping[str, object] | None = None,
    names: Names | None = None,
) -> Item:
    """An item after an update, which left the old one as it was."""
    old = item_of(item)
    before = copy.deepcopy(old)
    update = compile_update(text, Placeholders(names, copy.deepcopy(values)))
    new = update.apply(old, {})
    assert old == before
    return new


def projected(text: str, item: Mapping[str, object], names: Names | None = None) -> Item:
    """What a projection shows of an item."""
    return compile_projection(text, Placeholders(names)).of(item_of(item))


def refuses(told: str, operation: str, **request: object) -> None:
    """Assert that a request is refused with exactly these words."""
    with pytest.raises(InvalidRequest, match=f"^{re.escape(told)}$"):
        read_clauses(operation, copy.deepcopy(request))
