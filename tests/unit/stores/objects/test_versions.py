"""Writes, deletes and conditions on a key: what is the latest, and what is kept under it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mayfly.model.errors import MayflyError
from mayfly.stores.objects.bucket import Versioning
from mayfly.stores.objects.record import (
    NULL_VERSION,
    Conditions,
    Deleted,
    DeleteTarget,
    ObjectPage,
    Query,
)
from mayfly.stores.objects.refusals import (
    BucketNotEmpty,
    BucketTaken,
    ConditionFailed,
    KeyTooLong,
    MarkerFound,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
)
from tests.support.object_store import CAUSE, Objects

ABSENT = Conditions(if_absent=True)


async def set_versioning(objects: Objects, state: Versioning) -> None:
    await objects.store.buckets.change("b", lambda s: replace(s, versioning=state))


async def delete(objects: Objects, key: str, version_id: str = "") -> Deleted:
    return await objects.store.delete("b", key, CAUSE, version_id=version_id)


def shown(page: ObjectPage) -> list[tuple[str, bool, bool]]:
    return [(one.key, one.is_latest, one.is_marker) for one in page.objects]


async def test_without_versioning_a_write_replaces_and_a_delete_removes(objects: Objects) -> None:
    first = await objects.put("k", b"1")
    assert first.version_id == ""
    await objects.put("k", b"22")
    assert objects.store.head_nowait("b", "k").version_id == NULL_VERSION
    assert len((await objects.store.list_versions(Query("b"))).objects) == 1
    assert await delete(objects, "k") == Deleted("k")
    assert (await objects.store.list_versions(Query("b"))).objects == []


async def test_what_is_not_there_is_deleted_already(objects: Objects) -> None:
    assert await delete(objects, "k") == Deleted("k")
    assert await delete(objects, "k", "f" * 32) == Deleted("k", "f" * 32)


async def test_with_versioning_every_write_is_kept(objects: Objects) -> None:
    await objects.put("k", b"0")
    await set_versioning(objects, Versioning.ENABLED)
    ids = [(await objects.put("k", body)).version_id for body in (b"1", b"2")]
    assert [await objects.read("k", version_id=one) for one in [*ids, NULL_VERSION]] == [
        b"1",
        b"2",
        b"0",
    ]
    assert await objects.read("k") == b"2"
    page = await objects.store.list_versions(Query("b"))
    assert [one.version_id for one in page.objects] == [ids[1], ids[0], NULL_VERSION]


async def test_a_marker_hides_a_key_until_it_is_deleted(objects: Objects) -> None:
    await set_versioning(objects, Versioning.ENABLED)
    await objects.put("k", b"1")
    marker = await delete(objects, "k")
    assert marker.marker_made
    with pytest.raises(NoSuchKey) as missing:
        await objects.store.get("b", "k")
    assert missing.value.marker_version_id == marker.version_id
    with pytest.raises(MarkerFound):
        await objects.store.get("b", "k", marker.version_id)
    assert (await objects.store.list_objects(Query("b"))).objects == []
    page = await objects.store.list_versions(Query("b"))
    assert shown(page) == [("k", True, True), ("k", False, False)]
    assert (await delete(objects, "k", marker.version_id)).is_marker
    assert await objects.read("k") == b"1"


async def test_deleting_the_latest_version_brings_back_the_one_before(objects: Objects) -> None:
    await set_versioning(objects, Versioning.ENABLED)
    ids = [(await objects.put("k", body)).version_id for body in (b"1", b"2", b"3")]
    await delete(objects, "k", ids[1])
    await delete(objects, "k", ids[2])
    assert await objects.read("k") == b"1"
    with pytest.raises(NoSuchVersion):
        await objects.store.get("b", "k", ids[2])


async def test_suspended_versioning_replaces_the_null_version_alone(objects: Objects) -> None:
    await set_versioning(objects, Versioning.ENABLED)
    kept = (await objects.put("k", b"kept")).version_id
    await set_versioning(objects, Versioning.SUSPENDED)
    assert (await objects.put("k", b"1")).version_id == NULL_VERSION
    await objects.put("k", b"2")
    page = await objects.store.list_versions(Query("b"))
    assert [one.version_id for one in page.objects] == [NULL_VERSION, kept]
    marker = await delete(objects, "k")
    assert (marker.version_id, marker.marker_made) == (NULL_VERSION, True)
    page = await objects.store.list_versions(Query("b"))
    assert shown(page) == [("k", True, True), ("k", False, False)]
    await set_versioning(objects, Versioning.ENABLED)
    await objects.put("k", b"3")
    await set_versioning(objects, Versioning.SUSPENDED)
    await objects.put("k", b"4")
    page = await objects.store.list_versions(Query("b"))
    assert shown(page) == [("k", True, False), ("k", False, False), ("k", False, False)]


async def test_a_version_is_found_under_its_own_key_only(objects: Objects) -> None:
    await set_versioning(objects, Versioning.ENABLED)
    version_id = (await objects.put("k", b"1")).version_id
    await objects.put("other", b"2")
    for wrong in (version_id[:-1] + "!", "x", "_" * 32, NULL_VERSION):
        with pytest.raises(NoSuchVersion):
            await objects.store.get("b", "k", wrong)
    with pytest.raises(NoSuchVersion):
        await objects.store.get("b", "other", version_id)


async def test_a_conditional_write_holds_at_its_own_moment(objects: Objects) -> None:
    placed = await objects.put("k", b"1", conditions=ABSENT)
    with pytest.raises(ConditionFailed):
        await objects.put("k", b"2", conditions=ABSENT)
    with pytest.raises(ConditionFailed):
        await objects.put("k", b"2", conditions=Conditions(if_match="0" * 32))
    await objects.put("k", b"2", conditions=Conditions(if_match=placed.etag))
    assert await objects.read("k") == b"2"
    with pytest.raises(NoSuchKey):
        await objects.put("other", b"", conditions=Conditions(if_match="*"))


async def test_a_marker_counts_as_absent(objects: Objects) -> None:
    await set_versioning(objects, Versioning.ENABLED)
    await objects.put("k", b"1")
    await delete(objects, "k")
    await objects.put("k", b"2", conditions=ABSENT)


async def test_a_conditional_delete_needs_what_it_names(objects: Objects) -> None:
    placed = await objects.put("k", b"1")
    wrong = [
        Conditions(if_match="x"),
        Conditions(if_size=2),
        Conditions(if_modified_ms=placed.modified_ms - 1000),
    ]
    for conditions in wrong:
        with pytest.raises(ConditionFailed):
            await objects.store.delete("b", "k", CAUSE, conditions=conditions)
    right = Conditions(if_match=placed.etag, if_size=1, if_modified_ms=placed.modified_ms)
    await objects.store.delete("b", "k", CAUSE, conditions=right)
    with pytest.raises(NoSuchKey):
        objects.store.head_nowait("b", "k")


async def test_many_are_deleted_at_once_each_on_its_own_terms(objects: Objects) -> None:
    for key in "abc":
        await objects.put(key, b"1")
    targets = [
        DeleteTarget("a"),
        DeleteTarget("b", conditions=Conditions(if_match="x")),
        DeleteTarget("missing"),
        DeleteTarget(""),
    ]
    outcomes = await objects.store.delete_many("b", targets, CAUSE)
    kinds = [type(one) for one in outcomes]
    assert kinds == [Deleted, ConditionFailed, Deleted, KeyTooLong]
    assert [one.key for one in (await objects.store.list_objects(Query("b"))).objects] == ["b", "c"]


@pytest.mark.parametrize("key", ["", "x" * 1025, "\u00e9" * 513, "\udc80"])
async def test_a_key_that_cannot_be_kept_is_refused(objects: Objects, key: str) -> None:
    with pytest.raises(KeyTooLong):
        await objects.put(key, b"")


async def test_tags_are_replaced_alone(objects: Objects) -> None:
    await objects.put("k", b"1")
    meta = await objects.store.set_tags("b", "k", {"a": "1"})
    assert meta.facts.tags == {"a": "1"}
    assert objects.store.head_nowait("b", "k") == meta
    assert (await objects.store.set_tags("b", "k", {})).facts.tags == {}
    with pytest.raises(NoSuchKey):
        await objects.store.set_tags("b", "other", {})


async def test_a_bucket_is_made_once_and_deleted_when_empty(objects: Objects) -> None:
    buckets = objects.store.buckets
    with pytest.raises(BucketTaken):
        await buckets.create("b")
    await buckets.create("a")
    assert [one.name for one in buckets.list_nowait()] == ["a", "b"]
    await set_versioning(objects, Versioning.ENABLED)
    await objects.put("k", b"1")
    marker = await delete(objects, "k")
    with pytest.raises(BucketNotEmpty):
        await buckets.delete("b")
    page = await objects.store.list_versions(Query("b"))
    for one in page.objects:
        await delete(objects, "k", one.version_id)
    assert marker.version_id in {one.version_id for one in page.objects}
    await buckets.delete("b")
    with pytest.raises(NoSuchBucket):
        buckets.find_nowait("b")
    await buckets.create("b")
    assert buckets.find_nowait("b").settings.versioning is Versioning.NEVER


async def test_a_change_of_settings_that_is_refused_changes_nothing(objects: Objects) -> None:
    def refuse(_: object) -> None:
        raise ConditionFailed("no")

    before = objects.store.buckets.find_nowait("b")
    with pytest.raises(MayflyError):
        await objects.store.buckets.change("b", refuse)  # type: ignore[arg-type]
    assert objects.store.buckets.find_nowait("b") == before
