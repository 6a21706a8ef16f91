"""S3's event documents, to the letter of its User Guide."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from mayfly.model.parcel import Parcel
from mayfly.sources.objects import announce, notify
from mayfly.stores.objects.bucket import NotificationRule, NotificationSettings
from mayfly.stores.objects.changes import Moment
from mayfly.stores.objects.record import Cause, ChangeKind, ObjectChange

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
RULE = NotificationRule("rule-1", FUNCTION, ("s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
CHANGE = ObjectChange(
    change_id="5d0f7c0e-0000-4000-8000-000000000000/1",
    bucket="photos",
    key="in/red flower+\u00e9.jpg",
    kind=ChangeKind.PUT,
    size=1024,
    etag="d41d8cd98f00b204e9800998ecf8427e",
    version_id="",
    sequencer="000000000000002A",
    time_ms=1_767_323_045_678,
    cause=Cause("AKIAEXAMPLE", "10.0.0.7", "REQ1"),
)


def told(change: ObjectChange, *rules: NotificationRule) -> list[Parcel]:
    return list(notify(change, NotificationSettings(rules or (RULE,))))


def test_a_record_is_s3s() -> None:
    (parcel,) = told(CHANGE)
    assert (parcel.target_arn, parcel.source) == (FUNCTION, "s3:photos")
    assert json.loads(parcel.body) == {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "us-east-1",
                "eventTime": "2026-01-02T03:04:05.678Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": "AWS:AKIAEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "10.0.0.7"},
                "responseElements": {"x-amz-request-id": "REQ1", "x-amz-id-2": CHANGE.change_id},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "rule-1",
                    "bucket": {
                        "name": "photos",
                        "ownerIdentity": {"principalId": "000000000000"},
                        "arn": "arn:aws:s3:::photos",
                    },
                    "object": {
                        "key": "in/red+flower%2B%C3%A9.jpg",
                        "size": 1024,
                        "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                        "sequencer": "000000000000002A",
                    },
                },
            }
        ]
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ChangeKind.PUT, {"size", "eTag", "versionId"}),
        (ChangeKind.DELETE, {"versionId"}),
        (ChangeKind.MARKER, {"eTag", "versionId"}),
    ],
)
def test_what_is_gone_has_no_size(kind: ChangeKind, expected: set[str]) -> None:
    (parcel,) = told(replace(CHANGE, kind=kind, version_id="v1"))
    (record,) = json.loads(parcel.body)["Records"]
    assert set(record["s3"]["object"]) == expected | {"key", "sequencer"}


@pytest.mark.parametrize("kind", list(ChangeKind))
def test_each_kind_is_told_to_its_own_pattern_and_its_groups(kind: ChangeKind) -> None:
    (parcel,) = told(replace(CHANGE, kind=kind))
    name = json.loads(parcel.body)["Records"][0]["eventName"]
    group = name.partition(":")[0]
    other = "ObjectRemoved" if group == "ObjectCreated" else "ObjectCreated"
    assert told(replace(CHANGE, kind=kind), replace(RULE, events=(f"s3:{name}",)))
    assert told(replace(CHANGE, kind=kind), replace(RULE, events=(f"s3:{group}:*",)))
    assert not told(replace(CHANGE, kind=kind), replace(RULE, events=(f"s3:{other}:*",)))


def test_the_same_change_makes_the_same_parcels_and_another_makes_others() -> None:
    rules = (RULE, replace(RULE, rule_id="rule-2", target_arn=QUEUE))
    assert told(CHANGE, *rules) == told(CHANGE, *rules)
    later = replace(CHANGE, change_id="5d0f7c0e-0000-4000-8000-000000000000/2")
    ids = {one.parcel_id for one in (*told(CHANGE, *rules), *told(later, *rules))}
    assert len({UUID(one) for one in ids}) == 4


def test_each_queue_is_told_of_new_rules_once() -> None:
    rules = tuple(
        replace(RULE, rule_id=str(number), target_arn=arn)
        for number, arn in enumerate([QUEUE, FUNCTION, QUEUE])
    )
    moment = Moment("5d0f7c0e-0000-4000-8000-000000000000", CHANGE.time_ms, CHANGE.cause)
    (parcel,) = announce("photos", NotificationSettings(rules), moment)
    assert parcel.target_arn == QUEUE
    assert json.loads(parcel.body) == {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-01-02T03:04:05.678Z",
        "Bucket": "photos",
        "RequestId": "REQ1",
        "HostId": "5d0f7c0e-0000-4000-8000-000000000000",
    }
