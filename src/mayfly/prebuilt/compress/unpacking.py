"""An archive into objects, in two passes: judged whole, then written.

What is refused leaves nothing behind. Nothing that an archive says is believed: bytes are counted
as they come out, names are judged by `names`, and the tables and headers that a library would read
into memory are bounded before it does. So a bomb is found by what it becomes, not what it claims.
"""

from __future__ import annotations

import gzip
import lzma
import mimetypes
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, BinaryIO, cast

import zstandard
from names import Names
from orders import Order, Refused
from store import Found, ObjectFile, ObjectWriter, find, opened
from streams import Bounded, decompressed, kind_of
from tables import check_zip_table

TOTAL_BYTES_MAX = int(os.environ.get("TOTAL_BYTES_MAX", "10000000000"))
ENTRIES_MAX = int(os.environ.get("ENTRIES_MAX", "10000"))
RATIO_MAX = int(os.environ.get("RATIO_MAX", "200"))
_CHUNK_BYTES = 1 << 20
_HEADER_BYTES_MAX = 1 << 20
_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE),
    *(tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_WRAPPINGS = {"tar": "", "tar.gz": "gzip", "tar.zst": "zstd", "tar.xz": "xz"}
_ENCRYPTED = 0x1
# Of the others' decoders zipfile asks for all that a piece holds, however much that is.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_TYPE_MASK, _PLAIN_TYPES = 0o170000, (0, 0o100000, 0o040000)
# What the libraries raise on damaged archives.
_DAMAGE = (
    *(gzip.BadGzipFile, struct.error),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError),
    *(EOFError, NotImplementedError, RecursionError, UnicodeError, ValueError),
)

# One entry: its name in the archive, and its bytes.
Entry = tuple[str, BinaryIO]


def unpack(order: Order) -> dict[str, Any]:
    """Extract the archive that the order names.

    Raises:
        Refused: It is no archive, is damaged, or is one that must not be extracted.
        ClientError: The store refused.
    """
    found = find(order.bucket, order.key or "", order.version)
    try:
        count, total_bytes = _pass(order, found, _discard)
        _pass(order, found, partial(_put, order.target_bucket))
    except _DAMAGE as error:
        raise Refused(f"{found.key} is damaged or cut short ({error})") from error
    return {
        "bucket": order.target_bucket,
        "prefix": order.target,
        "objects": count,
        "bytes_in": found.size_bytes,
        "bytes_out": total_bytes,
    }


def _pass(order: Order, found: Found, take: Callable[[str, BinaryIO], None]) -> tuple[int, int]:
    """Hand each entry to `take`; how many there were, and their bytes."""
    bound = Bounded(found.size_bytes, total_bytes_max=TOTAL_BYTES_MAX, ratio_max=RATIO_MAX)
    names = Names(order.target, count_max=ENTRIES_MAX)
    for name, file in _entries(order, found, bound, names):
        key = names.key(name)
        if (order.target_bucket, key) == (order.bucket, order.key):
            raise Refused(f"{key} would overwrite the archive; set target_prefix")
        take(key, bound.counted(file))
    return names.count, bound.total_bytes


def _discard(key: str, file: BinaryIO) -> None:
    del key
    while file.read(_CHUNK_BYTES):
        pass


def _put(bucket: str, key: str, file: BinaryIO) -> None:
    kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
    with ObjectWriter(bucket, key, {"ContentType": kind}) as writer:
        while chunk := file.read(_CHUNK_BYTES):
            writer.write(chunk)


def _entries(order: Order, found: Found, bound: Bounded, names: Names) -> Iterator[Entry]:
    file = ObjectFile(found)
    kind = order.format or kind_of(file.read(_CHUNK_BYTES))
    if kind == "zip":
        yield from _zip_entries(found, names)
        return
    with closing(opened(found)) as body:
        stream = bound.stream(decompressed(body, _WRAPPINGS.get(kind, kind or "none")))
        inside = not order.format and kind_of(stream.peek(tarfile.BLOCKSIZE)) == "tar"
        if inside or kind.startswith("tar"):
            yield from _tar_entries(cast(BinaryIO, stream), names)
        else:
            yield _single_name(found.key), cast(BinaryIO, stream)


def _single_name(key: str) -> str:
    """What a lone compressed object is called: without its extension."""
    file_name = key.rpartition("/")[2]
    name, dot, _ = file_name.rpartition(".")
    return name if dot and name else file_name + ".out"


def _zip_entries(found: Found, names: Names) -> Iterator[Entry]:
    file = ObjectFile(found)
    check_zip_table(file, found.size_bytes, entries_max=ENTRIES_MAX)
    with zipfile.ZipFile(cast(BinaryIO, file)) as archive:
        for entry in archive.infolist():
            # zipfile cuts a name at its first NUL; the whole one is judged.
            name = names.judged(entry.orig_filename)
            if (entry.external_attr >> 16) & _TYPE_MASK not in _PLAIN_TYPES:
                raise Refused(f"{name!r} is a link or a device; such an archive is not extracted")
            if entry.flag_bits & _ENCRYPTED:
                raise Refused(f"{name!r} is encrypted")
            if entry.compress_type not in _ZIP_METHODS:
                raise Refused(f"{name!r} is packed by method {entry.compress_type}, not deflate")
            if entry.is_dir():
                continue
            with archive.open(entry) as inner:
                yield name, cast(BinaryIO, inner)


class _BoundedTarInfo(tarfile.TarInfo):
    """A header that refuses what tarfile would read into memory whole: long names and tables."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> _BoundedTarInfo:
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in _HEADERS and entry.size > _HEADER_BYTES_MAX:
            raise Refused(f"a header of the archive has {entry.size:,} bytes")
        return entry


def _tar_entries(stream: BinaryIO, names: Names) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_BoundedTarInfo) as archive:
        for entry in archive:
            archive.members.clear()  # it would keep them all
            name = names.judged(entry.name)
            if entry.isdir():
                continue
            if not entry.isreg() or entry.issparse():
                raise Refused(
                    f"{name!r} is a link, a device or a file with holes; such an archive is not "
                    "extracted"
                )
            inner = archive.extractfile(entry)
            assert inner is not None
            yield name, cast(BinaryIO, inner)
