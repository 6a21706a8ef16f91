"""Fills the small disk that FOLDER is on, sees all refuse, frees it, sees all work again.

    python fill_disk.py FOLDER

Prints "ok" when every promise held; an assertion that fails says which one did not.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import sys
from contextlib import suppress
from pathlib import Path

from mayfly.backends.files.code_store import FileCodeStore
from mayfly.backends.files.log_store import FileLogStore
from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.images.tree import plant_tree
from mayfly.model.errors import StorageFailed
from mayfly.model.event import Event
from mayfly.testing.clock import VirtualClock
from tests.unit.images.zips import zip_files

EVENTS_MAX = 10_000


def event(number: int) -> Event:
    return Event(f"e{number}", "f", "$LATEST", b"x" * 10_000, 0, 0)


def fill(ballast: Path) -> None:
    """Take what is left of the disk."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))


def refused(error: StorageFailed) -> None:
    assert error.errno == errno.ENOSPC, error
    assert "free some space" in str(error) or "is there space" in str(error)


async def backlog_bears_it(root: Path) -> None:
    store = await SqliteStore.open(root / "mayfly.db")
    backlog = await SqliteBacklog.open(store)
    accepted = 0
    fill(root / "ballast")
    try:
        while accepted < EVENTS_MAX:
            await backlog.accept(event(accepted))
            accepted += 1
    except StorageFailed as error:
        refused(error)
    assert accepted < EVENTS_MAX
    (root / "ballast").unlink()
    await backlog.accept(event(accepted))
    await store.close()
    store = await SqliteStore.open(root / "mayfly.db")
    backlog = await SqliteBacklog.open(store)
    found = await backlog.lease(now_ms=0, lease_ms=1, shares={"f": EVENTS_MAX})
    assert [one.event_id for one in found] == [f"e{number}" for number in range(accepted + 1)]
    await store.close()


async def code_bears_it(root: Path) -> None:
    store = await FileCodeStore.open(root, plant=plant_tree)
    noise = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256)) * 20
    archive = zip_files({"app.py": "x = 1", "data.bin": noise})
    fill(root / "ballast")
    try:
        await store.put_archive(archive)
    except StorageFailed as error:
        refused(error)
    else:
        raise AssertionError("the full disk took the code")
    left = [path for at in ("archives", "trees") for path in (root / at).iterdir()]
    assert not left, left
    (root / "ballast").unlink()
    code = await store.put_archive(archive)
    assert (store.tree_path(code.digest) / "data.bin").read_bytes() == noise
    await store.close()


async def logs_bear_it(root: Path) -> None:
    logs = FileLogStore(root / "logs", VirtualClock())
    logs.append_nowait("f", "r", 1, b"before\n")
    await logs.flush()
    fill(root / "ballast")
    for _ in range(100):
        logs.append_nowait("f", "r", 2, b"x" * 10_000 + b"\n")
    await logs.flush()
    (root / "ballast").unlink()
    logs.append_nowait("f", "r", 3, b"after\n")
    await logs.flush()
    found = [line.text for line in await logs.read("f")]
    assert found[0] == "before"
    assert "after" in found
    assert any("bytes of log dropped" in text for text in found), found
    await logs.close()


def empty(root: Path) -> None:
    """Make room for the next."""
    for path in root.glob("mayfly.db*"):
        path.unlink()


async def main(root: Path) -> None:
    await backlog_bears_it(root)
    empty(root)
    await code_bears_it(root)
    await logs_bear_it(root)


asyncio.run(main(Path(sys.argv[1])))
print("ok")  # noqa: T201  for the test
