"""A change of a bucket's keys: rows, and what follows from them, in one transaction.

event loop      make(bucket, cause, work)
writer thread     Change(connection, bucket): work(change), perhaps twice
                    change.told(...) --notify--> parcels --outbox--> the carriers' rows
event loop      after the commit: the carriers are told; the collector, if there is garbage
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import MayflyError
from mayfly.model.parcel import Parcel
from mayfly.ports import Clock, Ids
from mayfly.stores.objects.bucket import BucketSettings, NotificationSettings, Versioning
from mayfly.stores.objects.record import Cause, ChangeKind, ObjectChange
from mayfly.stores.objects.refusals import KeyTooLong, NoSuchBucket
from mayfly.stores.objects.schema import read_settings
from mayfly.stores.objects.sites import Site

KEY_BYTES_MAX = 1_024
_TOKEN_LENGTH = 20

# Pure and deterministic: it runs inside the transaction, perhaps twice.
Notify = Callable[[ObjectChange, NotificationSettings], Iterable[Parcel]]

T = TypeVar("T")


class Kept(Protocol):
    """Files that were made for a change's row."""

    def hand_over(self) -> None:
        """From here on they may have a row: only `take_back` says that they have none."""
        ...

    def settle(self) -> None:
        """The row is durable. On the event loop; never blocks."""
        ...

    def take_back(self) -> None:
        """The change was refused: they have no row."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What a change is given, made before its transaction.

    Args:
        change_id: A UUID.
        now_ms: Unix milliseconds.
    """

    change_id: str
    now_ms: int
    cause: Cause


# Likewise, when a bucket gets other rules: what their targets are told first.
Announce = Callable[[str, NotificationSettings, Moment], Iterable[Parcel]]


class Change:
    """One transaction's work on one bucket; made anew for each run.

    Attributes:
        kept: Parcels that found their target.
        littered: Files became garbage.
    """

    __slots__ = (
        "_notify",
        "_outbox",
        "_told_count",
        "bucket_id",
        "bucket_name",
        "connection",
        "kept",
        "littered",
        "moment",
        "settings",
    )

    def __init__(
        self, connection: sqlite3.Connection, bucket_name: str, moment: Moment, changes: Changes
    ) -> None:
        row = connection.execute(
            "SELECT bucket_id, document FROM bucket WHERE name = ?", (bucket_name,)
        ).fetchone()
        if row is None:
            raise no_bucket(bucket_name)
        self.connection = connection
        self.bucket_name = bucket_name
        self.bucket_id: int = row[0]
        self.settings: BucketSettings = read_settings(row[1])
        self.moment = moment
        self.kept: list[Parcel] = []
        self.littered = False
        self._notify = changes.notify
        self._outbox = changes.outbox
        self._told_count = 0

    @property
    def is_versioned(self) -> bool:
        """Versioning is on, not merely suspended."""
        return self.settings.versioning is Versioning.ENABLED

    def next_number(self) -> int:
        """A number larger than every one before."""
        take = "UPDATE object_sequence SET value = value + 1 RETURNING value"
        ((value,),) = self.connection.execute(take).fetchall()
        number: int = value
        return number

    def new_version_id(self, number: int) -> str:
        """An id for version `number`, which is found by it (`leading_number`)."""
        token = self.moment.change_id.replace("-", "")[:_TOKEN_LENGTH]
        return f"{number:012x}{token:0<{_TOKEN_LENGTH}}"

    def litter(self, file_id: str, owner: int = 0) -> None:
        """A file is garbage from the commit on."""
        if file_id:
            self.littered = True
            self.connection.execute(
                "INSERT OR IGNORE INTO object_garbage (file_id, owner) VALUES (?, ?)",
                (file_id, owner),
            )

    def litter_parts(self, owner: int) -> None:
        """All parts of an owner, rows and files, go."""
        self.littered = True
        self.connection.execute(
            "INSERT OR IGNORE INTO object_garbage (file_id, owner) "
            "SELECT file_id, owner FROM object_part WHERE owner = ? AND file_id != ''",
            (owner,),
        )
        self.connection.execute("DELETE FROM object_part WHERE owner = ?", (owner,))

    def post(self, parcels: Iterable[Parcel]) -> None:
        """Send parcels with this change; one whose target is gone is reported and dropped."""
        self.kept += self._outbox.post(self.connection, parcels, self.moment.now_ms)

    def told(
        self, kind: ChangeKind, key: str, *, number: int, size: int, etag: str, version_id: str
    ) -> None:
        """Tell whoever the bucket's rules name."""
        if not self.settings.notifications.rules:
            return
        self._told_count += 1
        change = ObjectChange(
            change_id=f"{self.moment.change_id}/{self._told_count}",
            bucket=self.bucket_name,
            key=key,
            kind=kind,
            size=size,
            etag=etag,
            version_id="" if self.settings.versioning is Versioning.NEVER else version_id,
            sequencer=f"{number:016X}",
            time_ms=self.moment.now_ms,
            cause=self.moment.cause,
        )
        self.post(self._notify(change, self.settings.notifications))


class Changes:
    """Runs changes. Shared by all parts of one object store."""

    def __init__(
        self,
        *,
        database: SqliteStore,
        outbox: Outbox,
        clock: Clock,
        ids: Ids,
        notify: Notify,
        on_litter: Callable[[], None],
    ) -> None:
        self.database = database
        self.outbox = outbox
        self.notify = notify
        self._clock = clock
        self._ids = ids
        self._on_litter = on_litter

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return int(self._clock.now_ms())

    def new_token(self) -> str:
        """32 random hex digits."""
        return self._ids.uuid().replace("-", "")

    async def make(
        self,
        bucket_name: str,
        cause: Cause,
        work: Callable[[Change], T],
        applied: Callable[[T], None] | None = None,
        *,
        kept: Kept | None = None,
    ) -> T:
        """Run `work` in a transaction; what it gives when that is durable.

        Args:
            work: Perhaps twice, on the writer thread; a MayflyError undoes it and is the caller's.
            applied: On the event loop after the commit, also when the caller has gone away.
            kept: Files that the rows name.

        Raises:
            NoSuchBucket, StorageFailed: Nothing was written.
        """
        moment = Moment(self._ids.uuid(), self.now_ms(), cause)

        def run(connection: sqlite3.Connection) -> tuple[T, Change]:
            change = Change(connection, bucket_name, moment, self)
            return work(change), change

        def finish(done: tuple[T, Change]) -> None:
            result, change = done
            if kept is not None:
                kept.settle()
            if applied is not None:
                applied(result)
            self.finished(change)

        if kept is not None:
            kept.hand_over()
        try:
            result, _ = await self.database.transact(Site.COMMIT, run, finish)
        except MayflyError:
            if kept is not None:
                kept.take_back()
            raise
        return result

    def finished(self, change: Change) -> None:
        """The change is durable. On the event loop."""
        if change.kept:
            self.outbox.posted(change.kept)
        if change.littered:
            self._on_litter()


def no_bucket(name: str) -> NoSuchBucket:
    """The refusal of a name that no bucket has."""
    return NoSuchBucket(f'there is no bucket "{name}"')


def key_bytes(key: str) -> bytes:
    """A key as rows have it.

    Raises:
        KeyTooLong: Over 1,024 bytes, or not text that UTF-8 can write.
    """
    try:
        written = key.encode()
    except UnicodeEncodeError as error:
        raise KeyTooLong(f"the key is not text that UTF-8 can write: {error}") from error
    if not 0 < len(written) <= KEY_BYTES_MAX:
        raise KeyTooLong(f"a key has 1 to {KEY_BYTES_MAX} bytes, this one has {len(written)}")
    return written


def leading_number(name: str) -> int:
    """The number that a version's or upload's id begins with; 0 of any other text."""
    try:
        return int(name[:12], 16) if len(name) == 12 + _TOKEN_LENGTH else 0
    except ValueError:
        return 0
