"""Who is told of a change: in its own transaction, by the bucket's rules."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mayfly.model.errors import NotFound
from mayfly.model.parcel import Parcel
from mayfly.stores.objects.bucket import NotificationRule, NotificationSettings, Versioning
from mayfly.stores.objects.record import (
    ChangeKind,
    Conditions,
    DeleteTarget,
    PartClaim,
    Placement,
    Query,
)
from mayfly.stores.objects.refusals import ConditionFailed
from tests.support.object_store import CAUSE, QUEUE, Objects

EVERYTHING = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")


def rule(
    *events: str, prefix: str = "", suffix: str = "", arn: str = QUEUE, rule_id: str = "r"
) -> NotificationRule:
    return NotificationRule(rule_id, arn, events or EVERYTHING, prefix, suffix)


async def tell(objects: Objects, *rules: NotificationRule, bucket: str = "b") -> None:
    """Set the rules, and forget the test event."""
    told = NotificationSettings(rules)
    await objects.store.buckets.change(bucket, lambda s: replace(s, notifications=told))
    await objects.database.transact("TEST:COMMIT", lambda c: c.execute("DELETE FROM told"))
    objects.queue.woken.clear()


async def records(objects: Objects) -> list[tuple[str, str, str]]:
    """(event, key, sequencer) of each document's one record."""
    found: list[tuple[str, str, str]] = []
    for document in await objects.told():
        documents = document["Records"]
        assert isinstance(documents, list)
        (record,) = documents
        changed = record["s3"]["object"]
        found.append((record["eventName"], changed["key"], changed["sequencer"]))
    return found


async def names(objects: Objects) -> list[tuple[str, str]]:
    """(event, key) of each."""
    return [(event, key) for event, key, _ in await records(objects)]


async def test_every_kind_of_change_is_told_once(objects: Objects) -> None:
    await tell(objects, rule())
    await objects.put("a")
    await objects.put("a", kind=ChangeKind.POST)
    with await objects.store.get("b", "a") as reader:
        await objects.store.copy(reader, Placement("b", "c", kind=ChangeKind.COPY), CAUSE)
    pending = await objects.store.multipart.create(Placement("b", "m"))
    async with objects.store.open_upload() as upload:
        part = await objects.store.multipart.put_part(upload, pending, 1)
    await objects.store.multipart.complete(pending, [PartClaim(1, part.etag)], CAUSE)
    await objects.store.delete("b", "a", CAUSE)
    await objects.store.delete("b", "missing", CAUSE)
    await objects.store.buckets.change("b", lambda s: replace(s, versioning=Versioning.ENABLED))
    await objects.store.delete("b", "c", CAUSE)
    assert await names(objects) == [
        ("ObjectCreated:Put", "a"),
        ("ObjectCreated:Post", "a"),
        ("ObjectCreated:Copy", "c"),
        ("ObjectCreated:CompleteMultipartUpload", "m"),
        ("ObjectRemoved:Delete", "a"),
        ("ObjectRemoved:DeleteMarkerCreated", "c"),
    ]
    assert len(objects.queue.woken) == 6


async def test_later_changes_have_larger_sequencers(objects: Objects) -> None:
    await tell(objects, rule())
    for _ in range(20):
        await objects.put("a")
        await objects.store.delete("b", "a", CAUSE)
    sequencers = [sequencer for _, _, sequencer in await records(objects)]
    assert sequencers == sorted(set(sequencers))


async def test_a_rule_chooses_by_event_prefix_and_suffix(objects: Objects) -> None:
    await tell(
        objects, rule("s3:ObjectCreated:Put", "s3:ObjectRestore:*", prefix="in/", suffix=".jpg")
    )
    for key in ("in/a.jpg", "in/a.png", "out/a.jpg"):
        await objects.put(key)
        await objects.put(key, kind=ChangeKind.POST)
    assert await names(objects) == [("ObjectCreated:Put", "in/a.jpg")]


async def test_many_deletes_are_told_one_by_one_with_ids_of_their_own(objects: Objects) -> None:
    await tell(objects, rule("s3:ObjectRemoved:*"))
    for key in "abc":
        await objects.put(key)
    targets = [DeleteTarget(key) for key in "abc"]
    await objects.store.delete_many("b", targets, CAUSE)
    assert [key for _, key in await names(objects)] == ["a", "b", "c"]
    assert len({uuid.UUID(one) for one in objects.queue.woken}) == 3


async def test_a_refused_change_is_told_to_nobody(objects: Objects) -> None:
    await objects.put("a")
    await tell(objects, rule())
    with pytest.raises(ConditionFailed):
        await objects.put("a", conditions=Conditions(if_absent=True))
    assert await objects.told() == []


async def test_a_target_that_is_gone_does_not_hold_up_the_change(objects: Objects) -> None:
    await tell(objects, rule(arn=QUEUE + "-gone"))
    await objects.put("a", b"1")
    assert await objects.read("a") == b"1"
    assert objects.queue.woken == []


async def test_new_rules_are_announced_to_their_queues(objects: Objects) -> None:
    function = "arn:aws:lambda:us-east-1:000000000000:function:f"
    rules = (rule(rule_id="1"), rule(rule_id="2"), rule(arn=function, rule_id="3"))
    told = NotificationSettings(rules)
    for _ in range(2):
        await objects.store.buckets.change("b", lambda s: replace(s, notifications=told), CAUSE)
    (document,) = await objects.told()
    assert document["Event"] == "s3:TestEvent"
    assert (document["Bucket"], document["RequestId"]) == ("b", "request-1")
    await objects.store.buckets.change("b", lambda s: replace(s, tags={"a": "1"}))
    assert len(objects.queue.woken) == 1


# The carrier


async def send(objects: Objects, *parcels: Parcel) -> Sequence[Parcel]:
    """Post parcels as somebody else's change would."""
    return await objects.database.transact(
        "TEST:COMMIT", lambda c: objects.outbox.post(c, parcels, 7), objects.outbox.posted
    )


def parcel(name: str, *, bucket: str = "b", number: int = 1) -> Parcel:
    parcel_id = str(uuid.UUID(int=number))
    return Parcel(parcel_id, f"arn:aws:s3:::{bucket}", b'{"a": 1}', "invoke", name=name)


async def test_a_parcel_becomes_an_object_and_its_bucket_tells(objects: Objects) -> None:
    await tell(objects, rule())
    assert len(await send(objects, parcel("out/1.json"))) == 1
    assert await objects.read("out/1.json") == b'{"a": 1}'
    meta = objects.store.head_nowait("b", "out/1.json")
    assert meta.facts.headers == {"content-type": "application/json"}
    assert await names(objects) == [("ObjectCreated:Put", "out/1.json")]
    assert len(objects.queue.woken) == 1


@pytest.mark.parametrize(
    "lost", [parcel("k", bucket="gone"), parcel(""), parcel("x" * 1025)], ids=["bucket", "", "long"]
)
async def test_a_parcel_without_a_place_is_not_carried(objects: Objects, lost: Parcel) -> None:
    assert await send(objects, lost) == []
    assert (await objects.store.list_objects(Query("b"))).objects == []


async def test_a_parcel_replaces_as_a_put_does(objects: Objects) -> None:
    await objects.put("k", bytes(100_000))
    await send(objects, parcel("k"))
    assert await objects.store.collect() == 1
    await objects.store.buckets.change("b", lambda s: replace(s, versioning=Versioning.ENABLED))
    await send(objects, parcel("k", number=2))
    page = await objects.store.list_versions(Query("b"))
    assert len(page.objects) == 2
    await objects.store.delete("b", "k", CAUSE, version_id=page.objects[0].version_id)
    with pytest.raises(NotFound):
        await objects.store.get("b", "k", page.objects[0].version_id)
