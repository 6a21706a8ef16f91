"""Buckets: made, deleted when empty, listed, set up.

There are few of them and every operation asks for one, so all are in memory, brought up to date
after each commit; a change reads and writes the row itself, inside its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from mayfly.stores.objects.bucket import Bucket, BucketSettings
from mayfly.stores.objects.changes import Announce, Change, Changes, no_bucket
from mayfly.stores.objects.record import Cause
from mayfly.stores.objects.refusals import BucketNotEmpty, BucketTaken, TooManyBuckets
from mayfly.stores.objects.schema import read_settings, write_settings
from mayfly.stores.objects.sites import Site

BUCKETS_MAX = 10_000
_PLAIN = BucketSettings()
_NOBODY = Cause()


class Buckets:
    """The buckets of an `ObjectStore`."""

    def __init__(self, changes: Changes, announce: Announce) -> None:
        self._changes = changes
        self._announce = announce
        self._by_name: dict[str, Bucket] = {}

    async def load(self) -> None:
        """Read all into memory, once. For the store."""

        def work(connection: sqlite3.Connection) -> dict[str, Bucket]:
            rows = connection.execute("SELECT bucket_id, name, created_ms, document FROM bucket")
            return {
                name: Bucket(bucket_id, name, created_ms, read_settings(document))
                for bucket_id, name, created_ms, document in rows
            }

        self._by_name = await self._changes.database.transact(Site.LOAD, work)

    def find_nowait(self, name: str) -> Bucket:
        """The bucket now. Raises NoSuchBucket."""
        bucket = self._by_name.get(name)
        if bucket is None:
            raise no_bucket(name)
        return bucket

    def list_nowait(self) -> Sequence[Bucket]:
        """All buckets, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    async def create(self, name: str, settings: BucketSettings = _PLAIN) -> Bucket:
        """Make a bucket; whether the name is a valid one is the caller's to check.

        Raises:
            BucketTaken: There is one of this name.
            TooManyBuckets: `BUCKETS_MAX` is reached.
        """
        created_ms = self._changes.now_ms()

        def work(connection: sqlite3.Connection) -> Bucket:
            (count,) = connection.execute("SELECT count(*) FROM bucket").fetchone()
            if count >= BUCKETS_MAX:
                raise TooManyBuckets(f"there are {count} buckets, the most that there can be")
            try:
                inserted = connection.execute(
                    "INSERT INTO bucket (name, created_ms, document) VALUES (?, ?, ?)",
                    (name, created_ms, write_settings(settings)),
                )
            except sqlite3.IntegrityError as error:
                raise BucketTaken(f'there is a bucket "{name}" already') from error
            assert inserted.lastrowid is not None
            return Bucket(inserted.lastrowid, name, created_ms, settings)

        return await self._changes.database.transact(Site.COMMIT, work, self._remember)

    async def delete(self, name: str) -> None:
        """Delete an empty bucket; uploads under way in it are aborted.

        Raises:
            NoSuchBucket, BucketNotEmpty.
        """

        def work(change: Change) -> None:
            found = change.connection.execute(
                "SELECT 1 FROM object_version WHERE is_latest = 1 AND bucket_id = ? "
                "AND is_marker IN (0, 1) LIMIT 1",
                (change.bucket_id,),
            ).fetchone()
            if found is not None:
                raise BucketNotEmpty(
                    f'the bucket "{name}" holds objects, versions or delete markers: '
                    "delete them first"
                )
            uploads = "SELECT owner FROM object_upload WHERE bucket_id = ?"
            for (owner,) in change.connection.execute(uploads, (change.bucket_id,)).fetchall():
                change.litter_parts(owner)
            own = (change.bucket_id,)
            change.connection.execute("DELETE FROM object_upload WHERE bucket_id = ?", own)
            change.connection.execute("DELETE FROM bucket WHERE bucket_id = ?", own)

        def forget(_: None) -> None:
            self._by_name.pop(name, None)

        await self._changes.make(name, _NOBODY, work, forget)

    async def change(
        self,
        name: str,
        change: Callable[[BucketSettings], BucketSettings],
        cause: Cause = _NOBODY,
    ) -> Bucket:
        """Replace the settings by what `change` makes of them: pure, inside the transaction.

        `change(lambda s: dataclasses.replace(s, cors=rules))`. It may refuse by raising a
        MayflyError. When the notification rules are others than before, each queue that they name
        is sent a test message with them; whether targets exist is the caller's to check.

        Raises:
            NoSuchBucket.
        """

        def work(under: Change) -> Bucket:
            settings = change(under.settings)
            if settings.notifications != under.settings.notifications:
                under.post(self._announce(name, settings.notifications, under.moment))
            ((created_ms,),) = under.connection.execute(
                "UPDATE bucket SET document = ? WHERE bucket_id = ? RETURNING created_ms",
                (write_settings(settings), under.bucket_id),
            ).fetchall()
            return Bucket(under.bucket_id, name, created_ms, settings)

        return await self._changes.make(name, cause, work, self._remember)

    def _remember(self, bucket: Bucket) -> None:
        self._by_name[bucket.name] = bucket
