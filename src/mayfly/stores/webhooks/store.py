"""Webhooks on disk, and which deliveries were accepted: the sender may send one again.

    webhook            by name; `hook_id` is the end of its URL
    webhook_delivery   the sender's ids of the last days

A delivery's id and its event are written in one transaction: what was answered with 202 is on disk
once, however often it comes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

import msgspec

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict, NotFound
from mayfly.model.parcel import Parcel
from mayfly.model.webhook import Webhook

WEBHOOKS_MAX = 10_000
REMEMBERED_MS = 7 * 86_400_000
_FORGOTTEN_AT_ONCE = 100

_STEPS = (
    (
        """CREATE TABLE webhook (
            name     TEXT PRIMARY KEY,
            hook_id  TEXT NOT NULL UNIQUE,
            document BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE webhook_delivery (
            hook_id     TEXT NOT NULL,
            delivery_id TEXT NOT NULL,
            at_ms       INTEGER NOT NULL,
            PRIMARY KEY (hook_id, delivery_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX webhook_delivery_at ON webhook_delivery (at_ms)",
    ),
)


class WebhookSite(StrEnum):
    """Where this store does I/O."""

    COMMIT = "WEBHOOKS:COMMIT"
    ACCEPT = "WEBHOOKS:ACCEPT"


class WebhookStore:
    """All webhooks of the platform. Made by `open`."""

    def __init__(self, store: SqliteStore, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox

    @classmethod
    async def open(cls, store: SqliteStore, outbox: Outbox) -> WebhookStore:
        """Bring the tables to their newest form. Raises StorageFailed."""
        await store.migrate("webhooks", _STEPS)
        return cls(store, outbox)

    async def put(self, webhook: Webhook) -> Webhook:
        """Add a webhook, or change the one of its name, which keeps its URL.

        Returns:
            The webhook as it is kept.

        Raises:
            Conflict: There are too many.
            StorageFailed: Nothing was written.
        """

        def work(connection: sqlite3.Connection) -> Webhook:
            row = connection.execute(
                "SELECT document FROM webhook WHERE name = ?", (webhook.name,)
            ).fetchone()
            if row is None:
                _require_room(connection)
            kept = webhook if row is None else _successor(_webhook(row[0]), webhook)
            connection.execute(
                "INSERT OR REPLACE INTO webhook VALUES (?, ?, ?)",
                (kept.name, kept.hook_id, msgspec.json.encode(kept)),
            )
            return kept

        return await self._store.transact(WebhookSite.COMMIT, work)

    async def delete(self, name: str) -> None:
        """Remove one; its URL is gone for good. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "DELETE FROM webhook WHERE name = ? RETURNING hook_id", (name,)
            ).fetchone()
            if row is None:
                raise NotFound(
                    f'no webhook has the name "{name[:80]}"; `mayfly webhook ls` lists them'
                )
            connection.execute("DELETE FROM webhook_delivery WHERE hook_id = ?", row)

        await self._store.transact(WebhookSite.COMMIT, work)

    def by_id_nowait(self, hook_id: str) -> Webhook | None:
        """The webhook whose URL ends so, or None."""
        row = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT document FROM webhook WHERE hook_id = ?", (hook_id,)
            ).fetchone()
        )
        return None if row is None else _webhook(row[0])

    def all_nowait(self) -> Sequence[Webhook]:
        """All of them, by name."""
        rows = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT document FROM webhook ORDER BY name"
            ).fetchall()
        )
        return [_webhook(document) for (document,) in rows]

    async def accept(
        self, webhook: Webhook, parcel: Parcel, now_ms: int, *, delivery_id: str
    ) -> bool:
        """Keep a delivery's event, unless the delivery was accepted before.

        Args:
            delivery_id: The sender's, or "" where it has none: then each is a new one.

        Returns:
            Whether it is new.

        Raises:
            StorageFailed: It was not kept; the sender is to send it again.
        """
        row = (webhook.hook_id, delivery_id, now_ms)

        def work(connection: sqlite3.Connection) -> Sequence[Parcel] | None:
            connection.execute(
                "DELETE FROM webhook_delivery WHERE (hook_id, delivery_id) IN (SELECT hook_id, "
                "delivery_id FROM webhook_delivery WHERE at_ms < ? LIMIT ?)",
                (now_ms - REMEMBERED_MS, _FORGOTTEN_AT_ONCE),
            )
            if delivery_id:
                added = connection.execute(
                    "INSERT OR IGNORE INTO webhook_delivery VALUES (?, ?, ?)", row
                )
                if not added.rowcount:
                    return None
            return self._outbox.post(connection, [parcel], now_ms)

        def applied(kept: Sequence[Parcel] | None) -> None:
            if kept:
                self._outbox.posted(kept)

        return await self._store.transact(WebhookSite.ACCEPT, work, applied) is not None


def _webhook(document: bytes) -> Webhook:
    return msgspec.json.decode(document, type=Webhook)


def _successor(before: Webhook, after: Webhook) -> Webhook:
    return replace(after, hook_id=before.hook_id, created_ms=before.created_ms)


def _require_room(connection: sqlite3.Connection) -> None:
    (count,) = connection.execute("SELECT count(*) FROM webhook").fetchone()
    if count >= WEBHOOKS_MAX:
        raise Conflict(f"there are {count} webhooks, and {WEBHOOKS_MAX} at most; remove some")
