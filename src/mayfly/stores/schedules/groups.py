"""The groups of schedules, as the writer thread sees them."""

from __future__ import annotations

import sqlite3

import msgspec

from mayfly.model.errors import NotFound
from mayfly.stores.schedules.schedule import Group


def load_group(connection: sqlite3.Connection, name: str) -> Group:
    """The group. Raises NotFound."""
    row = connection.execute(
        "SELECT document FROM schedule_group WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        raise NotFound(f"Schedule group {name} does not exist.")
    return msgspec.json.decode(row[0], type=Group)


def forget_group(connection: sqlite3.Connection, name: str) -> None:
    """Remove the group and all that is in it. Raises NotFound."""
    load_group(connection, name)
    connection.execute("DELETE FROM schedule WHERE group_name = ?", (name,))
    connection.execute("DELETE FROM schedule_group WHERE name = ?", (name,))
