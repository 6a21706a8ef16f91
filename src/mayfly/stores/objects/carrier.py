"""The outbox's carrier "s3": a parcel's body becomes an object, in the transaction of its cause.

The bucket's own rules are told of that object in the same transaction. What they were sent is
remembered from `put` to `arrived`; a write that runs twice replaces it, one that fails leaves it to
be pushed out by newer ones.
"""

from __future__ import annotations

import hashlib
import sqlite3

from mayfly.model.parcel import Parcel
from mayfly.stores.objects.changes import Change, Changes, Moment
from mayfly.stores.objects.record import Cause, Facts, Placement
from mayfly.stores.objects.refusals import KeyTooLong, NoSuchBucket
from mayfly.stores.objects.versions import Content, place

_REMEMBERED_MAX = 4_096
_JSON = Facts(headers={"content-type": "application/json"})


class ObjectCarrier:
    """`outbox.Carrier` for buckets."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._done: dict[str, Change] = {}

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool:
        """Write the object; False when there is no such bucket, or the key is none."""
        bucket = parcel.target_arn.rpartition(":")[2]
        moment = Moment(parcel.parcel_id, now_ms, Cause(principal=parcel.source))
        etag = hashlib.md5(parcel.body, usedforsecurity=False).hexdigest()
        try:
            change = Change(connection, bucket, moment, self._changes)
            place(
                change,
                Placement(bucket, parcel.name, _JSON),
                Content(len(parcel.body), etag, parcel.body),
            )
        except (NoSuchBucket, KeyTooLong):
            return False
        if change.kept or change.littered:
            while len(self._done) >= _REMEMBERED_MAX:
                del self._done[next(iter(self._done))]
            self._done[parcel.parcel_id] = change
        return True

    def arrived(self, parcel: Parcel) -> None:
        """It is durable: those whom the bucket's rules name are told as well."""
        change = self._done.pop(parcel.parcel_id, None)
        if change is not None:
            self._changes.finished(change)
