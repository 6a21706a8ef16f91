"""One function's log files: appended to, rotated by size, read from the end.

    ROOT/<function>/0.log    the newest, appended to until it has FILE_BYTES_MAX
    ROOT/<function>/1.log .. 3.log    older and older; the oldest is deleted when 0 is full

Blocks; threads of the log store call it. Not synced: after a crash of the machine the newest
lines may be gone, after a crash of the platform they are there. A line that was cut off in the
middle is ended before the next one is written, and passed over when it is read.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from mayfly.backends.files.log_lines import parsed
from mayfly.backends.files.sites import Site
from mayfly.model import limits
from mayfly.ports import LogLine, Sites

FILE_BYTES_MAX = 16 * limits.MIB
FILES_MAX = 4
_BLOCK_BYTES = 64 * limits.KIB
# Lines are in order of arrival, and a clock may jump: so many old ones in a row end the search.
_OLD_IN_A_ROW_MAX = 1_000


class LogFiles:
    """The log files of all functions.

    Args:
        root: Made when the first line is written.
    """

    def __init__(self, root: Path, *, file_bytes_max: int, sites: Sites) -> None:
        self._root = root
        self._file_bytes_max = file_bytes_max
        self._sites = sites
        # Held while names change and while a reader opens them all, so that it meets each once.
        self._names = threading.Lock()

    def append(self, function_name: str, data: bytes) -> None:
        """Write whole lines at the end. Raises OSError; a part may have been written."""
        self._sites(Site.LOG_WRITE)
        folder = self._root / function_name
        fd = self._opened(folder)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data
            while data:
                data = data[os.write(fd, data) :]
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if size >= self._file_bytes_max:
            self._rotate(folder)

    def read(self, function_name: str, *, since_ms: float, count_max: int) -> list[LogLine]:
        """The newest lines at or after `since_ms`, oldest first. Raises OSError."""
        self._sites(Site.LOG_READ)
        found: list[LogLine] = []
        old_in_a_row = 0
        if count_max <= 0:
            return found
        for line in self._backwards(function_name):
            if line.when_ms >= since_ms:
                found.append(line)
                old_in_a_row = 0
            else:
                old_in_a_row += 1
            # Before the next line is asked for: it may lie far away.
            if len(found) == count_max or old_in_a_row == _OLD_IN_A_ROW_MAX:
                break
        return found[::-1]

    def forget(self, function_name: str) -> None:
        """Delete a function's files. Raises OSError."""
        self._sites(Site.LOG_FORGET)
        with self._names:
            shutil.rmtree(self._root / function_name, ignore_errors=False, onerror=_unless_gone)

    def _opened(self, folder: Path) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(folder / "0.log", flags, 0o600)
        except FileNotFoundError:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(folder / "0.log", flags, 0o600)

    def _rotate(self, folder: Path) -> None:
        self._sites(Site.LOG_ROTATE)
        with self._names:
            for number in reversed(range(FILES_MAX - 1)):
                older = folder / f"{number}.log"
                if older.exists():
                    older.rename(folder / f"{number + 1}.log")

    def _backwards(self, function_name: str) -> Iterator[LogLine]:
        """Every line, the newest first."""
        with ExitStack() as opened:
            for fd in self._open_all(self._root / function_name, opened):
                for line in _lines_backwards(fd):
                    found = parsed(line)
                    if found is not None:
                        yield found

    def _open_all(self, folder: Path, opened: ExitStack) -> Sequence[int]:
        fds: list[int] = []
        with self._names:
            for number in range(FILES_MAX):
                try:
                    fd = os.open(folder / f"{number}.log", os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue
                opened.callback(os.close, fd)
                fds.append(fd)
        return fds


def _lines_backwards(fd: int) -> Iterator[bytes]:
    """Whole lines, the last first; what stands behind the last LF is cut off and left out."""
    at = os.fstat(fd).st_size
    rest, cut_off = b"", True
    while at > 0:
        start = max(0, at - _BLOCK_BYTES)
        first, *whole = (os.pread(fd, at - start, start) + rest).split(b"\n")
        if whole and cut_off:
            whole.pop()
            cut_off = False
        yield from reversed(whole)
        rest, at = first, start
    if not cut_off:
        yield rest


def _unless_gone(_: object, __: str, error: tuple[type, BaseException, object]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
