"""The code store on disk: what a crash or a full disk leaves behind, and what may be read."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mayfly.backends.files.code_store import FileCodeStore
from mayfly.backends.files.sites import Site
from mayfly.images.tree import plant_tree
from mayfly.model.errors import InvalidArchive, NotFound, RequestTooLarge, StorageFailed
from mayfly.testing.faults import Faults
from tests.unit.images.zips import Member, zip_files, zip_of

ARCHIVE = zip_files({"app.py": "x = 1\n", "lib/deep.py": "y = 2\n"})
COMPILED = partial(plant_tree, interpreter=Path(sys.executable))
WRITING = [
    Site.TREE_WRITE,
    Site.ARCHIVE_WRITE,
    Site.ARCHIVE_SYNC,
    Site.ARCHIVE_RENAME,
    Site.TREE_RENAME,
]


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")} - {
        "archives",
        "trees",
        "dependencies",
    }


@pytest.mark.parametrize("site", WRITING)
async def test_a_full_disk_at_any_site_leaves_nothing_half_written(
    tmp_path: Path, site: Site
) -> None:
    faults = Faults()
    store = await FileCodeStore.open(tmp_path, plant=plant_tree, sites=faults)
    faults.fail(site, number=errno.ENOSPC)
    with pytest.raises(StorageFailed, match="ENOSPC") as failed:
        await store.put_archive(ARCHIVE)
    assert failed.value.site == site
    # A whole archive without its tree may stay: nobody is told of it, and a collection takes it.
    assert not [path for path in everything(tmp_path) if not path.startswith("archives/")]
    assert not [path for path in everything(tmp_path) if ".new-" in path]
    faults.heal()
    code = await store.put_archive(ARCHIVE)
    assert (store.tree_path(code.digest) / "lib" / "deep.py").exists()
    await store.close()


async def test_a_refused_archive_leaves_nothing(tmp_path: Path) -> None:
    store = await FileCodeStore.open(tmp_path, plant=plant_tree)
    damaged = zip_of([Member("good.py"), Member("bad.py", b"content" * 9, method=0)])
    with pytest.raises(InvalidArchive):
        await store.put_archive(damaged.replace(b"contentcontent", b"coNtentcontent"))
    await store.close()
    assert everything(tmp_path) == set()


async def test_what_a_crash_left_under_temporary_names_is_gone_at_open(tmp_path: Path) -> None:
    for folder in ("trees", "dependencies"):
        (tmp_path / folder / ".new-abc" / "half").mkdir(parents=True)
        (tmp_path / folder / ".old-def").mkdir()
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / ".new-ghi").write_bytes(b"half")
    store = await FileCodeStore.open(tmp_path, plant=plant_tree)
    await store.close()
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.ENOENT])
async def test_an_installer_that_outlives_a_crash_does_not_keep_the_store_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "dependencies" / ".new-abc" / "boto3").mkdir(parents=True)

    def busy(path: Path) -> None:
        raise OSError(number, os.strerror(number), path.name)

    with monkeypatch.context() as patched:
        patched.setattr("mayfly.backends.files.code_store.shutil.rmtree", busy)
        store = await FileCodeStore.open(tmp_path, plant=plant_tree)
        await store.close()
    store = await FileCodeStore.open(tmp_path, plant=plant_tree)
    await store.close()
    assert everything(tmp_path) == set()


async def test_a_tree_that_a_crash_kept_from_its_name_is_made_when_it_comes_again(
    tmp_path: Path,
) -> None:
    faults = Faults()
    store = await FileCodeStore.open(tmp_path, plant=plant_tree, sites=faults)
    faults.fail(Site.TREE_RENAME, times=1)
    with pytest.raises(StorageFailed):
        await store.put_archive(ARCHIVE)
    await store.close()
    again = await FileCodeStore.open(tmp_path, plant=plant_tree)
    code = await again.put_archive(ARCHIVE)
    assert again.tree_path(code.digest).is_dir()
    await again.close()


async def test_an_archive_that_is_kept_is_not_written_again(tmp_path: Path) -> None:
    faults = Faults()
    store = await FileCodeStore.open(tmp_path, plant=plant_tree, sites=faults)
    await store.put_archive(ARCHIVE)
    before = faults.visits.total()
    await store.put_archive(ARCHIVE)
    assert faults.visits.total() == before
    await store.close()


async def test_code_outlives_the_store(tmp_path: Path) -> None:
    store = await FileCodeStore.open(tmp_path, plant=plant_tree)
    code = await store.put_archive(ARCHIVE)
    await store.close()
    again = await FileCodeStore.open(tmp_path, plant=plant_tree)
    assert again.archive_path(code.digest).read_bytes() == ARCHIVE
    assert (again.tree_path(code.digest) / "app.py").read_bytes() == b"x = 1\n"
    await again.close()


async def test_others_may_read_a_tree_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        store = await FileCodeStore.open(tmp_path, plant=COMPILED)
        code = await store.put_archive(ARCHIVE)
    finally:
        os.umask(before)
    tree = store.tree_path(code.digest)
    await store.close()
    for path in (tree, *tree.rglob("*")):
        wanted = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


async def test_dependencies_are_handed_out_and_collected_too(tmp_path: Path) -> None:
    store = await FileCodeStore.open(tmp_path, plant=plant_tree)
    kept, other = "a" * 64, "b" * 64
    for digest in (kept, other):
        (tmp_path / "dependencies" / digest).mkdir()
    assert store.dependencies_path(kept).is_dir()
    await store.collect(frozenset({kept}))
    await store.collect(frozenset({kept}))
    assert store.dependencies_path(kept).is_dir()
    with pytest.raises(NotFound):
        store.dependencies_path(other)
    await store.close()


async def test_the_bound_of_the_zipped_size_is_configuration(tmp_path: Path) -> None:
    store = await FileCodeStore.open(tmp_path, plant=plant_tree, zipped_bytes_max=10)
    with pytest.raises(RequestTooLarge, match="more than 10"):
        await store.put_archive(ARCHIVE)
    await store.close()


async def test_a_folder_that_cannot_be_made_is_a_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match=r"CODE:OPEN.*ENOTDIR"):
        await FileCodeStore.open(tmp_path / "file", plant=plant_tree)


async def test_modules_are_compiled_ahead_and_need_no_look_at_their_source(tmp_path: Path) -> None:
    store = await FileCodeStore.open(tmp_path, plant=COMPILED)
    code = await store.put_archive(zip_files({"app.py": "print('hello')", "broken.py": "def ("}))
    tree = store.tree_path(code.digest)
    await store.close()
    (bytecode,) = tree.rglob("*.pyc")
    # PEP 552: flags in the second word; bit 0 is "by hash", bit 1 "check the source".
    assert bytecode.read_bytes()[4:8] == b"\x01\x00\x00\x00"
    (tree / "app.py").write_text("print('not looked at')")
    said = subprocess.run(  # noqa: ASYNC221  nothing else runs here
        [sys.executable, "-c", "import app"], cwd=tree, capture_output=True, text=True, check=True
    )
    assert said.stdout == "hello\n"
