"""Uploads in parts: concurrent, replaced, completed, aborted; parts stay where they are."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from mayfly.model.errors import CallerError
from mayfly.stores.objects.multipart import PART_BYTES_MIN
from mayfly.stores.objects.record import (
    ChangeKind,
    Checksum,
    Conditions,
    Facts,
    MultipartUpload,
    Part,
    PartClaim,
    Placement,
    Query,
)
from mayfly.stores.objects.refusals import (
    ConditionFailed,
    EntityTooSmall,
    InvalidPart,
    InvalidPartNumber,
    InvalidPartOrder,
    NoSuchUpload,
)
from tests.support.object_store import CAUSE, Objects

FACTS = Facts(headers={"content-type": "video/mp4"}, metadata={"a": "b"})


async def begin(objects: Objects, key: str = "k") -> MultipartUpload:
    return await objects.store.multipart.create(Placement("b", key, FACTS))


async def put_part(
    objects: Objects, pending: MultipartUpload, number: int, body: bytes, *sums: Checksum
) -> Part:
    async with objects.store.open_upload() as upload:
        await upload.write(body)
        return await objects.store.multipart.put_part(upload, pending, number, sums)


def piece(number: int, size: int = PART_BYTES_MIN) -> bytes:
    return bytes([number]) * size


def claims(*parts: Part) -> list[PartClaim]:
    return [PartClaim(part.number, part.etag) for part in parts]


async def test_parts_put_at_the_same_time_become_one_object(objects: Objects) -> None:
    pending = await begin(objects)
    bodies = {1: piece(1), 3: piece(3), 7: b"end"}
    parts = await asyncio.gather(
        *(put_part(objects, pending, number, body) for number, body in bodies.items())
    )
    placed = await objects.store.multipart.complete(pending, claims(*parts), CAUSE)
    digests = b"".join(hashlib.md5(one, usedforsecurity=False).digest() for one in bodies.values())
    assert placed.etag == hashlib.md5(digests, usedforsecurity=False).hexdigest() + "-3"
    whole = b"".join(bodies.values())
    assert await objects.read("k") == whole
    edge = PART_BYTES_MIN
    assert await objects.read("k", first=edge - 2, size=4) == whole[edge - 2 : edge + 2]
    assert await objects.read("k", first=2 * edge - 1, size=4) == whole[2 * edge - 1 :]
    meta = objects.store.head_nowait("b", "k")
    assert (meta.facts, meta.parts_count) == (FACTS, 3)
    with await objects.store.get("b", "k") as reader:
        assert [part.size for part in reader.parts] == [edge, edge, 3]
    with pytest.raises(NoSuchUpload):
        objects.store.multipart.find_nowait("b", "k", pending.upload_id)


async def test_parts_that_are_not_named_or_were_replaced_go(objects: Objects) -> None:
    pending = await begin(objects)
    await put_part(objects, pending, 1, piece(9))
    first = await put_part(objects, pending, 1, piece(1))
    await put_part(objects, pending, 2, piece(2))
    await objects.store.multipart.complete(pending, claims(first), CAUSE)
    assert await objects.store.collect() == 2
    assert await objects.read("k") == piece(1)


async def test_an_aborted_upload_leaves_nothing(objects: Objects) -> None:
    pending = await begin(objects)
    await put_part(objects, pending, 1, piece(1))
    await objects.store.multipart.abort("b", "k", pending.upload_id)
    with pytest.raises(NoSuchUpload):
        await put_part(objects, pending, 2, piece(2))
    with pytest.raises(NoSuchUpload):
        await objects.store.multipart.abort("b", "k", pending.upload_id)
    await objects.store.collect()
    await objects.store.close()
    assert objects.files() == []


@pytest.mark.parametrize(
    ("named", "refusal"),
    [
        ([], InvalidPart),
        ([2, 1], InvalidPartOrder),
        ([1, 1], InvalidPartOrder),
        ([1, 4], InvalidPart),
        ([1, 2, 3], EntityTooSmall),
    ],
)
async def test_a_completion_that_is_wrong_changes_nothing(
    objects: Objects, named: list[int], refusal: type[CallerError]
) -> None:
    pending = await begin(objects)
    sizes = {1: PART_BYTES_MIN, 2: 10, 3: 10}
    parts = {n: await put_part(objects, pending, n, piece(n, size)) for n, size in sizes.items()}
    asked = [claim for n in named for claim in claims(parts.get(n, Part(n, 1, "0" * 32, 0)))]
    with pytest.raises(refusal):
        await objects.store.multipart.complete(pending, asked, CAUSE)
    page = await objects.store.multipart.list_parts("b", "k", pending.upload_id)
    assert [part.number for part in page.parts] == [1, 2, 3]
    await objects.store.multipart.complete(pending, claims(parts[1], parts[2]), CAUSE)


async def test_a_part_is_named_with_its_etag_and_checksum(objects: Objects) -> None:
    pending = await begin(objects)
    part = await put_part(objects, pending, 1, b"1", Checksum("CRC32", "g9/v/Q=="))
    complete = objects.store.multipart.complete
    for wrong in (
        PartClaim(1, "0" * 32),
        PartClaim(1, part.etag, (Checksum("CRC32", "AAAAAA=="),)),
    ):
        with pytest.raises(InvalidPart):
            await complete(pending, [wrong], CAUSE)
    with pytest.raises(InvalidPart, match="not 2"):
        await complete(pending, claims(part), CAUSE, size=2)
    await objects.put("k", b"")
    with pytest.raises(ConditionFailed):
        await complete(pending, claims(part), CAUSE, conditions=Conditions(if_absent=True))
    right = PartClaim(1, part.etag, part.checksums)
    await complete(pending, [right], CAUSE, size=1)


@pytest.mark.parametrize("number", [0, 10_001])
async def test_a_parts_number_has_bounds(objects: Objects, number: int) -> None:
    with pytest.raises(InvalidPartNumber):
        await put_part(objects, await begin(objects), number, b"")


async def test_an_upload_belongs_to_its_bucket_and_key(objects: Objects) -> None:
    pending = await begin(objects)
    for key, upload_id in [("other", pending.upload_id), ("k", "x"), ("k", "0" * 32)]:
        with pytest.raises(NoSuchUpload):
            objects.store.multipart.find_nowait("b", key, upload_id)


async def test_parts_are_listed_in_pages(objects: Objects) -> None:
    pending = await begin(objects)
    for number in (5, 2, 9):
        await put_part(objects, pending, number, b"x")
    seen: list[int] = []
    after = 0
    while True:
        page = await objects.store.multipart.list_parts(
            "b", "k", pending.upload_id, after=after, count_max=2
        )
        seen += [part.number for part in page.parts]
        after = page.next_after
        if not after:
            break
    assert seen == [2, 5, 9]


async def test_uploads_are_listed_by_key_then_age(objects: Objects) -> None:
    begun = [await begin(objects, key) for key in ("b", "a/2", "b", "a/1", "c")]
    page = await objects.store.multipart.list_uploads(Query("b", delimiter="/"))
    expected = [begun[0], begun[2], begun[4]]
    assert (page.uploads, page.prefixes) == (expected, ["a/"])
    seen: list[MultipartUpload] = []
    query = Query("b", count_max=1)
    while True:
        page = await objects.store.multipart.list_uploads(query)
        seen += page.uploads
        if not page.next_after:
            break
        query = Query("b", after=page.next_after, after_id=page.next_after_id, count_max=1)
    assert seen == [begun[3], begun[1], *expected]


async def test_a_copy_of_a_multipart_object_has_its_parts(objects: Objects) -> None:
    pending = await begin(objects)
    parts = [
        await put_part(objects, pending, 1, piece(1)),
        await put_part(objects, pending, 2, b""),
    ]
    placed = await objects.store.multipart.complete(pending, claims(*parts), CAUSE)
    with await objects.store.get("b", "k") as reader:
        copied = await objects.store.copy(
            reader, Placement("b", "copy", kind=ChangeKind.COPY), CAUSE
        )
    await objects.store.delete("b", "k", CAUSE)
    assert await objects.store.collect() == 1
    assert copied.etag == placed.etag
    assert await objects.read("copy") == piece(1)
    with await objects.store.get("b", "copy") as reader:
        assert len(reader.parts) == 2


async def test_a_deleted_bucket_takes_its_uploads_with_it(objects: Objects) -> None:
    pending = await begin(objects)
    await put_part(objects, pending, 1, piece(1))
    await objects.store.buckets.delete("b")
    assert await objects.store.collect() == 1


async def test_a_reader_of_parts_keeps_them(objects: Objects) -> None:
    pending = await begin(objects)
    parts = [
        await put_part(objects, pending, 1, piece(1)),
        await put_part(objects, pending, 2, piece(2)),
    ]
    await objects.store.multipart.complete(pending, claims(*parts), CAUSE)
    with await objects.store.get("b", "k") as reader:
        await objects.store.delete("b", "k", CAUSE)
        assert await objects.store.collect() == 0
        body = b"".join([chunk async for chunk in reader.chunks()])
    assert body == piece(1) + piece(2)
    assert await objects.store.collect() == 2
