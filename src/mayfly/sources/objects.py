"""Buckets as a source: a change of an object becomes S3's event, one record for each target.

The document is "Event message structure" of the S3 User Guide, version 2.1: the key is encoded as
in a form, `sequencer` orders the changes of one key, `configurationId` is the rule's id. It runs
inside the change's transaction, perhaps twice: everything in it follows from its arguments.

    ObjectChange, rules --notify--> parcels for functions and queues
    new rules         --announce--> an s3:TestEvent for each queue
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote_plus
from uuid import UUID, uuid5

import msgspec

from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.parcel import Parcel
from mayfly.stores.objects.bucket import NotificationRule, NotificationSettings
from mayfly.stores.objects.changes import Moment
from mayfly.stores.objects.notifications import EVENT_NAMES, rule_matches
from mayfly.stores.objects.record import ChangeKind, ObjectChange

_REMOVALS = frozenset((ChangeKind.DELETE, ChangeKind.MARKER))
_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_QUEUES = "arn:aws:sqs:"
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


def announce(bucket: str, settings: NotificationSettings, moment: Moment) -> Iterator[Parcel]:
    """S3's test event for each queue that rules name (`stores.objects.changes.Announce`)."""
    body = _encode(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _time_text(moment.now_ms),
            "Bucket": bucket,
            "RequestId": moment.cause.request_id,
            "HostId": moment.change_id,
        }
    )
    for arn in dict.fromkeys(rule.target_arn for rule in settings.rules):
        if arn.startswith(_QUEUES):
            parcel_id = _parcel_id(moment.change_id, arn)
            yield Parcel(parcel_id, arn, body, source=f"s3:{bucket}")


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
