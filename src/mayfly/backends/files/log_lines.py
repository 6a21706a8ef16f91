"""A log file's format, and how output that comes in pieces becomes lines. Pure.

    <unix_ms> TAB <request_id> TAB <text> LF      text is UTF-8 without LF

Each call's output is joined on its own until its LF: two calls that print at once do not mix
within a line. What waits for its LF is bounded in number and in length.
"""

from __future__ import annotations

from collections.abc import Iterator

from mayfly.model import limits
from mayfly.ports import LogLine

LINE_BYTES_MAX = 64 * limits.KIB
OPEN_MAX = 1_024

# Function and request: whose output it is.
Source = tuple[str, str]


def written(line: LogLine) -> bytes:
    """The line as it stands in a file."""
    return f"{line.when_ms}\t{line.request_id}\t{line.text}\n".encode()


def parsed(line: bytes) -> LogLine | None:
    """A line of a file without its LF; None when a crash or a stranger left something else."""
    when, _, rest = line.decode(errors="replace").partition("\t")
    request_id, tab, text = rest.partition("\t")
    if not tab or not when.isascii() or not when.isdigit() or len(when) > 20:
        return None
    return LogLine(int(when), request_id, text)


class _Beginning:
    """A line that waits for its end."""

    __slots__ = ("begun_s", "data", "when_ms")

    def __init__(self, when_ms: float, begun_s: float) -> None:
        self.when_ms = when_ms
        self.begun_s = begun_s
        self.data = bytearray()


class LineJoiner:
    """Makes lines of pieces. A line has the time of its first piece."""

    def __init__(self) -> None:
        self._open: dict[Source, _Beginning] = {}
        # Whose line was ended ahead of its LF: when that comes, it ends nothing more.
        self._ended_early: dict[Source, None] = {}

    @property
    def has_open(self) -> bool:
        """Whether some line waits for its end."""
        return bool(self._open)

    def feed(
        self, source: Source, data: bytes, *, when_ms: float, now_s: float
    ) -> Iterator[LogLine]:
        """Take a piece of a source's output; the lines that it ends.

        Args:
            now_s: Monotonic; `close_older` goes by it.
        """
        *ends, rest = data.split(b"\n")
        if source in self._ended_early:
            del self._ended_early[source]
            ends = ends[1:] if ends[:1] == [b""] else ends
        for end in ends:
            begun = self._open.pop(source, None) or _Beginning(when_ms, now_s)
            begun.data += end
            yield from _cut(source, begun)
        if rest:
            begun = self._open.setdefault(source, _Beginning(when_ms, now_s))
            begun.data += rest
            if len(begun.data) >= LINE_BYTES_MAX:
                del self._open[source]
                yield from _cut(source, begun)

    def close_beyond(self, count_max: int) -> Iterator[tuple[Source, LogLine]]:
        """End the oldest lines that wait, until at most `count_max` do."""
        while len(self._open) > count_max:
            yield from self._end_early(next(iter(self._open)))

    def close_older(self, begun_before_s: float) -> Iterator[tuple[Source, LogLine]]:
        """End the lines that were begun before this monotonic time."""
        # In order of their beginning: the first that is young ends the search.
        for source, begun in list(self._open.items()):
            if begun.begun_s >= begun_before_s:
                return
            yield from self._end_early(source)

    def _end_early(self, source: Source) -> Iterator[tuple[Source, LogLine]]:
        if len(self._ended_early) == OPEN_MAX:
            del self._ended_early[next(iter(self._ended_early))]
        self._ended_early[source] = None
        for line in _cut(source, self._open.pop(source)):
            yield source, line

    def forget(self, function_name: str) -> None:
        """Drop a function's unfinished lines."""
        for sources in (self._open, self._ended_early):
            for source in [source for source in sources if source[0] == function_name]:
                del sources[source]


def _cut(source: Source, begun: _Beginning) -> Iterator[LogLine]:
    """A finished line; several when it is over the bound."""
    data = bytes(begun.data.removesuffix(b"\r"))
    for at in range(0, len(data) or 1, LINE_BYTES_MAX):
        text = data[at : at + LINE_BYTES_MAX].decode(errors="replace")
        yield LogLine(int(begun.when_ms), source[1], text)
