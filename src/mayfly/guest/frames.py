"""The guest's end of the channel: frames on a plain descriptor.

A frame, little-endian (`drivers.channel` holds the other end):

    0      2      3       4          8
    | "MF" | kind | flags | length   | body (length bytes) ...

    kind      from -> to            body
    CONFIG    daemon -> snapshot    JSON: environment, handler, path, script
    IMPORTED  snapshot -> daemon    JSON: null, or the error document of a failed import
    GO        keeper -> isolate     nothing: /tmp, /proc and limits are in place
    READY     isolate -> daemon     nothing: rehearsed and parked
    INVOKE    daemon -> isolate     u32 length of meta, meta (JSON), event (JSON)
    ANSWER    isolate -> daemon     u32 peak memory in KiB, answer (JSON)
    FAILURE   isolate -> daemon     u32 peak memory in KiB, u16 length, type, error document (JSON)
"""

from __future__ import annotations

import os
import struct

MAGIC = 0x464D
CONFIG, IMPORTED, GO, READY, INVOKE, ANSWER, FAILURE = range(1, 8)
HEADER = struct.Struct("<HBBI")
U32 = struct.Struct("<I")
FAILURE_HEAD = struct.Struct("<IH")
_CHUNK_BYTES = 65_536


def read_frame(fd: int) -> tuple[int, bytes]:
    """Read one frame.

    Returns:
        (kind, body), or (0, b"") when the other side has closed.
    """
    data = os.read(fd, _CHUNK_BYTES)
    if len(data) < HEADER.size:
        if not data:
            return 0, b""
        data += _read_exactly(fd, HEADER.size - len(data))
    _magic, kind, _flags, length = HEADER.unpack_from(data)
    missing = HEADER.size + length - len(data)
    if missing > 0:
        data += _read_exactly(fd, missing)
    return kind, data[HEADER.size :]


def _read_exactly(fd: int, count: int) -> bytes:
    parts = []
    while count > 0:
        part = os.read(fd, min(count, 1 << 20))
        if not part:
            raise EOFError("the platform closed the channel in the middle of a frame")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def write_frame(fd: int, kind: int, *parts: bytes) -> None:
    """Write one frame; the parts are joined."""
    body = b"".join(parts)
    data = HEADER.pack(MAGIC, kind, 0, len(body)) + body
    sent = os.write(fd, data)
    while sent < len(data):
        sent += os.write(fd, memoryview(data)[sent:])
