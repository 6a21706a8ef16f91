"""How much each function may print, over time: what is beyond is dropped, counted and told. Pure.

    room grows by `log_bytes_per_s_max` and `log_lines_per_s_max`, up to `log_burst_s` of each;
    once it is spent nothing is kept until a second's worth is there again: few gaps, each told

A line costs the log more than its bytes: a flood of empty lines is bounded by their number. What
the platform itself writes (START, END, REPORT, notices) needs no room, so that no flood hides it.
"""

from __future__ import annotations

from mayfly.engine.bounds import EngineLimits

_FUNCTIONS_MAX = 1_024


class _Room:
    """What one function may print now."""

    __slots__ = ("bytes_left", "is_spent", "lines_left", "when_s")

    def __init__(self, bytes_left: float, lines_left: float, when_s: float) -> None:
        self.bytes_left = bytes_left
        self.lines_left = lines_left
        self.when_s = when_s
        self.is_spent = False


class LogQuotas:
    """Every function's room, by its name.

    Args:
        limits: The three bounds above.
    """

    def __init__(self, limits: EngineLimits) -> None:
        self._bytes_per_s = limits.log_bytes_per_s_max
        self._lines_per_s = limits.log_lines_per_s_max
        self._burst_s = limits.log_burst_s
        # The one that printed longest ago first.
        self._rooms: dict[str, _Room] = {}

    def admit(self, function_name: str, data: bytes, now_s: float) -> bytes:
        """The beginning of `data` that may be kept; it is then used up.

        Args:
            function_name: Whose output it is.
            data: What was printed.
            now_s: Monotonic seconds.
        """
        room = self._room(function_name, now_s)
        if room.is_spent:
            return b""
        kept = data if len(data) <= room.bytes_left else data[: int(room.bytes_left)]
        lines = kept.count(b"\n")
        if lines > room.lines_left:
            lines = int(room.lines_left)
            kept = b"".join(line + b"\n" for line in kept.split(b"\n", lines)[:lines])
        room.bytes_left -= len(kept)
        room.lines_left -= lines
        room.is_spent = len(kept) < len(data)
        return kept

    def _room(self, function_name: str, now_s: float) -> _Room:
        bytes_max, lines_max = self._bytes_per_s * self._burst_s, self._lines_per_s * self._burst_s
        room = self._rooms.pop(function_name, None)
        if room is None:
            room = _Room(bytes_max, lines_max, now_s)
            self._forget_the_rested(now_s)
        elapsed_s = now_s - room.when_s
        room.bytes_left = min(bytes_max, room.bytes_left + elapsed_s * self._bytes_per_s)
        room.lines_left = min(lines_max, room.lines_left + elapsed_s * self._lines_per_s)
        room.when_s = now_s
        if room.is_spent:
            ready_s = min(1.0, self._burst_s)
            room.is_spent = (
                room.bytes_left < self._bytes_per_s * ready_s
                or room.lines_left < self._lines_per_s * ready_s
            )
        self._rooms[function_name] = room
        return room

    def _forget_the_rested(self, now_s: float) -> None:
        """One that has printed nothing for a burst's time has all of its room again."""
        while len(self._rooms) >= _FUNCTIONS_MAX:
            name, room = next(iter(self._rooms.items()))
            if now_s - room.when_s < self._burst_s:
                return
            del self._rooms[name]
