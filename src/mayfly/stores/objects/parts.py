"""The rows of parts, of an upload under way or of the object that it became."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mayfly.stores.objects.record import Part
from mayfly.stores.objects.schema import read_checksums, write_checksums

_ROWS = (
    "SELECT number, size, etag, modified_ms, file_id, checksums, body FROM object_part "
    "WHERE owner = ? AND number > ? ORDER BY number LIMIT ?"
)
_EVERY = 1 << 62


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part, and where its body is: in a file, or in the row."""

    part: Part
    file_id: str
    body: bytes | None = None


def read_parts(
    connection: sqlite3.Connection, owner: int, *, after: int = 0, count_max: int = _EVERY
) -> Sequence[PartRow]:
    """Parts with numbers above `after`, in order."""
    return [
        PartRow(Part(number, size, etag, modified_ms, read_checksums(checksums)), file_id, body)
        for number, size, etag, modified_ms, file_id, checksums, body in connection.execute(
            _ROWS, (owner, after, count_max)
        )
    ]


def find_file(connection: sqlite3.Connection, owner: int, number: int) -> str:
    """The file of one part; "" if it has none or is not there."""
    row = connection.execute(
        "SELECT file_id FROM object_part WHERE owner = ? AND number = ?", (owner, number)
    ).fetchone()
    return row[0] if row is not None else ""


def write_part(connection: sqlite3.Connection, owner: int, row: PartRow) -> None:
    """Add a part, or replace the one of its number; that one's file is the caller's to litter."""
    part = row.part
    connection.execute(
        "INSERT OR REPLACE INTO object_part (owner, number, size, etag, modified_ms, file_id, "
        "checksums, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(owner, part.number, part.size, part.etag, part.modified_ms, row.file_id),
            *(write_checksums(part.checksums), row.body),
        ),
    )
