"""Each I/O site of the object store fails once, then persistently; what was told holds."""

from __future__ import annotations

import errno
from collections.abc import Awaitable
from pathlib import Path

import pytest

from mayfly.model.errors import StorageFailed
from mayfly.stores.objects.record import ChangeKind, PartClaim, Placement, Query
from mayfly.stores.objects.sites import Site
from mayfly.testing.faults import ALWAYS, Faults
from tests.support.object_store import CAUSE, Objects, opened_objects

LARGE = 100_000


class Told:
    """What was said to be kept, over some lives of one folder."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self.folder = folder
        self.faults = faults
        self.bodies: dict[str, bytes] = {}
        self.refused: set[str] = set()

    async def live(self, life: str) -> None:
        """Open, do a little of everything, close; what is refused is noted by its site."""
        try:
            async with opened_objects(self.folder, sites=self.faults) as objects:
                if not objects.store.buckets.list_nowait():
                    await self._tried(objects.store.buckets.create("b"))
                for number, size in enumerate([10, LARGE, 10, LARGE]):
                    await self._put(objects, f"{life}-{number}", size)
                await self._copy(objects, f"{life}-1", f"{life}-copy")
                await self._upload_parts(objects, f"{life}-parts")
                await self._delete(objects, f"{life}-0")
                await self._delete(objects, f"{life}-3")
                await self._read(objects, f"{life}-1")
                await self._tried(objects.store.collect())
        except StorageFailed as error:
            self.refused.add(error.site)

    async def _tried(self, work: Awaitable[object]) -> bool:
        try:
            await work
        except StorageFailed as error:
            self.refused.add(error.site)
            return False
        return True

    async def _put(self, objects: Objects, key: str, size: int) -> None:
        body = key.encode() * size
        if await self._tried(objects.put(key, body)):
            self.bodies[key] = body

    async def _copy(self, objects: Objects, source: str, key: str) -> None:
        if source not in self.bodies:
            return
        with await objects.store.get("b", source) as reader:
            placement = Placement("b", key, kind=ChangeKind.COPY)
            if await self._tried(objects.store.copy(reader, placement, CAUSE)):
                self.bodies[key] = self.bodies[source]

    async def _upload_parts(self, objects: Objects, key: str) -> None:
        body = bytes(LARGE)

        async def upload_parts() -> None:
            pending = await objects.store.multipart.create(Placement("b", key))
            async with objects.store.open_upload() as upload:
                await upload.write(body)
                part = await objects.store.multipart.put_part(upload, pending, 1)
            claims = [PartClaim(part.number, part.etag)]
            await objects.store.multipart.complete(pending, claims, CAUSE)

        if await self._tried(upload_parts()):
            self.bodies[key] = body

    async def _delete(self, objects: Objects, key: str) -> None:
        if await self._tried(objects.store.delete("b", key, CAUSE)):
            self.bodies.pop(key, None)

    async def _read(self, objects: Objects, key: str) -> None:
        if key in self.bodies:
            await self._tried(objects.read(key))

    async def check(self) -> None:
        """After a restart: all that was told is there, and nothing else, on the disk either."""
        async with opened_objects(self.folder) as objects:
            page = await objects.store.list_objects(Query("b"))
            found = {one.key: await objects.read(one.key) for one in page.objects}
            assert found.keys() == self.bodies.keys()
            assert found == self.bodies
            uploads = await objects.store.multipart.list_uploads(Query("b"))
            for one in uploads.uploads:
                await objects.store.multipart.abort("b", one.key, one.upload_id)
            await objects.store.collect()
        large = [body for body in self.bodies.values() if len(body) >= LARGE]
        assert len(objects.files()) == len(large)


@pytest.mark.parametrize("site", list(Site))
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("times", [1, ALWAYS])
async def test_what_was_told_holds_after_any_site_failed(
    tmp_path: Path, site: Site, number: int, times: int
) -> None:
    faults = Faults()
    told = Told(tmp_path, faults)
    await told.live("before")
    assert faults.visits[site]
    faults.fail(site, times=times, number=number)
    await told.live("during")
    assert told.refused == {site}
    faults.heal()
    await told.live("after")
    await told.check()
    for life in ("before", "after"):
        assert {f"{life}-{one}" for one in ("1", "2", "copy", "parts")} <= told.bodies.keys()
