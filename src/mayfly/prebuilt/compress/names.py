"""Which names an archive's entries may have, and which keys they get.

A key is only ever below its prefix. What would lead out of it, or means different things to
different readers, is not repaired but refused.
"""

from __future__ import annotations

import re

from orders import Refused

KEY_BYTES_MAX = 1_024
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Names:
    """The names of one archive, counted and judged.

    Args:
        prefix: Of every key.
        count_max: More entries, folders included, are refused.
    """

    def __init__(self, prefix: str, *, count_max: int) -> None:
        self._prefix = prefix
        self._count_max = count_max
        self._looked_at = 0
        self._keys: set[str] = set()

    @property
    def count(self) -> int:
        """How many keys were given out."""
        return len(self._keys)

    def judged(self, name: str) -> str:
        """The name with "/" between its parts; counts it.

        Raises:
            Refused: It leads out, or there are too many.
        """
        self._looked_at += 1
        if self._looked_at > self._count_max:
            raise Refused(f"there are over {self._count_max:,} entries, which is ENTRIES_MAX")
        plain = name.replace("\\", "/")
        if plain.startswith("/") or _DRIVE.match(plain):
            raise Refused(f"the entry {name[:200]!r} has an absolute name")
        if ".." in plain.split("/"):
            raise Refused(f'the entry {name[:200]!r} leads out by ".."')
        if _CONTROL.search(plain):
            raise Refused(f"the entry {name[:200]!r} has control characters in its name")
        return plain

    def key(self, name: str) -> str:
        """The key of a judged name.

        Raises:
            Refused: It is empty, too long, or another entry has it.
        """
        parts = [part for part in name.split("/") if part not in ("", ".")]
        key = self._prefix + "/".join(parts)
        if not parts or len(key.encode("utf-8", "surrogateescape")) > KEY_BYTES_MAX:
            raise Refused(
                f"the entry {name[:200]!r} has no name, or one over {KEY_BYTES_MAX} bytes"
            )
        if any("\udc80" <= one <= "\udcff" for one in key):
            raise Refused(f"the entry {name[:200]!r} has a name that is not UTF-8")
        if key in self._keys:
            raise Refused(f"two entries have the name {name[:200]!r}")
        self._keys.add(key)
        return key
