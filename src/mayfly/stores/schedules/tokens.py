"""Client tokens: a request that is sent twice is done once.

A client that hears nothing sends its request again with the same token. What was done under a token
is remembered for a day, in the transaction that did it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from mayfly.model.errors import Conflict

KEPT_MS = 86_400_000
_FORGOTTEN_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Token:
    """A request under its token.

    Args:
        value: What the client sent, or "": then nothing is remembered.
        request: What tells this request from another one.
        now_ms: When it came.
    """

    value: str
    request: bytes
    now_ms: int


def done_before(connection: sqlite3.Connection, token: Token) -> bool:
    """Whether this very request was done. Raises Conflict: the token was for another one."""
    row = connection.execute(
        "SELECT request FROM schedule_token WHERE token = ? AND until_ms > ?",
        (token.value, token.now_ms),
    ).fetchone()
    if row is None:
        return False
    if row[0] != token.request:
        raise Conflict(
            f"The ClientToken {token.value} was used for another request; take a new one."
        )
    return True


def remember(connection: sqlite3.Connection, token: Token) -> None:
    """The request is done. Forgets some of the old ones."""
    connection.execute(
        "DELETE FROM schedule_token WHERE token IN "
        "(SELECT token FROM schedule_token WHERE until_ms <= ? LIMIT ?)",
        (token.now_ms, _FORGOTTEN_AT_ONCE),
    )
    if token.value:
        connection.execute(
            "INSERT OR REPLACE INTO schedule_token VALUES (?, ?, ?)",
            (token.value, token.request, token.now_ms + KEPT_MS),
        )
