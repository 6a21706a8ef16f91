"""Bodies in and out: small ones in rows, large ones in files, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
import zlib
from pathlib import Path

import pytest

from mayfly.stores.objects.reader import CHUNK_BYTES_MAX
from mayfly.stores.objects.record import Cause, ChangeKind, Checksum, Facts, Placement, Query
from mayfly.stores.objects.refusals import EntityTooLarge, NoSuchBucket, NoSuchKey
from mayfly.stores.objects.sites import Site
from mayfly.stores.objects.upload import INLINE_BYTES_MAX
from tests.support.object_store import CAUSE, Objects, opened_objects

MIB = 1024 * 1024
SIZES = [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, MIB, 3 * MIB + 17]


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunk", [1000, 70_000, 5 * MIB])
async def test_a_body_comes_back_as_it_went_in(objects: Objects, size: int, chunk: int) -> None:
    body = pattern(size)
    async with objects.store.open_upload() as upload:
        for start in range(0, size, chunk):
            await upload.write(body[start : start + chunk])
        placed = await objects.store.put(upload, Placement("b", "k"), CAUSE)
    assert placed.size == size
    assert placed.etag == hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert await objects.read("k") == body
    assert bool(objects.files()) == (size > INLINE_BYTES_MAX)


@pytest.mark.parametrize("size", [100, 3 * MIB])
async def test_a_range_is_read_alone(objects: Objects, size: int) -> None:
    body = pattern(size)
    await objects.put("k", body)
    for first, length in [(0, 1), (size - 1, 1), (size // 3, size // 2), (size, 0), (7, None)]:
        end = None if length is None else first + length
        assert await objects.read("k", first=first, size=length) == body[first:end]


async def test_chunks_are_bounded(objects: Objects) -> None:
    await objects.put("k", pattern(3 * MIB))
    with await objects.store.get("b", "k") as reader:
        assert max([len(chunk) async for chunk in reader.chunks()]) <= CHUNK_BYTES_MAX


@pytest.mark.parametrize("size", SIZES)
async def test_a_hash_that_was_handed_in_sees_all_bytes(objects: Objects, size: int) -> None:
    seen = hashlib.sha256()
    async with objects.store.open_upload([seen]) as upload:
        await upload.write(pattern(size))
        await upload.end()
        assert seen.digest() == hashlib.sha256(pattern(size)).digest()


async def test_memory_does_not_grow_with_the_body(objects: Objects) -> None:
    chunk = bytes(64 * 1024)
    checksum = 0
    tracemalloc.start()
    try:
        async with objects.store.open_upload() as upload:
            for _ in range(1024):
                await upload.write(bytes(chunk))
            await objects.store.put(upload, Placement("b", "big"), CAUSE)
        with await objects.store.get("b", "big") as reader:
            async for piece in reader.chunks():
                checksum = zlib.crc32(piece, checksum)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checksum == zlib.crc32(bytes(64 * MIB))
    assert peak < 8 * MIB


@pytest.mark.parametrize("size", [10, 2 * MIB])
async def test_what_was_aborted_is_nowhere(objects: Objects, size: int) -> None:
    async with objects.store.open_upload() as upload:
        await upload.write(pattern(size))
        await upload.end()
    with pytest.raises(NoSuchKey):
        objects.store.head_nowait("b", "k")
    await objects.store.close()
    assert objects.files() == []


async def test_a_body_over_the_bound_is_refused_and_leaves_nothing(objects: Objects) -> None:
    async with objects.store.open_upload(bytes_max=2 * MIB) as upload:
        await upload.write(pattern(2 * MIB))
        with pytest.raises(EntityTooLarge, match="2097152"):
            await upload.write(b"x")
    await objects.store.close()
    assert objects.files() == []


@pytest.mark.parametrize("size", [10, 2 * MIB])
async def test_a_put_that_is_refused_leaves_nothing(objects: Objects, size: int) -> None:
    with pytest.raises(NoSuchBucket):
        await objects.put("k", pattern(size), bucket="gone")
    await objects.store.close()
    assert objects.files() == []


async def test_a_client_that_goes_away_while_it_sends_leaves_nothing(objects: Objects) -> None:
    more, wanted = asyncio.Event(), asyncio.Event()

    async def send() -> None:
        async with objects.store.open_upload() as upload:
            await upload.write(pattern(2 * MIB))
            wanted.set()
            await more.wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(send())
        await wanted.wait()
        task.cancel()
    await objects.store.close()
    assert objects.files() == []


async def test_a_reader_keeps_what_it_began_to_read(objects: Objects) -> None:
    body = pattern(3 * MIB)
    await objects.put("k", body)
    with await objects.store.get("b", "k") as reader:
        chunks = reader.chunks()
        got = [await anext(chunks)]
        await objects.put("k", b"new")
        assert await objects.store.collect() == 0
        got += [chunk async for chunk in chunks]
    assert b"".join(got) == body
    assert await objects.store.collect() == 1
    await objects.store.close()
    assert objects.files() == []


async def test_a_reader_that_stops_early_lets_go(objects: Objects) -> None:
    await objects.put("k", pattern(3 * MIB))
    with await objects.store.get("b", "k") as reader:
        chunks = reader.chunks()
        await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]
    await objects.store.delete("b", "k", CAUSE)
    assert await objects.store.collect() == 1


async def test_garbage_is_collected_by_itself_when_the_last_reader_closes(tmp_path: Path) -> None:
    loop, deleted, seen = asyncio.get_running_loop(), asyncio.Event(), [""]

    def watch(site: str, /) -> None:
        # The rows go when the files have gone.
        if site == Site.COMMIT and seen[-1] == Site.COLLECT:
            loop.call_soon_threadsafe(deleted.set)
        seen.append(site)

    async with opened_objects(tmp_path, sites=watch) as objects, asyncio.TaskGroup() as group:
        await objects.store.buckets.create("b")
        await objects.put("k", pattern(2 * MIB))
        running = group.create_task(objects.store.run())
        with await objects.store.get("b", "k"):
            await objects.store.delete("b", "k", CAUSE)
            await objects.store.list_objects(Query("b"))
            assert not deleted.is_set()
        await deleted.wait()
        running.cancel()
    assert objects.files() == []


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_a_copy_shares_bytes_and_outlives_its_source(objects: Objects, size: int) -> None:
    body = pattern(size)
    placed = await objects.put("k", body, facts=Facts(metadata={"a": "1"}))
    facts = Facts(metadata={"b": "2"}, checksums=(Checksum("CRC32", "AAAAAA=="),))
    with await objects.store.get("b", "k") as reader:
        copied = await objects.store.copy(
            reader, Placement("b", "copy", facts, kind=ChangeKind.COPY), CAUSE
        )
    assert copied.etag == placed.etag
    assert objects.store.head_nowait("b", "copy").facts == facts
    await objects.store.delete("b", "k", CAUSE)
    await objects.store.collect()
    assert await objects.read("copy") == body


async def test_a_copy_onto_itself_replaces_what_is_said_about_it(objects: Objects) -> None:
    body = pattern(2 * MIB)
    await objects.put("k", body)
    with await objects.store.get("b", "k") as reader:
        placement = Placement("b", "k", Facts(headers={"content-type": "image/png"}))
        await objects.store.copy(reader, placement, Cause())
    await objects.store.collect()
    assert await objects.read("k") == body
    assert objects.store.head_nowait("b", "k").facts.headers == {"content-type": "image/png"}


async def test_files_at_rest_have_one_name_each(objects: Objects) -> None:
    for number in range(20):
        await objects.put(f"k{number}", pattern(INLINE_BYTES_MAX + 1))
    await objects.store.close()
    assert len(objects.files()) == 20
    assert not [one for one in objects.files() if one.startswith("new")]


async def test_a_put_that_is_cancelled_anywhere_leaves_all_or_nothing(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.store.buckets.create("b")
        for turns in range(60):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(objects.put(f"k{turns}", pattern(70_000)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
        for key in ("copy", "other"):
            await objects.put("k", pattern(70_000))
            async with asyncio.TaskGroup() as group:
                with await objects.store.get("b", "k") as reader:
                    placement = Placement("b", key, kind=ChangeKind.COPY)
                    task = group.create_task(objects.store.copy(reader, placement, CAUSE))
                    await asyncio.sleep(0)
                    task.cancel()
    async with opened_objects(tmp_path) as objects:
        page = await objects.store.list_objects(Query("b"))
        for one in page.objects:
            assert await objects.read(one.key) == pattern(70_000)
        await objects.store.collect()
    assert len(objects.files()) == len(page.objects)
