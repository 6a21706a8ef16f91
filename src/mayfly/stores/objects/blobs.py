"""The files of large bodies: immutable, named at random, there before the row that names them.

    ROOT/new/<id>    while it is written, and until its row is durable
    ROOT/xx/<id>     the same file (a hard link), synced, folder and all, before the row is written

A file is written under `new`, synced, linked to where it stays; then its row is committed, then the
name under `new` goes. So a crash leaks nothing that a look into `new`, and no walk over all files,
does not find. The first two letters of an id are a folder; they turn every 1,024 files, so that
files that come at the same time share the folder's sync.

All methods that touch the disk block: they run on this room's threads, through `run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mayfly.model.errors import StorageFailed
from mayfly.ports import Ids, Sites
from mayfly.stores.objects.sites import Site

THREADS = 4
_FOLDERS = 256
_FILES_A_TURN = 1_024
_COPY_BYTES = 16 * 1024 * 1024
# No hard link here: too many links, another file system's rule, or links forbidden.
_NO_LINK = frozenset({errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP})

T = TypeVar("T")


class Blobs:
    """The folder of one object store."""

    def __init__(self, root: Path, ids: Ids, sites: Sites) -> None:
        self._root = root
        self._new = root / "new"
        self._ids = ids
        self._sites = sites
        self._turn = int(ids.uuid()[:2], 16) * _FILES_A_TURN
        self._folders = _FolderSync()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mayfly-objects")

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work on one of the threads."""
        return await self.start(work)

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin blocking work on one of the threads."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def run_unwatched(self, work: Callable[[], None]) -> None:
        """Do blocking work some time; it must not raise. Done before `close` returns."""
        with contextlib.suppress(RuntimeError):
            self._threads.submit(work)

    async def close(self) -> None:
        """Finish what was begun and end the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    def new_id(self) -> str:
        """A name for a file; on the event loop."""
        self._turn += 1
        folder = self._turn // _FILES_A_TURN % _FOLDERS
        return f"{folder:02x}{self._ids.uuid().replace('-', '')}"

    # Below: on a thread.

    def open(self, file_id: str) -> int:
        """A file to read."""
        with self.failing_at(Site.READ):
            return os.open(self.path(file_id), os.O_RDONLY | os.O_CLOEXEC)

    def read(self, fd: int, offset: int, size: int) -> bytes:
        """Bytes of a file, all that were asked for."""
        with self.failing_at(Site.READ):
            chunk = os.pread(fd, size, offset)
            while len(chunk) < size:
                more = os.pread(fd, size - len(chunk), offset + len(chunk))
                if not more:
                    raise OSError(errno.EIO, f"the file ends {size - len(chunk)} bytes early")
                chunk += more
            return chunk

    def prepare(self) -> Sequence[str]:
        """Make the folders; the ids of files whose row may never have been written."""
        with self.failing_at(Site.OPEN):
            self._new.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(_FOLDERS):
                (self._root / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            _sync(self._root)
            return [entry.name for entry in os.scandir(self._new)]

    def create(self, file_id: str) -> int:
        """A new file, open for writing."""
        with self.failing_at(Site.CREATE):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(self._new / file_id, flags, 0o600)

    def write(self, fd: int, chunks: Iterable[bytes]) -> None:
        """Append."""
        with self.failing_at(Site.WRITE):
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(fd, rest) :]

    def keep(self, file_id: str, fd: int) -> None:
        """Make it durable where it stays. Its row comes next."""
        with self.failing_at(Site.SYNC):
            os.fsync(fd)
        with self.failing_at(Site.LINK):
            # os.link and not Path.hardlink_to: it follows no link.
            os.link(self._new / file_id, self.path(file_id))
            self._folders.sync(self.path(file_id).parent)

    def link(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Give files a second, independent name each, durable: (from, to). Their rows come next."""
        folders: set[Path] = set()
        with self.failing_at(Site.LINK):
            for source, target in pairs:
                try:
                    os.link(self.path(source), self._new / target)
                except OSError as error:
                    if error.errno not in _NO_LINK:
                        raise
                    _copy(self.path(source), self._new / target)
                os.link(self._new / target, self.path(target))
                folders.add(self.path(target).parent)
            for folder in folders:
                self._folders.sync(folder)

    def close_file(self, fd: int, doomed: Iterable[str]) -> None:
        """Close a file that was written (-1: there is none), and drop what gets no row."""
        if fd >= 0:
            os.close(fd)
        self.drop(doomed)

    def settle(self, file_ids: Iterable[str]) -> None:
        """Their rows are durable: the names under `new` go, now or at the next start."""
        for file_id in file_ids:
            with contextlib.suppress(OSError):
                (self._new / file_id).unlink()

    def drop(self, file_ids: Iterable[str]) -> None:
        """They have no row and get none: they go, now or at the next start."""
        for file_id in file_ids:
            with contextlib.suppress(OSError):
                self.path(file_id).unlink(missing_ok=True)
                (self._new / file_id).unlink(missing_ok=True)

    def delete(self, file_ids: Iterable[str]) -> None:
        """Nobody needs them. Harmless when they are gone."""
        with self.failing_at(Site.COLLECT):
            for file_id in file_ids:
                self.path(file_id).unlink(missing_ok=True)
                (self._new / file_id).unlink(missing_ok=True)

    def path(self, file_id: str) -> Path:
        """Where it stays."""
        return self._root / file_id[:2] / file_id

    @contextlib.contextmanager
    def failing_at(self, site: Site) -> Iterator[None]:
        """What the kernel refuses here is a StorageFailed with the site's name."""
        try:
            self._sites(site)
            yield
        except OSError as error:
            raise StorageFailed(
                site=site,
                errno=error.errno or 0,
                detail=f"{self._root}: {error}; is there space, and may this user write there?",
            ) from error


class _FolderSync:
    """Syncs folders; those who ask while a sync runs share the next one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._begun: dict[Path, int] = {}

    def sync(self, folder: Path) -> None:
        with self._guard:
            lock = self._locks.setdefault(folder, threading.Lock())
            needed = self._begun.get(folder, 0) + 1
        with lock:
            if self._begun.get(folder, 0) >= needed:
                return
            with self._guard:
                self._begun[folder] = needed
            try:
                _sync(folder)
            except OSError:
                # Those who wait must not take it for done.
                with self._guard:
                    self._begun[folder] = needed - 1
                raise


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _copy(source: Path, target: Path) -> None:
    """Byte for byte, by the kernel (by reference where the file system can), and synced."""
    with source.open("rb") as reading, target.open("xb") as writing:
        while os.copy_file_range(reading.fileno(), writing.fileno(), _COPY_BYTES):
            pass
        os.fsync(writing.fileno())
