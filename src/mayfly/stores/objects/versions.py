"""What writes and deletes do to a key's rows; each function runs inside a transaction.

    bucket       put                                  delete                 delete one version
    NEVER        the null version is replaced         it goes                as delete
    ENABLED      a new version becomes the latest     a marker becomes it    that one goes; the next
    SUSPENDED    the null version is replaced by      the null version is    older one is the latest
                 a new latest one                     replaced by a marker

Of one key the latest is always the version with the largest number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mayfly.stores.objects.bucket import Versioning
from mayfly.stores.objects.changes import Change, key_bytes, leading_number
from mayfly.stores.objects.parts import PartRow, write_part
from mayfly.stores.objects.record import (
    ALWAYS,
    NULL_VERSION,
    ChangeKind,
    Conditions,
    Deleted,
    DeleteTarget,
    ObjectMeta,
    Placed,
    Placement,
)
from mayfly.stores.objects.refusals import ConditionFailed, NoSuchKey
from mayfly.stores.objects.schema import read_facts, write_facts

# What an ObjectMeta is made of, then where its body is.
COLUMNS = (
    "seq, key, size, etag, modified_ms, version_id, facts, is_latest, is_marker, parts_count, "
    "parts_owner, file_id"
)
_LATEST = (
    f"SELECT {COLUMNS}, NULL FROM object_version "  # noqa: S608  constants only
    "WHERE is_latest = 1 AND bucket_id = ? AND is_marker IN (0, 1) AND key = ?"
)
_OBJECT = (
    f"SELECT {COLUMNS}, body FROM object_version "  # noqa: S608  constants only
    "WHERE is_latest = 1 AND bucket_id = ? AND is_marker = 0 AND key = ?"
)
_NUMBERED = (
    f"SELECT {COLUMNS}, body FROM object_version "  # noqa: S608  constants only
    "WHERE seq = ? AND bucket_id = ? AND key = ? AND version_id = ?"
)
_OLD_NULL = (
    f"SELECT {COLUMNS}, body FROM object_version "  # noqa: S608  constants only
    "WHERE is_latest = 0 AND version_id = 'null' AND bucket_id = ? AND key = ?"
)
_NEWEST_OLDER = (
    "SELECT seq FROM object_version WHERE is_latest = 0 AND bucket_id = ? AND key = ? "
    "ORDER BY seq DESC LIMIT 1"
)
_INSERT = (
    "INSERT INTO object_version (seq, bucket_id, is_latest, is_marker, key, version_id, size, "
    "etag, modified_ms, parts_owner, parts_count, file_id, facts, body) "
    "VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# COLUMNS and the body; of these types, for the tables are STRICT.
Row = tuple[int, bytes, int, str, int, str, bytes, int, int, int, int, str, bytes | None]


@dataclass(frozen=True, slots=True)
class Version:
    """A row: what it says, and where its body is.

    Args:
        body: A small object's; None where it was not asked for or is elsewhere.
    """

    number: int
    meta: ObjectMeta
    parts_owner: int
    file_id: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A body that has been kept, and is about to get its row.

    Args:
        body: A small one; else None and `file_id`.
        parts_owner: Parts that have rows already; or 0 and `parts` get them.
    """

    size: int
    etag: str
    body: bytes | None = None
    file_id: str = ""
    parts_owner: int = 0
    parts_count: int = 0
    parts: Sequence[PartRow] = ()


# Looking up


def read_version(row: Row) -> Version:
    """What a row says."""
    number, key, size, etag, modified_ms, version_id, facts, latest, marker, parts_count = row[:10]
    meta = ObjectMeta(
        key=key.decode(),
        size=size,
        etag=etag,
        modified_ms=modified_ms,
        version_id=version_id,
        facts=read_facts(facts),
        is_latest=bool(latest),
        is_marker=bool(marker),
        parts_count=parts_count,
    )
    return Version(number, meta, parts_owner=row[10], file_id=row[11], body=row[12])


def find_object(connection: sqlite3.Connection, bucket_id: int, key: bytes) -> Version | None:
    """The key's latest version with its body, if that is no marker."""
    row = connection.execute(_OBJECT, (bucket_id, key)).fetchone()
    return None if row is None else read_version(row)


def find_latest(connection: sqlite3.Connection, bucket_id: int, key: bytes) -> Version | None:
    """The key's latest version, a marker too, without its body."""
    row = connection.execute(_LATEST, (bucket_id, key)).fetchone()
    return None if row is None else read_version(row)


def find_version(
    connection: sqlite3.Connection, bucket_id: int, key: bytes, version_id: str
) -> Version | None:
    """One version, a marker too, with its body."""
    if version_id != NULL_VERSION:
        numbered = (leading_number(version_id), bucket_id, key, version_id)
        row = connection.execute(_NUMBERED, numbered).fetchone()
        return None if row is None else read_version(row)
    latest = find_latest(connection, bucket_id, key)
    if latest is not None and latest.meta.version_id == NULL_VERSION:
        numbered = (latest.number, bucket_id, key, version_id)
        row = connection.execute(_NUMBERED, numbered).fetchone()
    else:
        row = connection.execute(_OLD_NULL, (bucket_id, key)).fetchone()
    return None if row is None else read_version(row)


# Writing


def place(change: Change, placement: Placement, content: Content) -> Placed:
    """Make `content` the key's latest version.

    Raises:
        ConditionFailed, NoSuchKey: The conditions do not hold.
    """
    key = key_bytes(placement.key)
    latest = find_latest(change.connection, change.bucket_id, key)
    _check(placement.conditions, latest, placement.key)
    number = change.next_number()
    version_id = _make_room(change, key, latest, number)
    owner = content.parts_owner
    if content.parts:
        owner = number
        for part in content.parts:
            write_part(change.connection, owner, part)
    connection, now_ms = change.connection, change.moment.now_ms
    place_of_body = (owner, content.parts_count, content.file_id)
    facts = write_facts(placement.facts)
    known = (number, change.bucket_id, 0, key, version_id, content.size, content.etag, now_ms)
    connection.execute(_INSERT, (*known, *place_of_body, facts, content.body))
    change.told(
        placement.kind,
        placement.key,
        number=number,
        size=content.size,
        etag=content.etag,
        version_id=version_id,
    )
    shown = "" if change.settings.versioning is Versioning.NEVER else version_id
    return Placed(content.etag, content.size, now_ms, shown)


def remove(change: Change, target: DeleteTarget) -> Deleted:
    """Delete a key, or one of its versions; what is not there is deleted already.

    Raises:
        ConditionFailed, NoSuchKey: The conditions do not hold.
    """
    key = key_bytes(target.key)
    if target.version_id:
        return _remove_version(change, target, key)
    latest = find_latest(change.connection, change.bucket_id, key)
    _check(target.conditions, latest, target.key)
    if change.settings.versioning is not Versioning.NEVER:
        return _mark(change, target.key, key, latest)
    if latest is not None:
        _drop(change, latest)
        _told_removed(change, latest, target.key)
    return Deleted(target.key)


def _remove_version(change: Change, target: DeleteTarget, key: bytes) -> Deleted:
    found = find_version(change.connection, change.bucket_id, key, target.version_id)
    _check(target.conditions, found, target.key)
    if found is None:
        return Deleted(target.key, target.version_id)
    _drop(change, found)
    if found.meta.is_latest:
        row = change.connection.execute(_NEWEST_OLDER, (change.bucket_id, key)).fetchone()
        if row is not None:
            change.connection.execute(
                "UPDATE object_version SET is_latest = 1 WHERE seq = ?", (row[0],)
            )
    _told_removed(change, found, target.key)
    return Deleted(target.key, target.version_id, is_marker=found.meta.is_marker)


def _told_removed(change: Change, version: Version, key: str) -> None:
    change.told(
        ChangeKind.DELETE,
        key,
        number=change.next_number(),
        size=version.meta.size,
        etag=version.meta.etag,
        version_id=version.meta.version_id,
    )


def _mark(change: Change, name: str, key: bytes, latest: Version | None) -> Deleted:
    """Make a delete marker the key's latest version."""
    number = change.next_number()
    version_id = _make_room(change, key, latest, number)
    connection, now_ms = change.connection, change.moment.now_ms
    known = (number, change.bucket_id, 1, key, version_id, 0, "", now_ms)
    connection.execute(_INSERT, (*known, 0, 0, "", b"", None))
    change.told(ChangeKind.MARKER, name, number=number, size=0, etag="", version_id=version_id)
    return Deleted(name, version_id, is_marker=True, marker_made=True)


def _make_room(change: Change, key: bytes, latest: Version | None, number: int) -> str:
    """Take away or step down what the next latest version replaces; the next one's id."""
    if latest is not None:
        if not change.is_versioned and latest.meta.version_id == NULL_VERSION:
            _drop(change, latest)
        else:
            change.connection.execute(
                "UPDATE object_version SET is_latest = 0 WHERE seq = ?", (latest.number,)
            )
    if change.is_versioned:
        return change.new_version_id(number)
    if change.settings.versioning is Versioning.SUSPENDED:
        row = change.connection.execute(_OLD_NULL, (change.bucket_id, key)).fetchone()
        if row is not None:
            _drop(change, read_version(row))
    return NULL_VERSION


def _drop(change: Change, version: Version) -> None:
    """A row goes, and its body with it."""
    change.connection.execute("DELETE FROM object_version WHERE seq = ?", (version.number,))
    change.litter(version.file_id)
    if version.parts_owner:
        change.litter_parts(version.parts_owner)


def _check(conditions: Conditions, version: Version | None, key: str) -> None:
    if conditions is ALWAYS:
        return
    there = version is not None and not version.meta.is_marker
    if conditions.if_absent:
        if there:
            raise ConditionFailed(f'"{key}" is there, and If-None-Match: * was asked')
        return
    if not (conditions.if_match or conditions.if_size is not None or conditions.if_modified_ms):
        return
    if version is None or not there:
        raise NoSuchKey(f'"{key}" is not there, and a condition on it was asked')
    meta = version.meta
    if conditions.if_match not in ("", "*", meta.etag):
        raise ConditionFailed(f'"{key}" has the ETag {meta.etag}, not {conditions.if_match}')
    if conditions.if_size not in (None, meta.size):
        raise ConditionFailed(f'"{key}" has {meta.size} bytes, not {conditions.if_size}')
    modified = conditions.if_modified_ms
    if modified is not None and modified // 1000 != meta.modified_ms // 1000:
        raise ConditionFailed(f'"{key}" was last modified at another time')
