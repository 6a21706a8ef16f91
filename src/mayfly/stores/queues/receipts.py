"""Receipt handles: which receive of which message, as text that a caller hands back.

    base64url( queue_id u32 | box_id u32 | seq u64 | receipt u32 | CRC-32 of these )

The checksum tells a mistyped handle from one of ours. It is no secret: whoever may receive from a
queue may delete its messages.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from zlib import crc32

_PARTS = struct.Struct(">IIQI")
_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receive of one message.

    Args:
        number: Counts the receives of a message, never back.
    """

    queue_id: int
    box_id: int
    seq: int
    number: int


def write_receipt(queue_id: int, box_id: int, seq: int, number: int) -> str:
    """The handle."""
    packed = _PARTS.pack(queue_id, box_id, seq, number)
    return urlsafe_b64encode(packed + crc32(packed).to_bytes(4, "big")).decode()


def read_receipt(handle: str) -> Receipt | None:
    """What a handle says, or None: it is not one of ours."""
    if len(handle) != _LENGTH:
        return None
    try:
        raw = urlsafe_b64decode(handle.encode("ascii"))
    except ValueError:
        return None
    packed, check = raw[: _PARTS.size], raw[_PARTS.size :]
    if crc32(packed).to_bytes(4, "big") != check:
        return None
    return Receipt(*_PARTS.unpack(packed))
