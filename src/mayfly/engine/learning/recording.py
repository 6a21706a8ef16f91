"""What one run asked for beyond itself: used where it was granted, refused where it was not.

Nothing is opened for it. A name that was not granted gets the address of a *decoy*: a door with
nobody behind, which exists to see at which port the function would have connected. The room of
grants writes here; whoever ordered the run reads.
"""

from __future__ import annotations

from mayfly.model.grant import Grant, GrantKind
from mayfly.ports import Door, Trace

# Past these, what a run asks for is counted as "more" and not kept.
ASKED_MAX = 2_000
_DECOYS_MAX = 7
# What clients connect to: web, mail, shells, the usual databases, caches and brokers.
_WEB, _MAIL = (443, 80, 8080, 8443), (25, 465, 587, 993)
_DATABASES = (1433, 3306, 5432, 6379, 9200, 27017)
DECOY_PORTS = (*_WEB, *_MAIL, *_DATABASES, 22, 5672)


class Recording:
    """One run's, from the making of its snapshot to its end."""

    def __init__(self) -> None:
        self.missing: dict[Grant, int] = {}
        self.asked: dict[Grant, int] = {}
        self.used: dict[Grant, int] = {}
        self.overflow = 0
        self.files: set[str] = set()
        self.calls: set[str] = set()
        self.tasks_max = 0
        self.tmp_bytes_max = 0
        self.untraced = ""
        self._decoys: dict[str, str] = {}
        self._connected: set[str] = set()

    def tell_missing(self, missing: Grant) -> None:
        """It was refused what this grant would have allowed."""
        self._count(self.missing, missing)

    def tell_used(self, grant: Grant, asked: Grant) -> None:
        """This grant of its allowed what it asked for."""
        self._count(self.used, grant)
        self._count(self.asked, asked)

    def tell_trace(self, trace: Trace) -> None:
        """It was seen to do this."""
        self.files |= trace.files
        self.calls |= trace.calls
        self.tasks_max = max(self.tasks_max, trace.tasks_max)
        self.tmp_bytes_max = max(self.tmp_bytes_max, trace.tmp_bytes_max)
        self.untraced = trace.unavailable or self.untraced

    def decoy_doors(self, room: int) -> tuple[Door, ...]:
        """Doors for names that are not granted, as many as there is room for."""
        addresses = min(_DECOYS_MAX, room // len(DECOY_PORTS))
        return tuple(
            Door("", _decoy_address(number), port)
            for number in range(addresses)
            for port in DECOY_PORTS
        )

    def decoy(self, name: str) -> str | None:
        """The name was looked up and is not granted: the address that it gets, if any is left."""
        if name not in self._decoys:
            if len(self._decoys) >= ASKED_MAX:
                self.overflow += 1
                return None
            self._decoys[name] = _decoy_address(len(self._decoys))
        number = list(self._decoys).index(name)
        return self._decoys[name] if number < _DECOYS_MAX else None

    def decoy_reached(self, door: Door) -> None:
        """Somebody connected to a decoy."""
        for name, address in self._decoys.items():
            if address == door.address:
                self._connected.add(name)
                self.tell_missing(Grant(GrantKind.NET, f"{name}:{door.port}"))

    @property
    def hosts_without_port(self) -> tuple[str, ...]:
        """Names that were looked up, and that no decoy was connected for."""
        return tuple(name for name in self._decoys if name not in self._connected)

    def _count(self, counts: dict[Grant, int], grant: Grant) -> None:
        if grant in counts or len(counts) < ASKED_MAX:
            counts[grant] = counts.get(grant, 0) + 1
        else:
            self.overflow += 1


def _decoy_address(number: int) -> str:
    return f"127.3.{number // 250}.{number % 250 + 1}"
