"""Objects, as one value: every write is atomic and durable when it returns, every read is whole.

    async with store.open_upload() as upload:      # memory: about 2 MiB, however long the body
        await upload.write(chunk)
        body = await upload.end()                  # size and MD5, before anything is visible
        placed = await store.put(upload, Placement("photos", "cat.jpg", facts), cause)

    with await store.get("photos", "cat.jpg") as reader:
        async for chunk in reader.chunks(first=0, size=reader.meta.size): ...

Every method raises StorageFailed when the disk refuses; then nothing of the write is visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import MayflyError
from mayfly.model.parcel import Parcel
from mayfly.ports import Clock, Ids, Sites, unwatched
from mayfly.stores.objects.bucket import NotificationSettings
from mayfly.stores.objects.buckets import Buckets
from mayfly.stores.objects.multipart import Multipart
from mayfly.stores.objects.reader import ObjectReader
from mayfly.stores.objects.record import (
    ALWAYS,
    Cause,
    Conditions,
    Deleted,
    DeleteTarget,
    ObjectChange,
    ObjectMeta,
    ObjectPage,
    Placed,
    Placement,
    Query,
)
from mayfly.stores.objects.upload import BODY_BYTES_MAX, Hash, Upload

# Pure and deterministic: it runs inside the transaction, perhaps twice.
Notify = Callable[[ObjectChange, NotificationSettings], Iterable[Parcel]]


class ObjectStore:
    """Buckets and objects on one database and one folder. Made by `open`, closed by `close`.

    Attributes:
        buckets: Make, delete, list and set up buckets.
        multipart: Uploads in parts.
    """

    buckets: Buckets
    multipart: Multipart

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
        sites: Sites = unwatched,
    ) -> ObjectStore:
        """Open the tables and the folder; remove what a crash left half-written.

        Raises:
            StorageFailed: They cannot be made or read.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what was begun and end the threads."""
        raise NotImplementedError

    async def run(self) -> None:
        """Delete files that nothing needs any more, as they become garbage, until cancelled."""
        raise NotImplementedError

    def open_upload(
        self, hashes: Sequence[Hash] = (), *, bytes_max: int = BODY_BYTES_MAX
    ) -> Upload:
        """A body on its way in, for `put` or `multipart.put_part`.

        Args:
            hashes: Each is updated with all bytes, where they pass: inline while the body is
                small, on a thread when it is large. Read them after `end`.
            bytes_max: A longer body raises EntityTooLarge from `write`.
        """
        raise NotImplementedError

    async def put(self, upload: Upload, placement: Placement, cause: Cause) -> Placed:
        """Make the body the key's latest version; calls `upload.end` if that was not done.

        Raises:
            NoSuchBucket, KeyTooLong, ConditionFailed: Nothing was written.
            NoSuchKey: `if_match` of a key that is not there.
        """
        raise NotImplementedError

    async def copy(self, reader: ObjectReader, placement: Placement, cause: Cause) -> Placed:
        """Put what `reader` reads elsewhere, without moving bytes: a file is linked, not copied.

        The copy keeps the ETag and the parts. `placement.kind` should be COPY. Raises as `put`.
        """
        raise NotImplementedError

    async def get(self, bucket: str, key: str, version_id: str = "") -> ObjectReader:
        """The object, ready to be read; small ones without ever waiting. Close the reader.

        Raises:
            NoSuchBucket, NoSuchKey, NoSuchVersion.
            MarkerFound: `version_id` is a delete marker's.
        """
        raise NotImplementedError

    def head_nowait(self, bucket: str, key: str, version_id: str = "") -> ObjectMeta:
        """What is known about the object. Raises as `get`."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def delete_many(
        self, bucket: str, targets: Sequence[DeleteTarget], cause: Cause
    ) -> Sequence[Deleted | MayflyError]:
        """Delete up to 1,000 keys in one transaction; in order, what came of each.

        Raises:
            NoSuchBucket.
        """
        raise NotImplementedError

    async def set_tags(
        self, bucket: str, key: str, tags: dict[str, str], version_id: str = ""
    ) -> ObjectMeta:
        """Replace an object's tags; `{}` removes them. Raises as `get`."""
        raise NotImplementedError

    async def list_objects(self, query: Query) -> ObjectPage:
        """Latest versions that are not markers, by key. Raises NoSuchBucket."""
        raise NotImplementedError

    async def list_versions(self, query: Query) -> ObjectPage:
        """All versions and markers; by key, of one key the newest first. Raises NoSuchBucket."""
        raise NotImplementedError
