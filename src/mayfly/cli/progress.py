"""What a person sees while something takes longer than half a second.

    with Progress("deploying hello") as progress:
        progress.step("installing requirements")

Drawn on stderr, on one line that is wiped at the end, only when stderr is a terminal; a script's
output stays clean. Without Rich: its import takes longer than most of what is waited for.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from mayfly.cli import clock

_PATIENCE_S = 0.5
_FRAME_S = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Progress:
    """A spinner with the present step and the time since the start."""

    def __init__(self, title: str) -> None:
        self._text = title
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self, text: str) -> None:
        """Say what is being done now."""
        self._text = text

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Wipe the line, before other output; harmless when it was ended."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _draw(self) -> None:
        started_s = clock.monotonic_s()
        if self._over.wait(_PATIENCE_S):
            return
        frame = 0
        while True:
            elapsed_s = clock.monotonic_s() - started_s
            sign = _FRAMES[frame % len(_FRAMES)]
            sys.stderr.write(f"\r\x1b[2K{sign} {self._text} ({elapsed_s:.1f} s)")
            sys.stderr.flush()
            frame += 1
            if self._over.wait(_FRAME_S):
                break
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
