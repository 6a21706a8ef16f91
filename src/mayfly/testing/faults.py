"""Makes I/O sites fail by name, as a disk would: once, some times, or from now on.

faults = Faults()
store = await SqliteStore.open(path, sites=faults)
faults.fail("BACKLOG:COMMIT", times=1)
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter

ALWAYS = 1 << 62


class Faults:
    """The `Sites` seam for tests. Any thread may pass a site."""

    def __init__(self) -> None:
        self.visits: Counter[str] = Counter()
        self._planned: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def __call__(self, site: str, /) -> None:
        """Count the visit; raise OSError when the site is to fail."""
        with self._lock:
            self.visits[site] += 1
            number, times = self._planned.get(site, (0, 0))
            if not times:
                return
            self._planned[site] = (number, times - 1)
        raise OSError(number, os.strerror(number), site)

    def fail(self, site: str, *, times: int = ALWAYS, number: int = errno.EIO) -> None:
        """From now on, `site` fails `times` times with the errno `number`."""
        with self._lock:
            self._planned[site] = (number, times)

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._planned.clear()
