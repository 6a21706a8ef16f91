"""A body on its way in: small ones stay in memory, larger ones go to a file as they come.

    write -- up to INLINE_BYTES_MAX --> memory --end--> a row's body
      `----- beyond it, 1 MiB at a time --> thread: hashes, file --end--> synced when it is put

While a thread hashes and writes one MiB, the next one is gathered: never more than two are held.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Protocol

from mayfly.stores.objects.blobs import Blobs
from mayfly.stores.objects.refusals import EntityTooLarge

BODY_BYTES_MAX = 5 * 1024 * 1024 * 1024
# Measured on ext4: up to here a row is put twice as fast and read four times as fast as a file; at
# twice the size puts are alike, and rows go through the log and then into the database.
INLINE_BYTES_MAX = 64 * 1024
_GATHER_BYTES = 1024 * 1024


class Hash(Protocol):
    """Anything with hashlib's `update`."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes in."""
        ...


class Upload:
    """Made by `ObjectStore.open_upload`; an async context manager that aborts what was not put.

    Attributes:
        size: Bytes so far.
        md5_hex: After `end`.
        body: After `end`: a small body, None for one that is in a file.
        file_id: Of a large body, else "".
    """

    __slots__ = (
        "_blobs",
        "_bytes_max",
        "_ended",
        "_fd",
        "_gathered",
        "_gathered_size",
        "_handed_over",
        "_hashes",
        "_md5",
        "_writing",
        "body",
        "file_id",
        "md5_hex",
        "size",
    )

    def __init__(self, blobs: Blobs, hashes: Sequence[Hash], bytes_max: int) -> None:
        self._blobs = blobs
        self._bytes_max = bytes_max
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashes = (self._md5, *hashes)
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._writing: asyncio.Future[None] | None = None
        self._fd = -1
        self._ended = False
        self._handed_over = False
        self.file_id = ""
        self.body: bytes | None = None
        self.size = 0
        self.md5_hex = ""

    async def write(self, chunk: bytes) -> None:
        """Take more bytes in. Raises EntityTooLarge, StorageFailed; then `abort`."""
        assert not self._ended, "the upload was ended"
        self.size += len(chunk)
        if self.size > self._bytes_max:
            raise EntityTooLarge(
                f"the body is over {self._bytes_max} bytes, the most that one request may bring; "
                "upload it in parts"
            )
        self._gathered.append(chunk)
        self._gathered_size += len(chunk)
        if self._gathered_size >= _GATHER_BYTES:
            await self._flush()

    async def end(self) -> None:
        """There is no more: `size`, `md5_hex` and the hashes are final. Nothing is visible yet.

        Raises:
            StorageFailed: It could not be written.
        """
        if self._ended:
            return
        if not self.file_id and self.size <= INLINE_BYTES_MAX:
            body = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
            for one in self._hashes:
                one.update(body)
            self.body = bytes(body)
        else:
            if self._gathered:
                await self._flush()
            await self._written()
        self._gathered = []
        self.md5_hex = self._md5.hexdigest()
        self._ended = True

    async def keep(self) -> None:
        """Make a large body's file durable, before its row is written. For the store.

        Raises:
            StorageFailed: It is not.
        """
        await self.end()
        if self.file_id:
            self._writing = self._blobs.start(partial(self._blobs.keep, self.file_id, self._fd))
            await self._written()

    def hand_over(self) -> None:
        """A row may name the file from here on: `abort` leaves it (`changes.Kept`)."""
        self._handed_over = True

    def take_back(self) -> None:
        """No row names the file: `abort` deletes it (`changes.Kept`)."""
        self._handed_over = False

    def settle(self) -> None:
        """The row is durable (`changes.Kept`)."""
        if self.file_id:
            self._blobs.run_unwatched(partial(self._blobs.settle, [self.file_id]))

    async def abort(self) -> None:
        """Drop it. Harmless when it was put."""
        self._ended = True
        self._gathered = []
        writing, self._writing = self._writing, None
        if writing is None or writing.done():
            self._close(writing)
        else:
            # A thread still has the file; should this be cancelled, it is closed all the same.
            writing.add_done_callback(self._close)
            with contextlib.suppress(Exception):
                await asyncio.shield(writing)

    async def __aenter__(self) -> Upload:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.abort()

    async def _flush(self) -> None:
        """Give what was gathered to a thread, once that is done with what it had before."""
        await self._written()
        if not self.file_id:
            self.file_id = self._blobs.new_id()
        chunks, self._gathered, self._gathered_size = self._gathered, [], 0
        self._writing = self._blobs.start(partial(self._take_in, chunks))

    async def _written(self) -> None:
        if self._writing is not None:
            # Cancelled here, the thread goes on: `abort` waits for it before it closes the file.
            await asyncio.shield(self._writing)
            self._writing = None

    def _close(self, writing: asyncio.Future[None] | None) -> None:
        if writing is not None and not writing.cancelled():
            # Its failure, if it failed, was told to whoever waited for it.
            writing.exception()
        if self.file_id:
            fd, self._fd = self._fd, -1
            doomed = [] if self._handed_over else [self.file_id]
            self._blobs.run_unwatched(partial(self._blobs.close_file, fd, doomed))

    def _take_in(self, chunks: Sequence[bytes]) -> None:
        """On a thread."""
        if self._fd < 0:
            self._fd = self._blobs.create(self.file_id)
        for chunk in chunks:
            for one in self._hashes:
                one.update(chunk)
        self._blobs.write(self._fd, chunks)
