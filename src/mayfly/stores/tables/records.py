"""A stream's records: written with the item's change, read by shard in order, told as documents.

A row holds the record's document but for its sequence number, which the database gives; images are
the items' own bytes. A sequence number is 21 digits: a one, then the row's number.

    shardId-<stream's creation, 20 digits>-<number, 8 digits>

Source: "Amazon DynamoDB Streams" API reference, Record and StreamRecord.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import msgspec

from mayfly.model.function import REGION
from mayfly.stores.tables.definition import Stream, StreamView
from mayfly.stores.tables.errors import InvalidRequest, TableNotFound
from mayfly.stores.tables.keys import encode
from mayfly.stores.tables.layout import SHARDS, Place, shard_of
from mayfly.stores.tables.values import Item

RETENTION_MS = 24 * 3_600_000
READ_BYTES_MAX = 1024 * 1024
_SEQUENCE_LEAD = 10**20
_SEQUENCE_DIGITS = 21
_SERVICE = "dynamodb.amazonaws.com"

_decode = msgspec.json.Decoder().decode
encode_item = msgspec.json.Encoder().encode


def decode_item(document: bytes) -> Item:
    """An item that is kept, from its JSON."""
    return cast(Item, _decode(document))


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did to an item, for its stream.

    Args:
        old: The item before as JSON, None where there was none.
        new: The item after, None where it is gone.
        size: Bytes of both.
        by_expiry: The time to live removed it.
    """

    key: Item
    place: Place
    old: bytes | None
    new: bytes | None
    size: int
    by_expiry: bool = False


class StreamRow(NamedTuple):
    """A record as it is kept."""

    sequence: int
    created_ms: int
    document: bytes


class _Kept(msgspec.Struct, array_like=True):
    """A row's document: what happened, by whom, and the record but for its sequence number."""

    event: str
    by_expiry: bool
    rest: msgspec.Raw


class _Keyed(msgspec.Struct):
    """The part of a record that says which item it is about."""

    Keys: msgspec.Raw


_kept = msgspec.json.Decoder(_Kept).decode
_keyed = msgspec.json.Decoder(_Keyed).decode

_ADD = "INSERT INTO stream_record (stream_id, shard, created_ms, document) VALUES (?, ?, ?, ?)"
# The index gives a shard's rows in order of their sequence.
_READ = (
    "SELECT sequence, created_ms, document FROM stream_record "
    "WHERE stream_id = ? AND shard = ? AND sequence > ? ORDER BY sequence LIMIT ?"
)
_GIVEN = "SELECT seq FROM sqlite_sequence WHERE name = 'stream_record'"


def add_record(connection: sqlite3.Connection, stream: Stream, change: Change, now_ms: int) -> None:
    """Write a change's record, in the change's transaction."""
    row = (stream.stream_id, shard_of(change.place), now_ms, _document(stream, change, now_ms))
    connection.execute(_ADD, row)


def read_records(
    connection: sqlite3.Connection, stream: Stream, shard: int, after: int, count_max: int
) -> Sequence[StreamRow]:
    """Records of a shard whose sequence is above `after`, oldest first; by the index.

    Fewer than `count_max` where they are large: after about a megabyte no more are read.
    """
    cursor = connection.execute(_READ, (stream.stream_id, shard, after, count_max))
    rows: list[StreamRow] = []
    size = 0
    try:
        for row in cursor:
            size += len(row[2])
            if rows and size > READ_BYTES_MAX:
                break
            rows.append(StreamRow(*row))
    finally:
        cursor.close()
    return rows


def given_sequence(connection: sqlite3.Connection) -> int:
    """The highest sequence that any record ever had: what comes later is above it."""
    row = connection.execute(_GIVEN).fetchone()
    return int(row[0]) if row else 0


def oldest_sequence(connection: sqlite3.Connection) -> int:
    """The lowest sequence of any record that is still there; 0 where there is none."""
    (oldest,) = connection.execute("SELECT min(sequence) FROM stream_record").fetchone()
    return int(oldest or 0)


def record_document(row: StreamRow, stream_arn: str, *, for_function: bool = False) -> bytes:
    """A record as JSON.

    Args:
        for_function: As a function's event has it (`eventSourceARN`, lower-case `userIdentity`)
            instead of as GetRecords gives it.
    """
    kept = _kept(row.document)
    number = sequence_text(row.sequence)
    digest = hashlib.blake2b(f"{stream_arn}/{number}".encode(), digest_size=16).hexdigest()
    parts = [
        f'{{"eventID":"{digest}","eventName":"{kept.event}","eventVersion":"1.1",'
        f'"eventSource":"aws:dynamodb","awsRegion":"{REGION}",'
        f'"dynamodb":{{"SequenceNumber":"{number}",'.encode(),
        bytes(kept.rest)[1:],
    ]
    if kept.by_expiry:
        principal, kind = ("principalId", "type") if for_function else ("PrincipalId", "Type")
        parts.append(f',"userIdentity":{{"{principal}":"{_SERVICE}","{kind}":"Service"}}'.encode())
    if for_function:
        parts.append(f',"eventSourceARN":"{stream_arn}"'.encode())
    parts.append(b"}")
    return b"".join(parts)


def record_key(row: StreamRow) -> bytes:
    """The item's key as bytes: the same for every record of an item."""
    key = decode_item(bytes(_keyed(_kept(row.document).rest).Keys))
    return b"\0".join(encode(value) for value in key.values())


def sequence_text(sequence: int) -> str:
    """A sequence as its 21 digits."""
    return str(_SEQUENCE_LEAD + sequence)


def sequence_of(text: str) -> int:
    """The sequence that 21 digits say. Raises InvalidRequest."""
    plain = text.isascii() and text.isdigit() and len(text) == _SEQUENCE_DIGITS
    if not plain or text[0] != "1":
        raise InvalidRequest(f"Invalid SequenceNumber: {text[:40]}")
    return int(text) - _SEQUENCE_LEAD


def shard_ids(stream: Stream) -> list[str]:
    """A stream's shards, in order; fixed for its life."""
    return [f"shardId-{stream.created_ms:020d}-{number:08d}" for number in range(SHARDS)]


def shard_number(stream: Stream, shard_id: str) -> int:
    """A shard's number. Raises TableNotFound."""
    try:
        return shard_ids(stream).index(shard_id)
    except ValueError:
        raise TableNotFound("Requested resource not found: Shard does not exist") from None


def _document(stream: Stream, change: Change, now_ms: int) -> bytes:
    """The row's document, spliced: images are not parsed."""
    name = "INSERT" if change.old is None else "REMOVE" if change.new is None else "MODIFY"
    flag = "true" if change.by_expiry else "false"
    key = encode_item(change.key)
    parts = [
        f'["{name}",{flag},{{"ApproximateCreationDateTime":{now_ms // 1000},"Keys":'.encode(),
        key,
    ]
    view = stream.view
    if change.new is not None and view in _SHOWS_NEW:
        parts += (b',"NewImage":', change.new)
    if change.old is not None and view in _SHOWS_OLD:
        parts += (b',"OldImage":', change.old)
    parts.append(f',"SizeBytes":{change.size or len(key)},"StreamViewType":"{view}"}}]'.encode())
    return b"".join(parts)


_SHOWS_NEW = frozenset({StreamView.NEW_IMAGE, StreamView.NEW_AND_OLD_IMAGES})
_SHOWS_OLD = frozenset({StreamView.OLD_IMAGE, StreamView.NEW_AND_OLD_IMAGES})
