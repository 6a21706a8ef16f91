"""How much of the network one function may take: connections at once and a second, bytes a second.

    bucket of tokens, filled at a rate, a second's worth deep: who takes more than is there waits

What is beyond a rate waits and is not lost: a connection is admitted later, a block of bytes is
passed on later and nothing is read behind it, so that TCP holds the sender. Only what is beyond
the connections at once is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from mayfly.drivers.egress.resolve import AddressRefused
from mayfly.ports import Clock
from mayfly.telemetry import EgressMetrics

_LINES_AT_ONCE = 10
_LINES_PER_S = 0.2


@dataclass(frozen=True, slots=True)
class NetLimits:
    """Bounds of one function's doors together, whatever its snapshots; 0 is none."""

    connections_max: int = 512
    connections_per_s_max: int = 200
    bytes_per_s_max: int = 67_108_864


class Bucket:
    """Tokens that come back at a rate."""

    def __init__(self, per_s: float, clock: Clock, *, deep: float | None = None) -> None:
        self._per_s = per_s
        self._deep = per_s if deep is None else deep
        self._clock = clock
        self._tokens = self._deep
        self._filled_s = clock.monotonic_s()

    def take(self, count: float) -> float:
        """Take tokens, also those that are not there yet; how long to wait for them, seconds."""
        if not self._per_s:
            return 0.0
        self._fill()
        self._tokens -= count
        return max(0.0, -self._tokens / self._per_s)

    def has_one(self) -> bool:
        """Take a token if there is one."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _fill(self) -> None:
        now_s = self._clock.monotonic_s()
        self._tokens = min(self._deep, self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s


class Allowance:
    """What one function has left of its limits; shared by all doors of its snapshots."""

    def __init__(self, net_limits: NetLimits, metrics: EgressMetrics, clock: Clock) -> None:
        self.metrics = metrics
        self._limits = net_limits
        self._clock = clock
        self._connected = 0
        self._connections = Bucket(net_limits.connections_per_s_max, clock)
        self._bytes = Bucket(net_limits.bytes_per_s_max, clock)
        self._lines = Bucket(_LINES_PER_S, clock, deep=_LINES_AT_ONCE)

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Hold one of the connections at once.

        Raises:
            AddressRefused: There are as many as there may be.
        """
        bound = self._limits.connections_max
        if bound and self._connected >= bound:
            raise AddressRefused(f"more than {bound} connections at once (net_connections_max)")
        self._connected += 1
        try:
            yield
        finally:
            self._connected -= 1

    async def admit(self) -> None:
        """Wait until one more connection is within the rate."""
        await self._hold(self._connections.take(1))

    async def pass_bytes(self, count: int) -> None:
        """Wait until so many bytes are within the rate."""
        await self._hold(self._bytes.take(count))

    def may_log(self) -> bool:
        """Whether a failure of this function is worth a line: it can make as many as it likes."""
        return self._lines.has_one()

    async def _hold(self, seconds: float) -> None:
        if seconds:
            self.metrics.held_s += seconds
            await self._clock.sleep(seconds)
