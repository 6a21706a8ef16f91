"""Code by digest: each archive as it was uploaded, each tree as functions see it.

    ROOT/archives/<digest>.zip      .new-* while it is written
    ROOT/trees/<digest>/            .new-* while it is written, .old-* while it is deleted
    ROOT/dependencies/<digest>/     made by `images`, handed out and collected here

A thing is written under a temporary name in its own folder, synced, and renamed (rename(2) is
atomic): it is there whole or not at all. What a crash left under temporary names is removed at
open. The tree is named last: a digest counts as kept when both are there.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from mayfly.backends.files.sites import Site
from mayfly.model import limits
from mayfly.model.errors import NotFound, RequestTooLarge, StorageFailed
from mayfly.model.function import Code
from mayfly.ports import Sites, unwatched

THREADS_MAX = 4
_NEW, _OLD = ".new-", ".old-"
_DIGEST = re.compile(r"[0-9a-f]{64}")

# Fills an empty folder from an archive; raises InvalidArchive or OSError; blocks.
Plant = Callable[[bytes, Path], None]

T = TypeVar("T")


class FileCodeStore:
    """The port `CodeStore` on a folder. Made by `open`, closed by `close`."""

    def __init__(self, root: Path, plant: Plant, *, zipped_bytes_max: int, sites: Sites) -> None:
        self._archives = root / "archives"
        self._trees = root / "trees"
        self._dependencies = root / "dependencies"
        self._plant = plant
        self._zipped_bytes_max = zipped_bytes_max
        self._sites = sites
        # Digests that the next collection spares. Guarded, with the renames of a collection: what
        # was found or is about to be made is not deleted under the one who asked.
        self._young: set[str] = set()
        self._guard = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="mayfly-code")

    @classmethod
    async def open(
        cls,
        root: Path,
        *,
        plant: Plant,
        zipped_bytes_max: int = limits.CODE_ZIPPED_BYTES_MAX,
        sites: Sites = unwatched,
    ) -> FileCodeStore:
        """Make the folders; remove what a crash left half-done.

        Args:
            plant: `images.tree.plant_tree`, with an interpreter.

        Raises:
            StorageFailed: The folders cannot be made or read.
        """
        store = cls(root, plant, zipped_bytes_max=zipped_bytes_max, sites=sites)
        try:
            await store._run(store._prepare)
        except StorageFailed:
            store._threads.shutdown(wait=False)
            raise
        return store

    async def close(self) -> None:
        """Finish what was begun and end the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def put_archive(self, archive: bytes) -> Code:
        """Keep a zip archive and unpack its tree; an archive that is kept already costs a hash.

        Cancelled: the archive may be kept all the same.

        Raises:
            InvalidArchive: It is refused.
            RequestTooLarge: It is over the bound of the zipped size.
            StorageFailed: The disk refused; nothing half-written stays.
        """
        if len(archive) > self._zipped_bytes_max:
            raise RequestTooLarge(
                f"the code archive has {len(archive)} bytes, more than {self._zipped_bytes_max}; "
                "leave out what the function does not need"
            )
        return await self._run(partial(self._put, archive))

    def archive_path(self, digest: str) -> Path:
        """Where the archive lies. Raises NotFound."""
        return self._found(self._archives / f"{_checked(digest)}.zip", digest)

    def tree_path(self, digest: str) -> Path:
        """Where the tree lies. Raises NotFound."""
        return self._found(self._trees / _checked(digest), digest)

    def dependencies_path(self, digest: str) -> Path:
        """Where the tree of installed requirements lies. Raises NotFound.

        Whoever asks, found or not, keeps the digest from the next collection: an installation may
        be under way.
        """
        return self._found(self._dependencies / _checked(digest), digest)

    async def collect(self, keep: frozenset[str]) -> int:
        """Delete what is not in `keep`; bytes freed.

        What was put or asked for since the last collection is spared this once, for a function
        with it may be about to be registered, or still running.

        Args:
            keep: Digests of archives and of dependencies.
        """
        with self._guard:
            spared, self._young = self._young, set()
        return await self._run(partial(self._collect, keep | spared))

    def _found(self, path: Path, digest: str) -> Path:
        if not self._exist(digest, path):
            raise NotFound(f"no code with digest {digest} is kept here")
        return path

    def _exist(self, digest: str, *paths: Path) -> bool:
        """Whether all are there; if so, for as long as the next collection is not over."""
        with self._guard:
            self._young.add(digest)
            return all(path.exists() for path in paths)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # Below: the pool's threads.

    def _prepare(self) -> None:
        with self._failing_at(Site.CODE_OPEN):
            for folder in (self._archives, self._trees, self._dependencies):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
                for left in (*folder.glob(f"{_NEW}*"), *folder.glob(f"{_OLD}*")):
                    _remove_left(left)

    def _put(self, archive: bytes) -> Code:
        digest = hashlib.sha256(archive).hexdigest()
        code = Code(digest=digest, size_bytes=len(archive))
        tree = self._trees / digest
        if self._exist(digest, tree, self._archives / f"{digest}.zip"):
            return code
        with self._new_folder() as half:
            with self._failing_at(Site.TREE_WRITE):
                self._plant(archive, half)
            self._keep_archive(archive, digest)
            with self._failing_at(Site.TREE_RENAME):
                _rename_folder(half, tree)
                _sync(self._trees)
        return code

    @contextmanager
    def _new_folder(self) -> Iterator[Path]:
        """A folder for a tree under way; gone afterwards unless it was renamed."""
        with self._failing_at(Site.TREE_WRITE):
            half = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._trees))
        try:
            yield half
        finally:
            shutil.rmtree(half, ignore_errors=True)

    def _keep_archive(self, archive: bytes, digest: str) -> None:
        with self._failing_at(Site.ARCHIVE_WRITE):
            fd, name = tempfile.mkstemp(prefix=_NEW, dir=self._archives)
        half = Path(name)
        try:
            with os.fdopen(fd, "wb") as file:
                with self._failing_at(Site.ARCHIVE_WRITE, visit=False):
                    file.write(archive)
                    file.flush()
                with self._failing_at(Site.ARCHIVE_SYNC):
                    os.fsync(fd)
            with self._failing_at(Site.ARCHIVE_RENAME):
                half.rename(self._archives / f"{digest}.zip")
                _sync(self._archives)
        finally:
            half.unlink(missing_ok=True)

    def _collect(self, keep: frozenset[str]) -> int:
        freed = 0
        with self._failing_at(Site.CODE_COLLECT):
            for folder in (self._trees, self._archives, self._dependencies):
                for path in folder.iterdir():
                    digest = path.name.removesuffix(".zip")
                    if digest in keep or not _DIGEST.fullmatch(digest):
                        continue
                    # Renamed first: half a tree is never seen under a digest.
                    doomed = path.with_name(_OLD + path.name)
                    with self._guard:
                        if digest in self._young:
                            continue
                        path.rename(doomed)
                    freed += _size(doomed)
                    _remove(doomed)
        return freed

    @contextmanager
    def _failing_at(self, site: Site, *, visit: bool = True) -> Iterator[None]:
        try:
            if visit:
                self._sites(site)
            yield
        except OSError as error:
            raise StorageFailed(
                site=site,
                errno=error.errno or 0,
                detail=f"{error}; is there space, and may this user write there?",
            ) from error


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest[:80]!r} is not a digest")
    return digest


def _rename_folder(half: Path, whole: Path) -> None:
    try:
        half.rename(whole)
    except OSError as error:
        # Somebody put the same archive at the same time; the trees are alike.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a tree."""
    if not path.is_dir():
        return path.stat().st_size
    folders = os.walk(path)
    return sum(Path(at, name).lstat().st_size for at, _, names in folders for name in names)


def _remove_left(path: Path) -> None:
    """Remove what a crash left; where an installer that outlived it writes still, the next open."""
    try:
        _remove(path)
    except OSError as error:
        # Files that came or went while the folder was being removed.
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
