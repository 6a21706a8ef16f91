"""A body on its way out: whole if it is small, else chunks from its files, which stay meanwhile.

A reader pins its files: the key may be overwritten or deleted, the files are deleted when the last
reader has closed. What the page cache holds is copied on the spot; a thread waits for a disk.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mayfly.stores.objects.blobs import Blobs
from mayfly.stores.objects.record import ObjectMeta, Part

CHUNK_BYTES_MAX = 1024 * 1024

# A file's id, or the number of the owner of all parts of a multipart object.
Pin = str | int
Chunk = bytes | bytearray


class Pins:
    """What readers hold. Event loop only, so that looking up a row and pinning is one step."""

    def __init__(self, on_free: Callable[[], None]) -> None:
        self._held: Counter[Pin] = Counter()
        self._on_free = on_free

    def __contains__(self, pin: Pin) -> bool:
        return pin in self._held

    def hold(self, pin: Pin) -> None:
        """One more reader."""
        self._held[pin] += 1

    def free(self, pin: Pin) -> None:
        """One reader less."""
        self._held[pin] -= 1
        if not self._held[pin]:
            del self._held[pin]
            self._on_free()


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a body: a file, or bytes that were in a row.

    Args:
        part: Of a multipart object.
    """

    size: int
    file_id: str = ""
    body: bytes = b""
    part: Part | None = None


class ObjectReader:
    """An object being read: what it was when it was opened, whatever happens to its key.

    A context manager: closing it lets a deleted object's files go.

    Attributes:
        body: The whole body of a small object; None where `chunks` is needed.
        segments: Where the bytes are, for the store.
    """

    __slots__ = ("_blobs", "_pin", "_pins", "body", "meta", "segments")

    def __init__(self, meta: ObjectMeta, segments: Sequence[Segment], blobs: Blobs) -> None:
        self.meta = meta
        self.segments = segments
        only = segments[0] if len(segments) == 1 else None
        self.body = None if only is None or only.file_id else only.body
        self._blobs = blobs
        self._pins: Pins | None = None
        self._pin: Pin = ""

    def pinned(self, pins: Pins, pin: Pin) -> ObjectReader:
        """Free `pin`, which is held, when this is closed. For the store."""
        self._pins, self._pin = pins, pin
        return self

    @property
    def parts(self) -> Sequence[Part]:
        """Of a multipart object, in order; empty of any other."""
        return [one.part for one in self.segments if one.part is not None]

    async def chunks(self, first: int = 0, size: int | None = None) -> AsyncIterator[Chunk]:
        """The bytes from `first`, `size` of them (to the end if None), in chunks up to 1 MiB.

        Works for small objects too. The range must lie within the object.

        Raises:
            StorageFailed: A file cannot be read.
        """
        size = self.meta.size - first if size is None else size
        assert 0 <= first <= first + size <= self.meta.size, "a range outside the object"
        if self.body is not None:
            if size:
                yield self.body[first : first + size]
            return
        source = _Source(self._blobs)
        try:
            for segment, offset, length in _pieces(self.segments, first, size):
                piece = source.read_nowait(segment, offset, length)
                if piece is None:
                    piece = await self._blobs.start(partial(source.read, segment, offset, length))
                yield piece
        finally:
            self._blobs.run_unwatched(source.close)

    def close(self) -> None:
        """Let go. Harmless twice."""
        pins, self._pins = self._pins, None
        if pins is not None:
            pins.free(self._pin)

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Source:
    """The one file of a body that is open; for the blobs' threads, one at a time."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._fd = -1
        self._file_id = ""
        self._closed = False

    def read(self, segment: Segment, offset: int, size: int) -> bytes:
        if not segment.file_id:
            return segment.body[offset : offset + size]
        with self._lock:
            if self._closed:
                return b""
            if segment.file_id != self._file_id:
                self._let_go()
                self._fd = self._blobs.open(segment.file_id)
                self._file_id = segment.file_id
            return self._blobs.read(self._fd, offset, size)

    def read_nowait(self, segment: Segment, offset: int, size: int) -> Chunk | None:
        """What the page cache holds of an open file; None where a disk would be waited for.

        On the event loop: a hop to a thread and back costs more than this copy (preadv2(2)).
        """
        if not segment.file_id:
            return segment.body[offset : offset + size]
        if segment.file_id != self._file_id:
            return None
        piece = bytearray(size)
        try:
            count = os.preadv(self._fd, [piece], offset, os.RWF_NOWAIT)
        except OSError:
            # EAGAIN: it is not there. Anything else is met, and told, by the thread's read.
            return None
        return piece if count == size else None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._file_id = -1, ""


def _pieces(
    segments: Sequence[Segment], first: int, size: int
) -> Iterator[tuple[Segment, int, int]]:
    """(segment, offset in it, bytes), none over CHUNK_BYTES_MAX, for a range of the body."""
    start, end = 0, first + size
    for segment in segments:
        offset = max(first - start, 0)
        stop = min(end - start, segment.size)
        while offset < stop:
            length = min(CHUNK_BYTES_MAX, stop - offset)
            yield segment, offset, length
            offset += length
        start += segment.size
        if start >= end:
            return
