"""The tracer of a recording: sees each system call of a snapshot and its isolates, changes none.

A child of the keeper, in recordings only (`Plan.trace`). It takes hold of the snapshot before the
seal, and the kernel hands it every process that comes of it (ptrace(2), PTRACE_O_TRACECLONE):

    snapshot, isolates --system call--> stopped --tracer looks--> on they go, filter and all
    tracer --Y {"files", "calls", ...}--> daemon     before a written byte leaves the sandbox

What is told are new numbers of calls and new paths that were opened, from the moment that the
filter is in force. Where tracing is refused it says so, and the snapshot runs untraced.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct

from mayfly.drivers.process import syscalls

TRACED = b"Y"
MESSAGE_BYTES_MAX = 8_192
_BATCH_BYTES_MAX = 3_500
_FILES_MAX = 20_000
_PATH_BYTES_MAX = 512
_WORD = 8
_SEIZE, _SYSCALL, _LISTEN = 0x4206, 24, 0x4208
# SYSGOOD, FORK, VFORK, CLONE, EXEC, EXITKILL: who is traced dies with the tracer.
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x0010_0000
_WAIT_ALL = 0x4000_0000
_EVENT_STOP = 128
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_CALL_STOP = signal.SIGTRAP | 0x80
_ENTRY, _EXIT = 1, 2
# op, pad, arch, ip, sp, then nr and six arguments, or the result and whether it is an error.
_INFO = struct.Struct("<B3xIQQ7q")
_RESULT = struct.Struct("<B3xIQQqB")
_AT_FDCWD = -100
_HEADER = struct.Struct("<cIi")
# By number: which argument is the path, and which the folder's descriptor, -1 where there is none.
_OPENS = {
    "x86_64": {2: (0, -1), 59: (0, -1), 257: (1, 0), 322: (1, 0), 437: (1, 0)},
    "aarch64": {56: (1, 0), 221: (0, -1), 281: (1, 0), 437: (1, 0)},
}.get(syscalls.ARCHITECTURE, {})
# seccomp; what writes, closes or ends.
_FILTER = {"x86_64": 317, "aarch64": 277}.get(syscalls.ARCHITECTURE, -1)
_OUTWARD = {
    "x86_64": frozenset({1, 20, 44, 46, 3, 60, 231}),
    "aarch64": frozenset({64, 66, 206, 211, 57, 93, 94}),
}.get(syscalls.ARCHITECTURE, frozenset())


def start(pid: int, control: socket.socket, go: int, others: list[int]) -> None:
    """Fork the tracer of the process `pid`, which waits until a byte is written to `go`.

    Args:
        control: To the daemon; shared with the keeper, whose messages stay whole (SOCK_SEQPACKET).
        others: Descriptors that the tracer must not hold.
    """
    if os.fork() == 0:
        try:
            for fd in others:
                os.close(fd)
            _Tracer(pid, control).run(go)
        finally:
            os._exit(0)
    os.close(go)


def await_tracer(go: int) -> None:
    """In the snapshot: wait until it is traced, or until it is known that it cannot be."""
    # Yama lets only ancestors trace, unless it is told otherwise; the filter refuses ptrace inside.
    with contextlib.suppress(OSError):
        syscalls.prctl(syscalls.PR_SET_PTRACER, syscalls.PTRACER_ANY)
    os.read(go, 1)
    os.close(go)


class _Tracer:
    """The loop. What is new is kept until something may leave the sandbox, then told."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self._snapshot = pid
        self._control = control
        self._recording = False
        self._calls: set[int] = set()
        self._files: set[str] = set()
        self._new_calls: list[int] = []
        self._new_files: list[str] = []
        self._new_bytes = 0
        self._alive = {pid}
        self._inside: dict[int, tuple[int, str]] = {}
        self._tasks_max = 0
        self._tmp_max = 0
        self._told = (0, 0)

    def run(self, go: int) -> None:
        try:
            syscalls.ptrace(_SEIZE, self._snapshot, 0, _OPTIONS)
            syscalls.ptrace(syscalls.PTRACE_INTERRUPT, self._snapshot, 0, 0)
            # Only once it stands under the tracer may it go on, or its first calls are missed.
            self._stopped(*os.waitpid(self._snapshot, _WAIT_ALL))
        except OSError as error:
            self._tell({"unavailable": os.strerror(error.errno or 0)})
            os.write(go, b"g")
            return
        os.write(go, b"g")
        os.close(go)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, _WAIT_ALL)
                if os.WIFSTOPPED(status):
                    self._stopped(pid, status)
                else:
                    self._alive.discard(pid)
                    self._inside.pop(pid, None)
        self._flush()

    def _stopped(self, pid: int, status: int) -> None:
        self._alive.add(pid)
        # The snapshot is no process of an isolate's.
        self._tasks_max = max(self._tasks_max, len(self._alive) - 1)
        number, event = os.WSTOPSIG(status), status >> 16
        request, give = _SYSCALL, 0
        # Killed meanwhile: the next wait says so.
        with contextlib.suppress(OSError):
            if number == _CALL_STOP:
                self._call(pid)
            elif event == _EVENT_STOP and number in _GROUP_STOPS:
                request = _LISTEN
            elif not event:
                give = number
            syscalls.ptrace(request, pid, 0, give)

    def _call(self, pid: int) -> None:
        info = syscalls.call_info(pid, _INFO.size)
        kind, _arch, _ip, _sp, number, *arguments = _INFO.unpack(info)
        if kind == _ENTRY:
            self._inside[pid] = (number, self._path(pid, number, arguments))
            self._entered(pid, number)
        elif kind == _EXIT:
            number, path = self._inside.pop(pid, (-1, ""))
            failed = _RESULT.unpack_from(info)[5]
            if number == _FILTER and not failed:
                self._recording = True
            if path and not failed:
                self._opened(path)

    def _entered(self, pid: int, number: int) -> None:
        if not self._recording:
            return
        if number not in self._calls and len(self._calls) < 1_000:
            self._calls.add(number)
            self._new_calls.append(number)
            self._new_bytes += 6
            self._flush_when_full()
        if number in _OUTWARD:
            if pid != self._snapshot:
                self._weigh(pid)
            self._flush()

    def _path(self, pid: int, number: int, arguments: list[int]) -> str:
        """The path that the call is given, from the root; "" where that is not clear."""
        place = _OPENS.get(number)
        if place is None or not self._recording:
            return ""
        path = _text(pid, arguments[place[0]])
        if path.startswith("/"):
            return os.path.normpath(path)
        folder = arguments[place[1]] & 0xFFFF_FFFF if place[1] >= 0 else _AT_FDCWD & 0xFFFF_FFFF
        if not path or folder != _AT_FDCWD & 0xFFFF_FFFF:
            return ""
        with contextlib.suppress(OSError):
            return os.path.normpath(os.path.join(os.readlink(f"/proc/{pid}/cwd"), path))
        return ""

    def _opened(self, path: str) -> None:
        if path in self._files or len(self._files) >= _FILES_MAX:
            return
        self._files.add(path)
        self._new_files.append(path)
        self._new_bytes += len(json.dumps(path))
        self._flush_when_full()

    def _weigh(self, pid: int) -> None:
        """How full the isolate's /tmp is now: looked at when a file is closed or written."""
        with contextlib.suppress(OSError):
            found = os.statvfs(os.path.join("/proc", str(pid), "root", "tmp"))
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            self._tmp_max = max(self._tmp_max, used)

    def _flush_when_full(self) -> None:
        if self._new_bytes > _BATCH_BYTES_MAX:
            self._flush()

    def _flush(self) -> None:
        if not self._new_bytes and self._told == (self._tasks_max, self._tmp_max):
            return
        self._told = (self._tasks_max, self._tmp_max)
        self._tell(
            {
                "files": self._new_files,
                "calls": self._new_calls,
                "tasks": self._tasks_max,
                "tmp": self._tmp_max,
            }
        )
        self._new_files, self._new_calls, self._new_bytes = [], [], 0

    def _tell(self, document: dict[str, object]) -> None:
        message = _HEADER.pack(TRACED, 0, 0) + json.dumps(document).encode()
        while True:
            try:
                self._control.send(message)
            except BlockingIOError:
                select.select([], [self._control], [])
            else:
                return


def _text(pid: int, address: int) -> str:
    """The string at an address of the traced process."""
    found = b""
    with contextlib.suppress(OSError):
        while len(found) < _PATH_BYTES_MAX:
            word = syscalls.peek(pid, address + len(found))
            found += word
            if b"\0" in word:
                return found.split(b"\0", 1)[0].decode("utf-8", "replace")
    return ""
