"""Pages of keys, by the index: a common prefix costs one look-up, however many keys are behind it.

    key      a.txt   b/1   b/2 ... b/999999   c.txt
    read       *      *    |_____jumped____|    *      delimiter "/": a.txt, b/, c.txt

Keys are compared as bytes of UTF-8. A cursor is read only as far as the page goes.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mayfly.stores.objects.changes import leading_number
from mayfly.stores.objects.record import (
    NULL_VERSION,
    MultipartUpload,
    ObjectPage,
    Query,
    UploadPage,
)
from mayfly.stores.objects.schema import read_upload
from mayfly.stores.objects.versions import COLUMNS, Row, find_version, read_version

_ROWS = f"SELECT {COLUMNS}, NULL FROM object_version"  # noqa: S608  constants only
_OBJECTS = (
    f"{_ROWS} INDEXED BY object_latest "
    "WHERE is_latest = 1 AND bucket_id = ? AND is_marker = ? AND key >= ? ORDER BY key"
)
_OLDER = (
    f"{_ROWS} INDEXED BY object_older "
    "WHERE is_latest = 0 AND bucket_id = ? AND key >= ? ORDER BY key, seq DESC"
)
_LATEST_OF_ONE_KEY = (
    f"{_ROWS} WHERE is_latest = 1 AND bucket_id = ? AND is_marker IN (0, 1) AND key = ? AND seq < ?"
)
_OLDER_OF_ONE_KEY = (
    f"{_ROWS} WHERE is_latest = 0 AND bucket_id = ? AND key = ? AND seq < ? ORDER BY seq DESC"
)
_UPLOADS = (
    "SELECT key, owner, document FROM object_upload INDEXED BY object_upload_key "
    "WHERE bucket_id = ? AND key >= ? ORDER BY key, owner"
)
_UPLOADS_OF_ONE_KEY = (
    "SELECT key, owner, document FROM object_upload INDEXED BY object_upload_key "
    "WHERE bucket_id = ? AND key = ? AND owner > ? ORDER BY owner"
)
_NUMBER_MAX = (1 << 63) - 1

T = TypeVar("T")

# Items with their keys, in order, from a key on: read lazily.
From = Callable[[bytes], Iterator[tuple[bytes, T]]]


def page_of_objects(connection: sqlite3.Connection, bucket_id: int, query: Query) -> ObjectPage:
    """Latest versions that are no markers."""

    def rows_from(key: bytes) -> Iterator[tuple[bytes, Row]]:
        return _keyed(connection.execute(_OBJECTS, (bucket_id, 0, key)))

    page = _walk(rows_from, query)
    return ObjectPage([read_version(row).meta for row in page.items], page.prefixes, page.after)


def page_of_versions(connection: sqlite3.Connection, bucket_id: int, query: Query) -> ObjectPage:
    """Versions and markers, of one key the newest first."""

    def rows_from(key: bytes) -> Iterator[tuple[bytes, Row]]:
        sources = [
            connection.execute(_OBJECTS, (bucket_id, 0, key)),
            connection.execute(_OBJECTS, (bucket_id, 1, key)),
            connection.execute(_OLDER, (bucket_id, key)),
        ]
        return _keyed(heapq.merge(*sources, key=_key_then_newest))

    def rest_of_key(key: bytes) -> Iterator[tuple[bytes, Row]]:
        below = _number_of(connection, bucket_id, key, query.after_id)
        for statement in (_LATEST_OF_ONE_KEY, _OLDER_OF_ONE_KEY):
            yield from _keyed(connection.execute(statement, (bucket_id, key, below)))

    page = _walk(_after_part_of_a_key(rows_from, rest_of_key, query), query)
    found = [read_version(row).meta for row in page.items]
    last_id = found[-1].version_id if page.after and not page.ends_in_prefix else ""
    return ObjectPage(found, page.prefixes, page.after, last_id)


def page_of_uploads(connection: sqlite3.Connection, bucket_id: int, query: Query) -> UploadPage:
    """Uploads under way, of one key the oldest first."""

    def read(rows: Iterator[tuple[bytes, int, bytes]]) -> Iterator[tuple[bytes, MultipartUpload]]:
        return ((key, read_upload(document)) for key, _, document in rows)

    def uploads_from(key: bytes) -> Iterator[tuple[bytes, MultipartUpload]]:
        return read(connection.execute(_UPLOADS, (bucket_id, key)))

    def rest_of_key(key: bytes) -> Iterator[tuple[bytes, MultipartUpload]]:
        above = leading_number(query.after_id)
        return read(connection.execute(_UPLOADS_OF_ONE_KEY, (bucket_id, key, above)))

    page = _walk(_after_part_of_a_key(uploads_from, rest_of_key, query), query)
    last_id = page.items[-1].upload_id if page.after and not page.ends_in_prefix else ""
    return UploadPage(page.items, page.prefixes, page.after, last_id)


@dataclass(slots=True)
class _Page(Generic[T]):
    """What a walk found.

    Args:
        after: Where the next page begins; "" if there is none.
        ends_in_prefix: `after` is a common prefix.
    """

    items: list[T] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    after: str = ""
    ends_in_prefix: bool = False


def _walk(items_from: From[T], query: Query) -> _Page[T]:
    """Take items and common prefixes until the page is full or the keys end."""
    page: _Page[T] = _Page()
    if query.count_max <= 0:
        return page
    last = b""
    for taken, (key, item) in enumerate(_entries(items_from, query)):
        if taken == query.count_max:
            page.after = last.decode()
            return page
        last = key
        page.ends_in_prefix = item is None
        if item is None:
            page.prefixes.append(key.decode())
        else:
            page.items.append(item)
    return page


def _entries(items_from: From[T], query: Query) -> Iterator[tuple[bytes, T | None]]:
    """In order: keys with their items, and common prefixes with None."""
    prefix, delimiter = _written(query.prefix), _written(query.delimiter)
    start = max(prefix, _beginning(query))
    while True:
        for key, item in items_from(start):
            if not key.startswith(prefix):
                return
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            if at >= 0:
                common = key[: at + len(delimiter)]
                yield common, None
                start = _behind(common)
                break
            yield key, item
        else:
            return


def _beginning(query: Query) -> bytes:
    """The first key that the page may have."""
    after, prefix, delimiter = map(_written, (query.after, query.prefix, query.delimiter))
    if not after:
        return b""
    if delimiter and after.startswith(prefix):
        at = after.find(delimiter, len(prefix))
        if at >= 0 and at + len(delimiter) == len(after):
            return _behind(after)
    return after + b"\0"


def _behind(prefix: bytes) -> bytes:
    """The smallest key that is greater than all that begin with `prefix`."""
    # UTF-8 has no byte 0xff: the last byte can always be one more.
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def _after_part_of_a_key(items_from: From[T], rest_of_key: From[T], query: Query) -> From[T]:
    """`items_from`, but where `query` goes on inside a key, that key's rest comes first."""
    after = _written(query.after)

    def read(start: bytes) -> Iterator[tuple[bytes, T]]:
        if query.after_id and start == after + b"\0":
            yield from rest_of_key(after)
        yield from items_from(start)

    return read


def _written(text: str) -> bytes:
    """As keys are; what no key can hold matches none."""
    return text.encode("utf-8", "surrogatepass")


def _keyed(rows: Iterator[Row]) -> Iterator[tuple[bytes, Row]]:
    return ((row[1], row) for row in rows)


def _key_then_newest(row: Row) -> tuple[bytes, int]:
    return row[1], -row[0]


def _number_of(connection: sqlite3.Connection, bucket_id: int, key: bytes, version_id: str) -> int:
    """The version's number; one above all where the null version is gone: twice is no loss."""
    if version_id != NULL_VERSION:
        return leading_number(version_id)
    found = find_version(connection, bucket_id, key, version_id)
    return _NUMBER_MAX if found is None else found.number
