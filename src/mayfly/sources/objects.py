"""Buckets as a source: a change of an object becomes S3's event, one record for each target.

The document is "Event message structure" of the S3 User Guide, version 2.1: the key is encoded as
in a form, `sequencer` orders the changes of one key, `configurationId` is the rule's id. It runs
inside the change's transaction, perhaps twice: everything in it follows from its arguments.

    ObjectChange, rules --notify--> parcels for functions and queues
    new rules         --NotificationTargets--> an s3:TestEvent for each queue
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import quote_plus
from uuid import UUID, uuid5

import msgspec

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.parcel import Parcel
from mayfly.ports import Clock, Ids, Registry
from mayfly.stores.objects.bucket import NotificationRule, NotificationSettings
from mayfly.stores.objects.notifications import EVENT_NAMES, rule_matches
from mayfly.stores.objects.record import ChangeKind, ObjectChange

_REMOVALS = frozenset((ChangeKind.DELETE, ChangeKind.MARKER))
_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_TEST_SITE = "OBJECTS:TEST_EVENT"
_HERE = rf":{REGION}:{ACCOUNT_ID}:"
_QUEUE = re.compile(rf"arn:aws:sqs{_HERE}[A-Za-z0-9_.-]{{1,80}}")
_FUNCTION = re.compile(rf"arn:aws:lambda{_HERE}function:([A-Za-z0-9_-]+)(?::[A-Za-z0-9_$-]+)?")
# Of our own making: ids that follow from a change's id and a rule's.
_NAMESPACE = UUID("6f8a1a3e-2f5b-4f0e-9d86-0c1f2b7f3d55")

_encode = msgspec.json.Encoder().encode


def notify(change: ObjectChange, settings: NotificationSettings) -> Iterator[Parcel]:
    """A parcel for each rule that tells of the change (`stores.objects.changes.Notify`)."""
    for rule in settings.rules:
        if rule_matches(rule, change.kind, change.key):
            yield Parcel(
                parcel_id=_parcel_id(change.change_id, rule.rule_id),
                target_arn=rule.target_arn,
                body=_encode({"Records": [_record(change, rule)]}),
                source=f"s3:{change.bucket}",
            )


class NotificationTargets:
    """Who can be told of a bucket's changes; fits the S3 endpoint's `Targets`."""

    def __init__(
        self, registry: Registry, database: SqliteStore, outbox: Outbox, clock: Clock, ids: Ids
    ) -> None:
        self._registry = registry
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._ids = ids

    def missing(self, arns: Sequence[str]) -> Sequence[str]:
        """Those that can take no event: functions that are not there, and what is no target.

        Whether a queue is there, `send_test_events` finds out.
        """
        return [arn for arn in arns if not self._may_be_there(arn)]

    async def send_test_events(
        self, arns: Sequence[str], *, bucket: str, request_id: str
    ) -> Sequence[str]:
        """Put S3's test event into these queues; those that do not exist.

        Raises:
            StorageFailed: Nothing was sent.
        """
        now_ms = int(self._clock.now_ms())
        body = _test_event(bucket, request_id, host_id=self._ids.uuid(), now_ms=now_ms)
        source = f"s3:{bucket}"
        parcels = [Parcel(self._ids.uuid(), arn, body, source=source) for arn in arns]
        kept = await self._database.transact(
            _TEST_SITE,
            lambda connection: self._outbox.post(connection, parcels, now_ms),
            self._outbox.posted,
        )
        reached = {parcel.target_arn for parcel in kept}
        return [arn for arn in arns if arn not in reached]

    def _may_be_there(self, arn: str) -> bool:
        if _QUEUE.fullmatch(arn):
            return not arn.endswith(".fifo")
        function = _FUNCTION.fullmatch(arn)
        return function is not None and self._registry.function_nowait(function[1]) is not None


def _test_event(bucket: str, request_id: str, *, host_id: str, now_ms: int) -> bytes:
    return _encode(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _time_text(now_ms),
            "Bucket": bucket,
            "RequestId": request_id,
            "HostId": host_id,
        }
    )


def _record(change: ObjectChange, rule: NotificationRule) -> dict[str, object]:
    cause = change.cause
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": _time_text(change.time_ms),
        "eventName": EVENT_NAMES[change.kind],
        "userIdentity": {"principalId": f"AWS:{cause.principal or ACCOUNT_ID}"},
        "requestParameters": {"sourceIPAddress": cause.source_ip or "127.0.0.1"},
        "responseElements": {
            "x-amz-request-id": cause.request_id,
            "x-amz-id-2": change.change_id,
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule.rule_id,
            "bucket": {
                "name": change.bucket,
                "ownerIdentity": {"principalId": ACCOUNT_ID},
                "arn": f"arn:aws:s3:::{change.bucket}",
            },
            "object": _object(change),
        },
    }


def _object(change: ObjectChange) -> dict[str, object]:
    """The changed object: what is gone has no size, and a marker has the ETag of nothing."""
    found: dict[str, object] = {"key": quote_plus(change.key, safe="/")}
    if change.kind not in _REMOVALS:
        found |= {"size": change.size, "eTag": change.etag}
    elif change.kind is ChangeKind.MARKER:
        found["eTag"] = _EMPTY_ETAG
    if change.version_id:
        found["versionId"] = change.version_id
    found["sequencer"] = change.sequencer
    return found


def _parcel_id(change_id: str, name: str) -> str:
    return str(uuid5(_NAMESPACE, f"{change_id}/{name}"))


def _time_text(now_ms: int) -> str:
    """As in 2026-01-02T03:04:05.678Z."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03}Z"
