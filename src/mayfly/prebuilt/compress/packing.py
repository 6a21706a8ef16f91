"""Objects into one archive, as a stream: read once, written in parts, never held.

The same objects always give the same bytes: dates are the objects' own, and no name of this
machine or time of this run goes in.
"""

from __future__ import annotations

import gzip
import lzma
import os
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, cast

import zstandard
from orders import SINGLE, Order, Refused
from store import Found, ObjectWriter, find, opened, walk

ENTRIES_MAX = int(os.environ.get("ENTRIES_MAX", "10000"))
TOTAL_BYTES_MAX = int(os.environ.get("TOTAL_BYTES_MAX", "10000000000"))
_CHUNK_BYTES = 1 << 20
_DOS_YEARS = (1980, 2107)
_FILE_MODE = 0o100644
_TYPES = {
    "zip": "application/zip",
    "tar": "application/x-tar",
    "gzip": "application/gzip",
    "zstd": "application/zstd",
    "xz": "application/x-xz",
}
_LEVELS = {"gzip": 6, "zstd": 3, "xz": 6, "zip": 6}
_WRAPPINGS = {"tar": "", "tar.gz": "gzip", "tar.zst": "zstd", "tar.xz": "xz", "zip": ""}


def pack(order: Order) -> dict[str, Any]:
    """Pack what the order names.

    Raises:
        Refused: There is nothing, or too much.
        ClientError: The store refused.
    """
    entries = _entries(order)
    wrapping = _WRAPPINGS.get(order.format, order.format)
    headers = {"ContentType": _TYPES[wrapping or order.format]}
    with ObjectWriter(order.target_bucket, order.target, headers) as writer:
        with _wrapped(cast(BinaryIO, writer), wrapping, order.level) as sink:
            if order.format in SINGLE:
                _copy(entries[0][0], sink)
            elif order.format == "zip":
                _zip(entries, sink, order.level)
            else:
                _tar(entries, sink)
        bytes_out = writer.size_bytes
    return {
        "bucket": order.target_bucket,
        "key": order.target,
        "objects": len(entries),
        "bytes_in": sum(found.size_bytes for found, _ in entries),
        "bytes_out": bytes_out,
    }


def _entries(order: Order) -> list[tuple[Found, str]]:
    """The objects to pack, each with its name in the archive."""
    place = (order.target_bucket, order.target)
    if order.key is not None:
        if (order.bucket, order.key) == place:
            raise Refused(f"{order.bucket}/{order.key} would be overwritten; set target_key")
        found = find(order.bucket, order.key, order.version)
        _bound(1, found.size_bytes)
        return [(found, order.key.rpartition("/")[2])]
    entries: list[tuple[Found, str]] = []
    total_bytes = 0
    for found in walk(order.bucket, order.prefix):
        if (found.bucket, found.key) == place:
            continue  # this very archive, from before
        entries.append((found, _inside(order.prefix, found.key)))
        total_bytes += found.size_bytes
        _bound(len(entries), total_bytes)
    if not entries:
        raise Refused(f"there is nothing under {order.bucket}/{order.prefix}")
    return entries


def _inside(prefix: str, key: str) -> str:
    """The name below the prefix's folder, never with a slash first."""
    return key.removeprefix(prefix.rpartition("/")[0] + "/" if "/" in prefix else "").lstrip("/")


def _bound(count: int, total_bytes: int) -> None:
    if count > ENTRIES_MAX or total_bytes > TOTAL_BYTES_MAX:
        raise Refused(
            f"there are over {ENTRIES_MAX:,} objects or {TOTAL_BYTES_MAX:,} bytes; raise "
            "ENTRIES_MAX or TOTAL_BYTES_MAX, and the timeout with them"
        )


@contextmanager
def _wrapped(writer: BinaryIO, wrapping: str, level: int | None) -> Iterator[BinaryIO]:
    """The writer itself, or a compressor before it, whose end is written when the block ends."""
    if not wrapping:
        yield writer
        return
    how = level or _LEVELS[wrapping]
    match wrapping:
        case "gzip":
            made: Any = gzip.GzipFile("", "wb", how, writer, mtime=0)
        case "zstd":
            made = zstandard.ZstdCompressor(level=how).stream_writer(writer, closefd=False)
        case _:
            made = lzma.LZMAFile(writer, "wb", preset=how)  # noqa: SIM115  closed below
    yield cast(BinaryIO, made)
    # Not after a failure: an archive that was cut would look whole.
    made.close()


def _copy(found: Found, sink: BinaryIO) -> None:
    """The whole object into the sink.

    Raises:
        OSError: The connection ended early; the call is tried again.
    """
    count = 0
    with closing(opened(found)) as body:
        while chunk := body.read(_CHUNK_BYTES):
            sink.write(chunk)
            count += len(chunk)
    if count != found.size_bytes:
        raise OSError(f"{found.bucket}/{found.key} ended after {count} bytes")


def _zip(entries: list[tuple[Found, str]], sink: BinaryIO, level: int | None) -> None:
    method = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(sink, "w", method, compresslevel=level or _LEVELS["zip"]) as archive:
        for found, name in entries:
            entry = zipfile.ZipInfo(name, _dos_date(found.modified_s))
            entry.compress_type = method
            entry.external_attr = _FILE_MODE << 16
            entry.create_system = 3  # Unix: the mode above is read as such
            # The size is said before the bytes, so that zip64 is chosen where it is needed.
            entry.file_size = found.size_bytes
            with archive.open(entry, "w") as file:
                _copy(found, cast(BinaryIO, file))


def _dos_date(modified_s: int) -> tuple[int, int, int, int, int, int]:
    at = time.gmtime(modified_s)
    year = min(max(at.tm_year, _DOS_YEARS[0]), _DOS_YEARS[1])
    return year, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec


def _tar(entries: list[tuple[Found, str]], sink: BinaryIO) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for found, name in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = found.size_bytes, found.modified_s
            with closing(opened(found)) as body:
                archive.addfile(entry, body)
            archive.members.clear()  # it would keep them all
