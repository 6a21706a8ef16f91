"""Pages of items, in order: a query's range or a scan's segment, of a table or of an index.

    Span  which rows, in which direction, after which row
    Walk  takes rows until the page is full: by count, by bytes, by the end

A walk can stop after some rows and go on elsewhere: the first rows are read on the event loop, and
only a page that is longer is read on, on a reader thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from mayfly.stores.tables.layout import Place
from mayfly.stores.tables.records import decode_item, encode_item
from mayfly.stores.tables.values import Item

PAGE_BYTES_MAX = 1024 * 1024

Position = tuple[bytes, ...]
"""The key of a row: (hash, range) in a table, followed by the item's own two in an index."""

Shape = Callable[[Item], Item | None]
"""What is shown of an item; None where it is filtered away."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows a page is of.

    Args:
        table_id: Of the table.
        index_id: Of the index, or None: the table itself.
        hash: For a query: the one spread hash key.
        low: The least range key of a query, or the least hash key of a scan's segment.
        high: What is not reached any more, None where there is no end.
        after: The row after which to begin.
    """

    table_id: int
    index_id: int | None
    hash: bytes | None = None
    low: bytes = b""
    high: bytes | None = None
    forward: bool = True
    after: Position | None = None


@dataclass(slots=True)
class Walk:
    """A page in the making.

    Args:
        rows_max: The page's Limit, or None.
        shape: What is shown of an item; None: all of it, unparsed.
        counts_only: Nothing is shown.
    """

    span: Span
    rows_max: int | None = None
    shape: Shape | None = None
    counts_only: bool = False
    documents: list[bytes] = field(default_factory=list)
    scanned: int = 0
    shown: int = 0
    bytes_read: int = 0
    last: Position | None = None
    last_document: bytes = b""
    full: bool = False
    ended: bool = False

    def advance(
        self, connection: sqlite3.Connection, *, rows_max: int, bytes_max: int = PAGE_BYTES_MAX
    ) -> bool:
        """Take at most about so many more rows and bytes; True when the page is done."""
        budget = rows_max if self.rows_max is None else min(rows_max, self.rows_max - self.scanned)
        bytes_end = min(self.bytes_read + bytes_max, PAGE_BYTES_MAX)
        before = self.scanned
        for *position, size, document in self._rows(connection, budget):
            if self.scanned and self.bytes_read + size > PAGE_BYTES_MAX:
                self.full = True
                return True
            self._take(tuple(position), size, document)
            if self.bytes_read >= bytes_end:
                break
        else:
            self.ended = self.scanned - before < budget
        limited = self.rows_max is not None and self.scanned >= self.rows_max
        self.full = limited or self.bytes_read >= PAGE_BYTES_MAX
        return self.full or self.ended

    def _take(self, position: Position, size: int, document: bytes) -> None:
        self.scanned += 1
        self.bytes_read += size
        self.last, self.last_document = position, document
        if self.shape is None:
            self.shown += 1
            if not self.counts_only:
                self.documents.append(document)
            return
        item = self.shape(decode_item(document))
        if item is not None:
            self.shown += 1
            if not self.counts_only:
                self.documents.append(encode_item(item))

    def _rows(
        self, connection: sqlite3.Connection, count: int
    ) -> Iterator[tuple[bytes, bytes, int, bytes]]:
        span = self.span
        after = self.last or span.after
        text = _statement(
            index=span.index_id is not None,
            query=span.hash is not None,
            bounded=span.high is not None,
            resumed=after is not None,
            forward=span.forward,
        )
        # In a query the hash key is fixed: the rest of the row's key decides.
        resumed = after if after is None or span.hash is None else after[1:]
        values: list[object] = [span.table_id if span.index_id is None else span.index_id]
        if span.hash is not None:
            values.append(span.hash)
        values += resumed if resumed is not None and span.forward else (span.low,)
        if resumed is not None and not span.forward:
            values += resumed
        elif span.high is not None:
            values.append(span.high)
        values.append(count)
        cursor = connection.execute(text, values)
        try:
            yield from cursor
        finally:
            cursor.close()


@lru_cache(maxsize=64)
def _statement(*, index: bool, query: bool, bounded: bool, resumed: bool, forward: bool) -> str:
    """The rows of a span, in order."""
    key = (
        ["hash_key", "range_key", "item_hash", "item_range"] if index else ["hash_key", "range_key"]
    )
    table = "index_entry AS e JOIN item AS i ON i.item_id = e.item_id" if index else "item AS e"
    source = "i" if index else "e"
    owner = "e.index_id" if index else "e.table_id"
    ordered = [f"e.{name}" for name in (key[1:] if query else key)]
    bound = "e.range_key" if query else "e.hash_key"
    row = f"({', '.join(ordered)})", f"({', '.join('?' * len(ordered))})"
    where = [f"{owner} = ?"] + (["e.hash_key = ?"] if query else [])
    # The place to resume takes the bound's place, or every page would walk from the first row.
    where.append(f"{row[0]} > {row[1]}" if resumed and forward else f"{bound} >= ?")
    if resumed and not forward:
        where.append(f"{row[0]} < {row[1]}")
    elif bounded:
        where.append(f"{bound} < ?")
    direction = "" if forward else " DESC"
    columns = ", ".join(f"e.{name}" for name in key)
    return (
        f"SELECT {columns}, {source}.size, {source}.document FROM {table} "  # noqa: S608
        f"WHERE {' AND '.join(where)} ORDER BY {', '.join(one + direction for one in ordered)} "
        "LIMIT ?"
    )


def position_in_table(place: Place) -> Position:
    """A table's row as a position."""
    return tuple(place)
