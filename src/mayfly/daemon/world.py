"""The one door to real time and identity: the ports `Clock` and `Ids` on this machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import time

_LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"


class RealClock:
    """Port `Clock` on this machine's clocks."""

    def now_ms(self) -> float:
        """Wall-clock time, Unix milliseconds."""
        return time.time() * 1000  # noqa: TID251 - the one door to real time

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()  # noqa: TID251 - the one door to real time

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class RealIds:
    """Port `Ids` on the kernel's randomness.

    UUIDs are cut from a buffer of random digits, as the hot path takes one for each call.
    """

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def uuid(self) -> str:
        """A random UUID (RFC 9562, version 4)."""
        if self._at >= len(self._pool):
            self._pool, self._at = os.urandom(4096).hex(), 0
        part = self._pool[self._at : self._at + 32]
        self._at += 32
        variant = "89ab"[int(part[16], 16) & 3]
        return f"{part[:8]}-{part[8:12]}-4{part[13:16]}-{variant}{part[17:20]}-{part[20:]}"

    def token(self, length: int) -> str:
        """Random characters of [a-z0-9]."""
        return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(length))
