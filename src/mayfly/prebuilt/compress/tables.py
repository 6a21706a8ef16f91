"""A zip archive's end, looked at before `zipfile` reads the table that it names into memory.

    ... entries ... | central directory | [zip64 end, zip64 locator] | end, comment

APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16. Nothing is judged here but sizes.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from orders import Refused

# A table's entry has 46 bytes and its name; this leaves some hundreds for each.
ROW_BYTES_MAX = 512
_END = struct.Struct("<4s4H2LH")
_END_MARK = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MARK = b"PK\x06\x07"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_MARK = b"PK\x06\x06"
_COMMENT_BYTES_MAX = 65_535
_IN_ZIP64 = 0xFFFFFFFF
_COUNT_IN_ZIP64 = 0xFFFF


def check_zip_table(file: BinaryIO, size_bytes: int, *, entries_max: int) -> None:
    """Refuse an archive whose table is larger than `entries_max` entries can need.

    Raises:
        Refused: So it is, or there is no end of a zip archive.
    """
    tail_bytes = min(size_bytes, _END.size + _COMMENT_BYTES_MAX)
    file.seek(size_bytes - tail_bytes)
    tail = _read(file, tail_bytes)
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise Refused("it is no zip archive, or one that was cut short")
    end = _END.unpack_from(tail, at)
    count, table_bytes = end[4], end[5]
    zip64_count, zip64_bytes = _zip64(file, size_bytes - tail_bytes + at)
    count = zip64_count if count == _COUNT_IN_ZIP64 else max(count, zip64_count)
    table_bytes = zip64_bytes if table_bytes == _IN_ZIP64 else max(table_bytes, zip64_bytes)
    if count > entries_max or table_bytes > entries_max * ROW_BYTES_MAX:
        raise Refused(
            f"there are {count:,} entries in a table of {table_bytes:,} bytes, over ENTRIES_MAX, "
            f"which is {entries_max:,}"
        )


def _zip64(file: BinaryIO, end_at: int) -> tuple[int, int]:
    """Count and size of the table by the zip64 end, or zeros; the largest that any reader finds."""
    count = table_bytes = 0
    if end_at < _LOCATOR.size:
        return 0, 0
    file.seek(end_at - _LOCATOR.size)
    mark, _, at, _ = _LOCATOR.unpack(_read(file, _LOCATOR.size))
    # zipfile looks right before the locator, others where the locator says.
    places = {at, end_at - _LOCATOR.size - _END64.size} if mark == _LOCATOR_MARK else set()
    for place in places:
        if 0 <= place <= end_at:
            file.seek(place)
            end = _read(file, _END64.size)
            if len(end) == _END64.size and end.startswith(_END64_MARK):
                fields = _END64.unpack(end)
                count, table_bytes = max(count, fields[7]), max(table_bytes, fields[8])
    return count, table_bytes


def _read(file: BinaryIO, count: int) -> bytes:
    parts = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
