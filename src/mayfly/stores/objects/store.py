"""Objects, as one value: every write is atomic and durable when it returns, every read is whole.

    async with store.open_upload() as upload:      # memory: about 2 MiB, however long the body
        await upload.write(chunk)
        await upload.end()                         # size and MD5, before anything is visible
        placed = await store.put(upload, Placement("photos", "cat.jpg", facts), cause)

    with await store.get("photos", "cat.jpg") as reader:
        async for chunk in reader.chunks(first=0, size=reader.meta.size): ...

Every method raises StorageFailed when the disk refuses; then nothing of the write is visible.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import CallerError, MayflyError, StorageFailed
from mayfly.ports import Clock, Ids, Sites, unwatched
from mayfly.stores.objects.blobs import Blobs
from mayfly.stores.objects.buckets import Buckets
from mayfly.stores.objects.carrier import ObjectCarrier
from mayfly.stores.objects.changes import Announce, Change, Changes, Kept, Notify, key_bytes
from mayfly.stores.objects.garbage import Collector, forget_unknown
from mayfly.stores.objects.listing import page_of_objects, page_of_versions
from mayfly.stores.objects.multipart import Multipart
from mayfly.stores.objects.parts import PartRow, read_parts
from mayfly.stores.objects.reader import ObjectReader, Pins, Segment
from mayfly.stores.objects.record import (
    ALWAYS,
    Cause,
    Conditions,
    Deleted,
    DeleteTarget,
    ObjectMeta,
    ObjectPage,
    Placed,
    Placement,
    Query,
)
from mayfly.stores.objects.refusals import MarkerFound, NoSuchKey, NoSuchVersion
from mayfly.stores.objects.schema import COMPONENT, STEPS, write_facts
from mayfly.stores.objects.upload import BODY_BYTES_MAX, Hash, Upload
from mayfly.stores.objects.versions import (
    Content,
    Version,
    find_latest,
    find_object,
    find_version,
    place,
    remove,
)

TARGETS_MAX = 1_000


class ObjectStore:
    """Buckets and objects on one database and one folder. Made by `open`, closed by `close`.

    Attributes:
        buckets: Make, delete, list and set up buckets.
        multipart: Uploads in parts.
        carrier: The outbox's carrier "s3".
    """

    def __init__(
        self, changes: Changes, buckets: Buckets, blobs: Blobs, collector: Collector, pins: Pins
    ) -> None:
        self._changes = changes
        self._database = changes.database
        self._blobs = blobs
        self._collector = collector
        self._pins = pins
        self.buckets = buckets
        self.multipart = Multipart(changes, self.buckets)
        self.carrier = ObjectCarrier(changes)

    @classmethod
    async def open(
        cls,
        *,
        database: SqliteStore,
        outbox: Outbox,
        root: Path,
        clock: Clock,
        ids: Ids,
        notify: Notify,
        announce: Announce,
        sites: Sites = unwatched,
    ) -> ObjectStore:
        """Open the tables and the folder; remove what a crash left half-written.

        Args:
            notify: Makes parcels of a change; `sources.objects.notify`.
            announce: Makes the test messages of new rules; `sources.objects.announce`.

        Raises:
            StorageFailed: They cannot be made or read.
        """
        await database.migrate(COMPONENT, STEPS)
        collected = asyncio.Event()
        collected.set()
        blobs = Blobs(root, ids, sites)
        pins = Pins(collected.set)
        changes = Changes(
            database=database,
            outbox=outbox,
            clock=clock,
            ids=ids,
            notify=notify,
            on_litter=collected.set,
        )
        collector = Collector(database, blobs, pins, collected, clock)
        store = cls(changes, Buckets(changes, announce), blobs, collector, pins)
        try:
            await forget_unknown(database, blobs)
            await store.buckets.load()
        except StorageFailed:
            await blobs.close()
            raise
        return store

    async def close(self) -> None:
        """Finish what was begun and end the threads."""
        await self._blobs.close()

    async def run(self) -> None:
        """Delete files that nothing needs any more, as they become garbage, until cancelled."""
        await self._collector.run()

    async def collect(self) -> int:
        """Delete them now; how many files went. Raises StorageFailed."""
        return await self._collector.collect()

    def open_upload(
        self, hashes: Sequence[Hash] = (), *, bytes_max: int = BODY_BYTES_MAX
    ) -> Upload:
        """A body on its way in, for `put` or `multipart.put_part`.

        Args:
            hashes: Each is updated with all bytes, where they pass: inline while the body is
                small, on a thread when it is large. Read them after `end`.
            bytes_max: A longer body raises EntityTooLarge from `write`.
        """
        return Upload(self._blobs, hashes, bytes_max)

    async def put(self, upload: Upload, placement: Placement, cause: Cause) -> Placed:
        """Make the body the key's latest version; calls `upload.end` if that was not done.

        Cancelled: it may have been put all the same.

        Raises:
            NoSuchBucket, KeyTooLong, ConditionFailed: Nothing was written.
            NoSuchKey: `if_match` of a key that is not there.
        """
        key_bytes(placement.key)
        await upload.keep()
        content = Content(upload.size, upload.md5_hex, upload.body, upload.file_id)
        return await self._place(placement, content, cause, upload)

    async def copy(self, reader: ObjectReader, placement: Placement, cause: Cause) -> Placed:
        """Put what `reader` reads elsewhere, without moving bytes: a file is linked, not copied.

        The copy keeps the ETag and the parts. `placement.kind` should be COPY. Raises as `put`.
        """
        key_bytes(placement.key)
        sources = [one.file_id for one in reader.segments if one.file_id]
        pairs = [(one, self._blobs.new_id()) for one in sources]
        kept = _Linked(self._blobs, [new for _, new in pairs])
        if pairs:
            linking = self._blobs.start(partial(self._blobs.link, pairs))
            try:
                await asyncio.shield(linking)
            except BaseException:
                # Cancelled here, the thread goes on: what it links goes afterwards.
                linking.add_done_callback(kept.linked_for_nothing)
                raise
        content = _copied(reader, dict(pairs), self._changes.now_ms())
        return await self._place(placement, content, cause, kept)

    async def get(self, bucket: str, key: str, version_id: str = "") -> ObjectReader:
        """The object, ready to be read; of one part, without ever waiting. Close the reader.

        Raises:
            NoSuchBucket, NoSuchKey, NoSuchVersion.
            MarkerFound: `version_id` is a delete marker's.
        """
        found = self._find_nowait(bucket, key, version_id)
        if found.file_id:
            # Looked up and pinned in one step of the loop: the file cannot go in between.
            self._pins.hold(found.file_id)
            segments = [Segment(found.meta.size, found.file_id)]
            reader = ObjectReader(found.meta, segments, self._blobs)
            return reader.pinned(self._pins, found.file_id)
        if found.parts_owner:
            return await self._get_parts(found)
        body = found.body or b""
        return ObjectReader(found.meta, [Segment(len(body), body=body)], self._blobs)

    def head_nowait(self, bucket: str, key: str, version_id: str = "") -> ObjectMeta:
        """What is known about the object. Raises as `get`."""
        return self._find_nowait(bucket, key, version_id).meta

    async def delete(
        self,
        bucket: str,
        key: str,
        cause: Cause,
        *,
        version_id: str = "",
        conditions: Conditions = ALWAYS,
    ) -> Deleted:
        """Delete the key: for good, or by a marker where the bucket is versioned.

        Args:
            version_id: This version for good; NULL_VERSION is one too.

        Raises:
            NoSuchBucket, ConditionFailed: Nothing was deleted. A key or version that is not there
                is no error.
            NoSuchKey: Conditions on a key that is not there.
        """
        target = DeleteTarget(key, version_id, conditions)
        return await self._changes.make(bucket, cause, lambda change: remove(change, target))

    async def delete_many(
        self, bucket: str, targets: Sequence[DeleteTarget], cause: Cause
    ) -> Sequence[Deleted | MayflyError]:
        """Delete up to 1,000 keys in one transaction; in order, what came of each.

        Raises:
            NoSuchBucket.
        """
        assert len(targets) <= TARGETS_MAX, "too many keys at once"

        def work(change: Change) -> list[Deleted | MayflyError]:
            outcomes: list[Deleted | MayflyError] = []
            for target in targets:
                # A refusal comes before the first write of its key: there is nothing to undo.
                try:
                    outcomes.append(remove(change, target))
                except CallerError as error:
                    outcomes.append(error)
            return outcomes

        return await self._changes.make(bucket, cause, work)

    async def set_tags(
        self, bucket: str, key: str, tags: Mapping[str, str], version_id: str = ""
    ) -> ObjectMeta:
        """Replace an object's tags; `{}` removes them. Raises as `get`."""

        def work(change: Change) -> ObjectMeta:
            found = _find(change.connection, change.bucket_id, key, version_id)
            facts = replace(found.meta.facts, tags=tags)
            change.connection.execute(
                "UPDATE object_version SET facts = ? WHERE seq = ?",
                (write_facts(facts), found.number),
            )
            return replace(found.meta, facts=facts)

        return await self._changes.make(bucket, Cause(), work)

    async def list_objects(self, query: Query) -> ObjectPage:
        """Latest versions that are not markers, by key. Raises NoSuchBucket."""
        bucket_id = self.buckets.find_nowait(query.bucket).bucket_id
        return await self._database.read(
            lambda connection: page_of_objects(connection, bucket_id, query)
        )

    async def list_versions(self, query: Query) -> ObjectPage:
        """All versions and markers; by key, of one key the newest first. Raises NoSuchBucket."""
        bucket_id = self.buckets.find_nowait(query.bucket).bucket_id
        return await self._database.read(
            lambda connection: page_of_versions(connection, bucket_id, query)
        )

    def _find_nowait(self, bucket: str, key: str, version_id: str) -> Version:
        bucket_id = self.buckets.find_nowait(bucket).bucket_id
        return self._database.read_nowait(
            lambda connection: _find(connection, bucket_id, key, version_id)
        )

    async def _get_parts(self, found: Version) -> ObjectReader:
        owner = found.parts_owner
        self._pins.hold(owner)
        try:
            rows = await self._database.read(partial(read_parts, owner=owner))
        except BaseException:
            self._pins.free(owner)
            raise
        if len(rows) != found.meta.parts_count:
            self._pins.free(owner)
            raise NoSuchKey(f'"{found.meta.key}" was deleted at this moment')
        segments = [Segment(row.part.size, row.file_id, row.body or b"", row.part) for row in rows]
        return ObjectReader(found.meta, segments, self._blobs).pinned(self._pins, owner)

    async def _place(
        self, placement: Placement, content: Content, cause: Cause, kept: Kept
    ) -> Placed:
        return await self._changes.make(
            placement.bucket, cause, lambda change: place(change, placement, content), kept=kept
        )


class _Linked:
    """Files that a copy has, until its row is written."""

    def __init__(self, blobs: Blobs, file_ids: Sequence[str]) -> None:
        self._blobs = blobs
        self._file_ids = file_ids

    def hand_over(self) -> None:
        """Nothing: nobody else would drop them."""

    def settle(self) -> None:
        self._blobs.run_unwatched(partial(self._blobs.settle, self._file_ids))

    def linked_for_nothing(self, linking: asyncio.Future[None]) -> None:
        if not linking.cancelled():
            linking.exception()
        self.take_back()

    def take_back(self) -> None:
        self._blobs.run_unwatched(partial(self._blobs.drop, self._file_ids))


def _copied(reader: ObjectReader, renamed: Mapping[str, str], now_ms: int) -> Content:
    """The content of a copy whose files have new names."""
    meta = reader.meta
    if reader.parts:
        parts = [
            PartRow(
                replace(segment.part, modified_ms=now_ms),
                renamed.get(segment.file_id, ""),
                None if segment.file_id else segment.body,
            )
            for segment in reader.segments
            if segment.part is not None
        ]
        return Content(meta.size, meta.etag, parts_count=len(parts), parts=parts)
    file_id = renamed.get(reader.segments[0].file_id, "")
    return Content(meta.size, meta.etag, reader.body, file_id)


def _find(connection: sqlite3.Connection, bucket_id: int, key: str, version_id: str) -> Version:
    """An object's version, with its body.

    Raises:
        NoSuchKey, NoSuchVersion, MarkerFound.
    """
    written = key_bytes(key)
    if version_id:
        found = find_version(connection, bucket_id, written, version_id)
        if found is None:
            raise NoSuchVersion(f'"{key}" has no version "{version_id[:64]}"')
        if found.meta.is_marker:
            raise MarkerFound(
                f'version "{version_id}" of "{key}" is a delete marker',
                version_id=version_id,
                modified_ms=found.meta.modified_ms,
            )
        return found
    found = find_object(connection, bucket_id, written)
    if found is None:
        marker = find_latest(connection, bucket_id, written)
        marker_id = "" if marker is None else marker.meta.version_id
        raise NoSuchKey(f'there is no "{key}"', marker_version_id=marker_id)
    return found
