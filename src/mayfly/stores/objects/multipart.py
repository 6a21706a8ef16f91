"""Uploads in parts: each part is a body of its own; completing one moves no bytes.

create --> object_upload row      put_part --> object_part rows      complete --> the parts stay
                                                                     where they are, and a
                                                                     version names their owner
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from mayfly.stores.objects.buckets import Buckets
from mayfly.stores.objects.changes import Change, Changes, key_bytes, leading_number
from mayfly.stores.objects.listing import page_of_uploads
from mayfly.stores.objects.parts import PartRow, find_file, read_parts, write_part
from mayfly.stores.objects.record import (
    ALWAYS,
    Cause,
    ChangeKind,
    Checksum,
    Conditions,
    MultipartUpload,
    Part,
    PartClaim,
    PartPage,
    Placed,
    Placement,
    Query,
    UploadPage,
)
from mayfly.stores.objects.refusals import (
    EntityTooLarge,
    EntityTooSmall,
    InvalidPart,
    InvalidPartNumber,
    InvalidPartOrder,
    NoSuchUpload,
)
from mayfly.stores.objects.schema import read_upload, write_upload
from mayfly.stores.objects.upload import Upload
from mayfly.stores.objects.versions import Content, place

PART_NUMBER_MAX = 10_000
PART_BYTES_MIN = 5 * 1024 * 1024
OBJECT_BYTES_MAX = 5 * 1024**4

_FIND = "SELECT document FROM object_upload WHERE owner = ? AND bucket_id = ? AND key = ?"
_NOBODY = Cause()


class Multipart:
    """The multipart uploads of an `ObjectStore`."""

    def __init__(self, changes: Changes, buckets: Buckets) -> None:
        self._changes = changes
        self._database = changes.database
        self._buckets = buckets

    async def create(
        self,
        placement: Placement,
        *,
        checksum_algorithm: str = "",
        checksum_kind: str = "",
        initiator: str = "",
    ) -> MultipartUpload:
        """Begin an upload; its facts are the object's later. Raises NoSuchBucket, KeyTooLong."""
        key = key_bytes(placement.key)

        def work(change: Change) -> MultipartUpload:
            owner = change.next_number()
            upload = MultipartUpload(
                upload_id=change.new_version_id(owner),
                bucket=placement.bucket,
                key=placement.key,
                started_ms=change.moment.now_ms,
                facts=placement.facts,
                checksum_algorithm=checksum_algorithm,
                checksum_kind=checksum_kind,
                initiator=initiator,
            )
            change.connection.execute(
                "INSERT INTO object_upload (owner, bucket_id, key, document) VALUES (?, ?, ?, ?)",
                (owner, change.bucket_id, key, write_upload(upload)),
            )
            return upload

        return await self._changes.make(placement.bucket, _NOBODY, work)

    def find_nowait(self, bucket: str, key: str, upload_id: str) -> MultipartUpload:
        """An upload under way. Raises NoSuchBucket, NoSuchUpload."""
        bucket_id = self._buckets.find_nowait(bucket).bucket_id
        return self._database.read_nowait(
            lambda connection: _find(connection, bucket_id, key, upload_id)
        )

    async def put_part(
        self,
        upload: Upload,
        pending: MultipartUpload,
        number: int,
        checksums: tuple[Checksum, ...] = (),
    ) -> Part:
        """Keep a part, in the place of an earlier one of this number; concurrent ones are welcome.

        Raises:
            NoSuchUpload: It was completed or aborted meanwhile.
            InvalidPartNumber.
        """
        if not 1 <= number <= PART_NUMBER_MAX:
            raise InvalidPartNumber(f"a part's number is 1 to {PART_NUMBER_MAX}, got {number}")
        await upload.keep()
        part = Part(number, upload.size, upload.md5_hex, self._changes.now_ms(), checksums)
        row = PartRow(part, upload.file_id, upload.body)

        def work(change: Change) -> None:
            _find(change.connection, change.bucket_id, pending.key, pending.upload_id)
            owner = leading_number(pending.upload_id)
            change.litter(find_file(change.connection, owner, number))
            write_part(change.connection, owner, row)

        await self._changes.make(pending.bucket, _NOBODY, work, kept=upload)
        return part

    async def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, count_max: int = 1_000
    ) -> PartPage:
        """Parts with numbers above `after`. Raises NoSuchBucket, NoSuchUpload."""
        bucket_id = self._buckets.find_nowait(bucket).bucket_id

        def work(connection: sqlite3.Connection) -> PartPage:
            upload = _find(connection, bucket_id, key, upload_id)
            owner = leading_number(upload_id)
            rows = read_parts(connection, owner, after=after, count_max=count_max + 1)
            parts = [row.part for row in rows[:count_max]]
            more = len(rows) > len(parts) and parts
            return PartPage(upload, parts, parts[-1].number if more else 0)

        return await self._database.read(work)

    async def list_uploads(self, query: Query) -> UploadPage:
        """Uploads under way, by key, of one key the oldest first. Raises NoSuchBucket."""
        bucket_id = self._buckets.find_nowait(query.bucket).bucket_id
        return await self._database.read(
            lambda connection: page_of_uploads(connection, bucket_id, query)
        )

    async def complete(
        self,
        pending: MultipartUpload,
        claims: Sequence[PartClaim],
        cause: Cause,
        *,
        checksums: tuple[Checksum, ...] = (),
        conditions: Conditions = ALWAYS,
        size: int | None = None,
    ) -> Placed:
        """Make the named parts an object, in this order; the others are dropped.

        Args:
            checksums: The object's, as the caller computed them from the parts'.
            size: What the client says the object's size is, or None.

        Raises:
            NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, EntityTooLarge,
            ConditionFailed, NoSuchKey: The upload stays as it was.
        """
        _check_order(claims)
        facts = replace(pending.facts, checksums=checksums)
        placement = Placement(
            pending.bucket, pending.key, facts, conditions, kind=ChangeKind.COMPLETE
        )

        def work(change: Change) -> Placed:
            _find(change.connection, change.bucket_id, pending.key, pending.upload_id)
            owner = leading_number(pending.upload_id)
            there = {row.part.number: row for row in read_parts(change.connection, owner)}
            parts = [_claimed(there, claim).part for claim in claims]
            _check_sizes(parts, size)
            content = Content(
                size=sum(part.size for part in parts),
                etag=_etag(parts),
                parts_owner=owner,
                parts_count=len(parts),
            )
            placed = place(change, placement, content)
            _forget(change, owner)
            for number in there.keys() - {part.number for part in parts}:
                change.litter(there[number].file_id, owner)
                change.connection.execute(
                    "DELETE FROM object_part WHERE owner = ? AND number = ?", (owner, number)
                )
            return placed

        return await self._changes.make(pending.bucket, cause, work)

    async def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload and its parts. Raises NoSuchBucket, NoSuchUpload."""

        def work(change: Change) -> None:
            _find(change.connection, change.bucket_id, key, upload_id)
            owner = leading_number(upload_id)
            _forget(change, owner)
            change.litter_parts(owner)

        await self._changes.make(bucket, _NOBODY, work)


def _find(
    connection: sqlite3.Connection, bucket_id: int, key: str, upload_id: str
) -> MultipartUpload:
    numbered = (leading_number(upload_id), bucket_id, key_bytes(key))
    row = connection.execute(_FIND, numbered).fetchone()
    upload = None if row is None else read_upload(row[0])
    if upload is None or upload.upload_id != upload_id:
        raise NoSuchUpload(
            f'"{key}" has no upload "{upload_id[:64]}": it was completed or aborted, or never begun'
        )
    return upload


def _forget(change: Change, owner: int) -> None:
    change.connection.execute("DELETE FROM object_upload WHERE owner = ?", (owner,))


def _check_order(claims: Sequence[PartClaim]) -> None:
    if not claims:
        raise InvalidPart("an upload is completed by naming at least one part")
    numbers = [claim.number for claim in claims]
    if any(one >= other for one, other in itertools.pairwise(numbers)):
        raise InvalidPartOrder("parts must be named in ascending order, each once")


def _claimed(there: dict[int, PartRow], claim: PartClaim) -> PartRow:
    row = there.get(claim.number)
    if row is None or row.part.etag != claim.etag:
        has = "was not uploaded" if row is None else f"has the ETag {row.part.etag}"
        raise InvalidPart(f"part {claim.number} {has}; it was named with {claim.etag[:64]}")
    known = {one.algorithm: one.value for one in row.part.checksums}
    for one in claim.checksums:
        if known.get(one.algorithm, one.value) != one.value:
            raise InvalidPart(
                f"part {claim.number} has the {one.algorithm} {known[one.algorithm]}, "
                f"not {one.value[:64]}"
            )
    return row


def _check_sizes(parts: Sequence[Part], size: int | None) -> None:
    for part in parts[:-1]:
        if part.size < PART_BYTES_MIN:
            raise EntityTooSmall(
                f"part {part.number} has {part.size} bytes; all but the last need at least "
                f"{PART_BYTES_MIN}"
            )
    total = sum(part.size for part in parts)
    if total > OBJECT_BYTES_MAX:
        raise EntityTooLarge(f"the parts have {total} bytes, more than {OBJECT_BYTES_MAX}")
    if size is not None and size != total:
        raise InvalidPart(f"the parts have {total} bytes, not {size} as the request says")


def _etag(parts: Sequence[Part]) -> str:
    """S3's: the MD5 of the parts' MD5s, a hyphen, and how many there are."""
    joined = hashlib.md5(
        b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False
    )
    return f"{joined.hexdigest()}-{len(parts)}"
