"""Compressed bytes in, plain bytes out, a piece at a time; and the counter that stops bombs.

A decompressor is never asked for more than one piece, nor given a window that its header chooses.
"""

from __future__ import annotations

import gzip
import lzma
from typing import Any, BinaryIO, cast

import zstandard
from orders import Refused

_MEMORY_BYTES_MAX = 128 << 20
_CHUNK_BYTES = 1 << 16
# A ratio means little before there is much: a text of blanks is no attack.
_RATIO_FROM_BYTES = 16 << 20
_MAGIC = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (257, b"ustar", "tar"),
)


def kind_of(head: bytes) -> str:
    """The format that the first bytes tell, or ""."""
    for at, magic, kind in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return kind
    return ""


def decompressed(body: Any, wrapping: str) -> BinaryIO:
    """A reader of the plain bytes.

    Args:
        wrapping: "gzip", "zstd", "xz", or "" for bytes that are plain.

    Raises:
        Refused: It is none of these.
    """
    match wrapping:
        case "":
            return cast(BinaryIO, body)
        case "gzip":
            return cast(BinaryIO, gzip.GzipFile(fileobj=body, mode="rb"))
        case "zstd":
            made = zstandard.ZstdDecompressor(max_window_size=_MEMORY_BYTES_MAX)
            reader = made.stream_reader(body, read_across_frames=True, closefd=False)
            return cast(BinaryIO, reader)
        case "xz":
            return cast(BinaryIO, _Xz(body))
        case _:
            raise Refused("it is no zip, tar, gzip, zstd or xz archive")


class _Xz:
    """One xz stream or several after one another; lzma.LZMAFile takes any window, this does not."""

    def __init__(self, body: BinaryIO) -> None:
        self._body = body
        self._decoder = self._new()
        self._pending = b""

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES_MAX)

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none at the end."""
        while True:
            if self._decoder.eof:
                # Streams may be padded with zeros (xz's format, section 2.2).
                rest = (self._decoder.unused_data or self._pending).lstrip(b"\0")
                self._pending = rest or self._body.read(_CHUNK_BYTES)
                if not self._pending:
                    return b""
                if not self._pending.strip(b"\0"):
                    self._pending = b""
                    continue
                self._decoder = self._new()
            elif self._decoder.needs_input and not self._pending:
                self._pending = self._body.read(_CHUNK_BYTES)
                if not self._pending:
                    raise EOFError("the compressed bytes end early")
            plain = self._decoder.decompress(self._pending, count)
            self._pending = b""
            if plain:
                return plain


class Bounded:
    """Counts what comes out of one archive.

    Args:
        archive_bytes: The archive's own size.
        total_bytes_max: More is refused.
        ratio_max: More than this many times the archive is refused.
    """

    def __init__(self, archive_bytes: int, *, total_bytes_max: int, ratio_max: int) -> None:
        self._most = max(min(total_bytes_max, archive_bytes * ratio_max), 0)
        if self._most < _RATIO_FROM_BYTES:
            self._most = min(total_bytes_max, _RATIO_FROM_BYTES)
        self.total_bytes = 0

    def counted(self, file: BinaryIO) -> BinaryIO:
        """An entry whose bytes are counted as they are read."""
        return cast(BinaryIO, _Counted(file, self._count))

    def stream(self, file: BinaryIO) -> Peekable:
        """A whole stream, tar's headers included, under the same bounds as its entries."""
        return Peekable(_Counted(file, _Sum(self._most).add))

    def _count(self, count: int) -> None:
        self.total_bytes += count
        _check(self.total_bytes, self._most)


class _Sum:
    def __init__(self, most: int) -> None:
        self._most = most
        self._sum = 0

    def add(self, count: int) -> None:
        self._sum += count
        _check(self._sum, self._most)


def _check(count: int, most: int) -> None:
    if count > most:
        raise Refused(
            f"more than {most:,} bytes come out of it, over TOTAL_BYTES_MAX or RATIO_MAX times "
            "its size"
        )


class _Counted:
    def __init__(self, file: BinaryIO, count: Any) -> None:
        self._file = file
        self._count = count

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._count(len(data))
        return data


class Peekable:
    """A stream whose beginning can be looked at first."""

    def __init__(self, file: _Counted) -> None:
        self._file = file
        self._head = b""

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end; they are still to be read."""
        while len(self._head) < count and (more := self._file.read(count - len(self._head))):
            self._head += more
        return self._head

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none at the end."""
        if self._head:
            data, self._head = self._head[:count], self._head[count:]
            return data
        return self._file.read(count)
