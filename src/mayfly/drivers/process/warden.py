"""The warden: the small root process beside a daemon that has given its rights up.

One thread, nothing but the standard library, nothing from the network. It serves one socket, whose
other end the daemon holds; a request is one message with the socket that its answer goes to:

    {"do": "build", "runtime": R}     make the file tree of a runtime that was named at the start
    {"do": "launch", "runtime": R}    start its launcher; answers its socket and a pidfd
    {"do": "memory", "pid": N}        two numbers, of a process below one of the launchers
    {"do": "remove", "folder": F}     remove a snapshot's cgroup, or the base of all

Anything else is refused. When the daemon's end closes, by death or by wish, the launchers see the
same; the warden waits until they have cleaned up, ends those that have not, and is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

from mayfly.drivers import rootfs
from mayfly.drivers.process import cgroups
from mayfly.drivers.process.charter import CHARTERED, Charter, is_snapshots
from mayfly.drivers.process.memory import memory_of
from mayfly.drivers.process.starting import start_launcher
from mayfly.model.errors import SnapshotFailed, StorageFailed
from mayfly.ports import RuntimeInfo

_TERMS_BYTES_MAX = 256 * 1024
REQUEST_BYTES_MAX = 4_096
_ANCESTORS_MAX = 16
_END_S = 7.0


class Refused(Exception):
    """What was asked is not among what there is to ask."""


class Warden:
    """The loop.

    Args:
        requests: Our end of the socket.
        charter: For every launcher.
        runtimes: Name to interpreter: those that were named at the start.
        data_fd: The data folder; the current folder is that of the trees.
    """

    def __init__(
        self,
        requests: socket.socket,
        *,
        charter: Charter,
        runtimes: dict[str, str],
        data_fd: int,
    ) -> None:
        self._requests = requests
        self._charter = charter
        self._runtimes = runtimes
        self._data_fd = data_fd
        self._launchers: set[int] = set()
        self._builders: set[int] = set()

    def run(self) -> None:
        """Serve until the daemon's end closes; then see the launchers out."""
        wake_read, wake_write = socket.socketpair()
        for end in (wake_read, wake_write):
            end.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Caught, not ignored: what is ignored stays so in the launchers and below them.
            signal.signal(number, lambda _number, _frame: None)
        waiting = select.poll()
        waiting.register(self._requests, select.POLLIN)
        waiting.register(wake_read, select.POLLIN)
        while True:
            for fd, _events in waiting.poll():
                if fd == self._requests.fileno():
                    data, fds, _flags, _address = socket.recv_fds(
                        self._requests, REQUEST_BYTES_MAX + 1, 4
                    )
                    if not data:
                        self._end()
                    self._serve(data, fds)
                else:
                    wake_read.recv(4096)
                    self._reap()

    def _serve(self, data: bytes, fds: list[int]) -> None:
        reply, others = fds[:1], fds[1:]
        for fd in others:
            os.close(fd)
        if not reply:
            return
        try:
            answer_to = socket.socket(fileno=reply[0])
        except OSError:
            os.close(reply[0])
            return
        with answer_to:
            if others or len(data) > REQUEST_BYTES_MAX:
                _answer(answer_to, {"refused": "a request is one short message with one socket"})
                return
            try:
                self._obey(data, answer_to)
            except Refused as refusal:
                _answer(answer_to, {"refused": str(refusal)})
            except OSError as error:
                _answer(answer_to, {"failed": str(error)})

    def _obey(self, data: bytes, answer_to: socket.socket) -> None:
        match _parsed(data):
            case {"do": "build", "runtime": str(name), **rest} if not rest:
                self._build(self._runtime(name), answer_to)
            case {"do": "launch", "runtime": str(name), **rest} if not rest:
                self._launch(self._runtime(name), answer_to)
            case {"do": "memory", "pid": int(pid), **rest} if not rest:
                _answer(answer_to, {"ok": self._memory(pid)})
            case {"do": "remove", "folder": str(folder), **rest} if not rest:
                _answer(answer_to, {"ok": self._remove(folder)})
            case _:
                raise Refused("no such request")

    def _runtime(self, name: str) -> RuntimeInfo:
        executable = self._runtimes.get(name)
        if executable is None:
            raise Refused("a runtime that was not named at the start")
        return RuntimeInfo(name, Path(executable), name.removeprefix("python"))

    def _build(self, runtime: RuntimeInfo, answer_to: socket.socket) -> None:
        """In a child, so that nobody waits for the disk."""
        pid = os.fork()
        if pid:
            self._builders.add(pid)
            return
        signal.set_wakeup_fd(-1)
        try:
            tree = rootfs.build(runtime, Path())
            _answer(answer_to, {"ok": tree.name})
        except StorageFailed as error:
            _answer(answer_to, {"failed": str(error), "errno": error.errno, "site": error.site})
        except SnapshotFailed as error:
            _answer(answer_to, {"failed": str(error)})
        finally:
            os._exit(0)

    def _launch(self, runtime: RuntimeInfo, answer_to: socket.socket) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            socket.send_fds(ours, [self._charter.encode()], [self._data_fd])
            pid = start_launcher(str(runtime.executable), theirs, CHARTERED).pid
            # Nobody has waited for it yet, so the number is its own.
            pidfd = os.pidfd_open(pid)
            self._launchers.add(pid)
            try:
                _answer(answer_to, {"ok": pid}, [ours.fileno(), pidfd])
            finally:
                os.close(pidfd)

    def _memory(self, pid: int) -> list[int]:
        """Of a process below a launcher, through its keeper."""
        above, steps = pid, 0
        while above > 1 and above not in self._launchers and steps < _ANCESTORS_MAX:
            above, steps = _parent(above), steps + 1
        if above not in self._launchers or above == pid:
            raise Refused("not a process of a sandbox")
        use = memory_of(pid)
        return [use.private_kib, use.proportional_kib]

    def _remove(self, folder: str) -> bool:
        if folder in self._charter.cgroup_bases.values() or is_snapshots(folder, self._charter):
            return cgroups.remove(folder)
        raise Refused("not a cgroup of ours")

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._launchers.discard(pid)
                self._builders.discard(pid)

    def _end(self) -> NoReturn:
        for pid in self._builders:
            # Nobody waits for its tree any more; what it leaves is swept at the next start.
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _END_S  # noqa: TID251 - no clock is handed in here
        while (self._launchers or self._builders) and time.monotonic() < deadline:  # noqa: TID251
            time.sleep(0.01)  # noqa: TID251
            self._reap()
        for pid in self._launchers:
            # Not reaped yet, so the number is still its own.
            os.kill(pid, signal.SIGKILL)
        for base in self._charter.cgroup_bases.values():
            # Launchers remove what they have made; where none made a snapshot, this is left. Not
            # empty when the next daemon uses it.
            with contextlib.suppress(OSError):
                Path(base).rmdir()
        os._exit(0)


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def _answer(to: socket.socket, document: dict[str, object], fds: list[int] | None = None) -> None:
    """Whoever does not take it has it not; the warden waits for nobody."""
    with contextlib.suppress(OSError):
        socket.send_fds(to, [json.dumps(document).encode()], fds or [], socket.MSG_DONTWAIT)


def main() -> None:
    """Serve the socket whose number is the first argument, by the terms that come first."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.set_inheritable(False)
    data, (data_fd, trees_fd), _flags, _address = socket.recv_fds(requests, _TERMS_BYTES_MAX, 2)
    terms = json.loads(data)
    os.fchdir(trees_fd)
    os.close(trees_fd)
    rootfs.sweep(Path())
    Warden(
        requests,
        charter=Charter(**terms["charter"]),
        runtimes=terms["runtimes"],
        data_fd=data_fd,
    ).run()
