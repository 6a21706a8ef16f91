"""What every code store promises, the double included."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from mayfly.backends.files.code_store import FileCodeStore
from mayfly.images.tree import plant_tree
from mayfly.model import limits
from mayfly.model.errors import InvalidArchive, NotFound, RequestTooLarge
from mayfly.ports import CodeStore
from mayfly.testing.memory import MemoryCodeStore

UNKNOWN = "0" * 64


@pytest.fixture(params=["files", "memory"])
async def code(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CodeStore]:
    if request.param == "memory":
        yield MemoryCodeStore(tmp_path)
        return
    store = await FileCodeStore.open(tmp_path, plant=plant_tree)
    yield store
    await store.close()


def zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_an_archive_is_named_by_its_sha256(code: CodeStore) -> None:
    archive = zipped({"app.py": "x = 1"})
    kept = await code.put_archive(archive)
    assert kept.digest == hashlib.sha256(archive).hexdigest()
    assert kept.size_bytes == len(archive)
    assert kept.dependencies is None


async def test_the_archive_is_kept_as_it_came(code: CodeStore) -> None:
    archive = zipped({"app.py": "x = 1"})
    kept = await code.put_archive(archive)
    assert content(code.archive_path(kept.digest)) == archive


async def test_the_tree_holds_the_archives_files(code: CodeStore) -> None:
    kept = await code.put_archive(zipped({"app.py": "x = 1", "deep/er/data.txt": "hello"}))
    tree = code.tree_path(kept.digest)
    assert content(tree / "app.py") == b"x = 1"
    assert content(tree / "deep" / "er" / "data.txt") == b"hello"


async def test_the_same_archive_may_come_again_and_at_the_same_time(code: CodeStore) -> None:
    archive = zipped({"app.py": "x = 1"})
    found = await asyncio.gather(*(code.put_archive(archive) for _ in range(6)))
    assert len(set(found)) == 1
    assert await code.put_archive(archive) == found[0]


@pytest.mark.parametrize("digest", [UNKNOWN, "../../etc", ""])
async def test_what_is_not_kept_is_not_found(code: CodeStore, digest: str) -> None:
    for path in (code.archive_path, code.tree_path, code.dependencies_path):
        with pytest.raises(NotFound):
            path(digest)


async def test_what_is_no_zip_is_refused_and_not_kept(code: CodeStore) -> None:
    junk = b"this is a shopping list"
    with pytest.raises(InvalidArchive):
        await code.put_archive(junk)
    with pytest.raises(NotFound):
        code.archive_path(hashlib.sha256(junk).hexdigest())


async def test_an_archive_over_the_bound_is_refused(code: CodeStore) -> None:
    with pytest.raises(RequestTooLarge):
        await code.put_archive(bytes(limits.CODE_ZIPPED_BYTES_MAX + 1))


async def test_a_collection_deletes_what_nobody_keeps_or_asked_for(code: CodeStore) -> None:
    kept = await code.put_archive(zipped({"a.py": "1"}))
    other = await code.put_archive(zipped({"b.py": "2"}))
    await code.collect(frozenset({kept.digest}))
    assert await code.collect(frozenset({kept.digest})) > 0
    assert code.tree_path(kept.digest).is_dir()
    with pytest.raises(NotFound):
        code.tree_path(other.digest)
    with pytest.raises(NotFound):
        code.archive_path(other.digest)


async def test_a_collection_spares_what_has_just_been_put(code: CodeStore) -> None:
    kept = await code.put_archive(zipped({"a.py": "1"}))
    assert await code.collect(frozenset()) == 0
    assert code.tree_path(kept.digest).is_dir()


async def test_a_collection_spares_what_has_just_been_asked_for(code: CodeStore) -> None:
    kept = await code.put_archive(zipped({"a.py": "1"}))
    await code.collect(frozenset())
    code.tree_path(kept.digest)
    assert await code.collect(frozenset()) == 0


async def test_what_was_collected_may_come_again(code: CodeStore) -> None:
    archive = zipped({"a.py": "1"})
    kept = await code.put_archive(archive)
    await code.collect(frozenset())
    await code.collect(frozenset())
    assert await code.put_archive(archive) == kept
    assert content(code.tree_path(kept.digest) / "a.py") == b"1"
