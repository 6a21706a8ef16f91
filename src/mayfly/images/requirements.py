"""Trees of installed requirements, by content: the same requirements are installed once.

    ROOT/<digest>/    what `pip install --target` makes, compiled ahead, readable by all
    ROOT/.new-*/      while uv fills it; a crash leaves it, the code store removes it at open

The digest is of the requirements as they are written, the interpreter's version and the machine.
So a requirement without a version stays at what was newest when it was first installed.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from mayfly.images import uv
from mayfly.images.tree import set_modes, sync_path, sync_tree
from mayfly.images.wanted import Wanted
from mayfly.model import limits
from mayfly.model.errors import InvalidParameter, StorageFailed
from mayfly.ports import RuntimeInfo, Sites, unwatched

INSTALLS_MAX = 2
TREE_BYTES_MAX = 1024 * limits.MIB
_NEW = ".new-"

# The I/O sites, for tests.
WRITE, RENAME = "DEPENDENCIES:WRITE", "DEPENDENCIES:RENAME"

T = TypeVar("T")


class Requirements:
    """Installs requirements. One event loop's; closed by `close`.

    Args:
        root: The data folder's `dependencies`; the code store removes at open what a crash left.
        environment: What uv may see some of: proxy, index, certificates.
        tree_bytes_max: Of one installed tree.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: Mapping[str, str],
        tree_bytes_max: int = TREE_BYTES_MAX,
        sites: Sites = unwatched,
    ) -> None:
        self._root = root
        self._environment = uv.scrubbed(environment)
        if not {"UV_CACHE_DIR", "XDG_CACHE_HOME", "HOME"} & self._environment.keys():
            self._environment["UV_CACHE_DIR"] = str(root / ".cache")
        self._tree_bytes_max = tree_bytes_max
        self._sites = sites
        self._turns = asyncio.Semaphore(INSTALLS_MAX)
        self._under_way: dict[str, asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(INSTALLS_MAX, thread_name_prefix="mayfly-dependencies")

    async def close(self) -> None:
        """End the threads. Cancel the installations first: they are their callers' tasks."""
        await asyncio.to_thread(self._threads.shutdown)

    def digest(self, wanted: Wanted, runtime: RuntimeInfo) -> str:
        """Names the tree of these requirements for this runtime on this machine."""
        parts = (runtime.name, runtime.version, sysconfig.get_platform(), *wanted.lines)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def install(
        self, wanted: Wanted, runtime: RuntimeInfo, on_line: Callable[[str], None]
    ) -> bool:
        """Make the tree `digest(wanted, runtime)` unless it is there; True when it was.

        Those who want the same tree at the same time share one installation. Cancelled: uv is
        killed and nothing stays.

        Raises:
            InvalidParameter: The requirements cannot be met, or need too much space.
            PlatformError: No index was reached.
            StorageFailed: The disk refused.
        """
        digest = self.digest(wanted, runtime)
        tree = self._root / digest
        lock = self._under_way.setdefault(digest, asyncio.Lock())
        try:
            async with lock, self._turns:
                if await self._run(WRITE, tree.exists):
                    return True
                async with self._work_folder() as work:
                    await self._fill(work, wanted, runtime, on_line)
                    await self._run(RENAME, partial(self._name, work / "tree", tree))
                return False
        finally:
            if not lock.locked():
                self._under_way.pop(digest, None)

    async def _fill(
        self, work: Path, wanted: Wanted, runtime: RuntimeInfo, on_line: Callable[[str], None]
    ) -> None:
        requirements, target = work / "requirements.txt", work / "tree"
        text = "".join(f"{line}\n" for line in wanted.lines)
        await self._run(WRITE, partial(requirements.write_text, text, encoding="utf-8"))
        await self._run(WRITE, target.mkdir)
        await uv.install(
            requirements,
            target,
            filename=wanted.filename,
            interpreter=runtime.executable,
            environment=self._environment,
            on_line=on_line,
        )
        size = await self._run(WRITE, partial(_finish, target))
        if size > self._tree_bytes_max:
            raise InvalidParameter(
                f"{wanted.filename}: the installed packages have {size} bytes, more than "
                f"{self._tree_bytes_max}; leave out what the function does not need"
            )

    @asynccontextmanager
    async def _work_folder(self) -> AsyncIterator[Path]:
        work = await self._run(WRITE, self._new_folder)
        try:
            yield work
        finally:
            # Also when cancelled: shielded, and quick beside what was cancelled.
            remove = partial(shutil.rmtree, work, ignore_errors=True)
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, remove))

    def _new_folder(self) -> Path:
        self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=_NEW, dir=self._root))

    def _name(self, half: Path, whole: Path) -> None:
        try:
            half.rename(whole)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync_path(self._root)

    async def _run(self, site: str, work: Callable[[], T]) -> T:
        def visited() -> T:
            try:
                self._sites(site)
                return work()
            except OSError as error:
                raise StorageFailed(
                    site=site,
                    errno=error.errno or 0,
                    detail=f"{error}; is there space, and may this user write there?",
                ) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, visited)


def _finish(tree: Path) -> int:
    """Modes, and everything on the disk; the size in bytes."""
    (tree / ".lock").unlink(missing_ok=True)
    size = set_modes(tree)
    sync_tree(tree)
    return size
