"""The snapshot: the tenant's handler imported once, inside the seal, and the fork that copies it.

From the first line of the tenant's import this process is as untrusted as the tenant. It is asked
for a copy over a socket by its keeper, which is not (`keeper`):

    keeper --(channel, log, cgroup)--> snapshot --clone--> isolate, a child of the keeper
    keeper <-------pid-------- snapshot

The clone gives the isolate a pid and a mount namespace of its own. It waits there until the
keeper has put its /tmp, /proc and limits in place and says GO; then it gives up its last
capability, takes new randomness, rehearses, and says READY to the daemon.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from types import ModuleType

from mayfly.drivers.process import syscalls

ISOLATE_FLAGS = (
    syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS | syscalls.CLONE_PARENT | syscalls.SIGCHLD
)
# Far above what programs number themselves, below RLIMIT_NOFILE: a handler that closes 0 to 9
# keeps its channel.
_CHANNEL_FD_MIN = 1000
BORN = struct.Struct("<i")
_FDS_MAX = 8
_FD = struct.Struct("i")
_REHEARSALS = 2
# Modules whose fork hooks only repair locks that other threads could hold.
_LOCK_REPAIRERS = frozenset({"threading", "logging", "concurrent.futures.thread", "weakref"})

_ForkHooks = dict[str, Callable[[], object] | None]


def record_fork_hooks() -> list[_ForkHooks]:
    """Take `os.register_at_fork` over, so that a snapshot decides which hooks its forks run.

    Called before random, threading and logging are imported: with one thread their hooks do
    nothing but touch pages.
    """
    recorded: list[_ForkHooks] = []

    def register(**hooks: Callable[[], object] | None) -> None:
        recorded.append(hooks)

    setattr(os, "register_at_fork", register)  # noqa: B010 - its place, not its type, is kept
    return recorded


def run(
    guest: ModuleType,
    hooks: list[_ForkHooks],
    *,
    tenant: socket.socket,
    keeper: socket.socket,
    own_user: bool,
) -> None:
    """Import the handler as the CONFIG frame says, then make isolates until the keeper closes.

    Ends the process. With `own_user` each isolate gets a user namespace as well.
    """
    tenant_fd, keeper = _lift(tenant.detach()), _lift_socket(keeper)
    kind, body = guest.read_frame(tenant_fd)
    if kind != guest.CONFIG:
        os._exit(0)
    config = guest.json.loads(body)
    for name in [n for n in sys.modules if n == "mayfly" or n.startswith("mayfly.")]:
        del sys.modules[name]
    guest.open_log_streams()
    function = guest.Function()
    failure = function.load(config)
    guest.flush()
    guest.settle()
    guest.write_frame(tenant_fd, guest.IMPORTED, guest.to_json(failure))
    if failure is None:
        flags = ISOLATE_FLAGS | (syscalls.CLONE_NEWUSER if own_user else 0)
        maternity = _Maternity(guest, function, hooks, tenant_fd, keeper, flags)
        maternity.work(reuse=bool(config["reuse"]))
    os._exit(0)


def _lift(fd: int) -> int:
    lifted = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CHANNEL_FD_MIN)
    os.close(fd)
    return lifted


def _lift_socket(sock: socket.socket) -> socket.socket:
    family, kind = sock.family, sock.type
    return socket.socket(family, kind, 0, fileno=_lift(sock.detach()))


class _Maternity:
    """The loop that forks. All that a birth needs is made ready before the first."""

    def __init__(
        self,
        guest: ModuleType,
        function: object,
        hooks: list[_ForkHooks],
        tenant_fd: int,
        keeper: socket.socket,
        flags: int,
    ) -> None:
        self._flags = flags
        self._guest = guest
        self._function = function
        self._tenant_fd = tenant_fd
        self._keeper = keeper
        one_thread = len(os.listdir("/proc/self/task")) == 1
        self._fork_bare = syscalls.fork_bare if one_thread else syscalls.fork_into
        self._hooks = [h for h in hooks if not one_thread or not _repairs_locks(h)]
        self._drop_capabilities = syscalls.prepared_capabilities()
        self._folder = os.getcwd()

    def work(self, *, reuse: bool) -> None:
        """Fork whenever the keeper asks; returns when it has closed."""
        receive, send = self._keeper.recvmsg, self._keeper.send
        room = socket.CMSG_SPACE(_FDS_MAX * _FD.size)
        while True:
            data, ancillary, _flags, _address = receive(1, room)
            if not data:
                return
            fds = [fd for (fd,) in _FD.iter_unpack(ancillary[0][2])]
            try:
                pid = self._fork()
            except OSError as error:
                pid = -(error.errno or errno.EAGAIN)
            if pid == 0:
                self._live(*fds, reuse=reuse)
            for fd in fds:
                os.close(fd)
            send(BORN.pack(pid))

    def _fork(self) -> int:
        if not self._hooks:
            return self._fork_bare(self._flags)
        self._run_hooks("before")
        pid = self._fork_bare(self._flags)
        self._run_hooks("after_in_child" if pid == 0 else "after_in_parent")
        return pid

    def _run_hooks(self, when: str) -> None:
        for hooks in reversed(self._hooks) if when == "before" else self._hooks:
            hook = hooks.get(when)
            if hook is not None:
                hook()

    def _live(self, channel_fd: int, log_fd: int, *cgroup_fds: int, reuse: bool) -> None:
        """In the isolate, for the rest of its life."""
        code = 0
        try:
            for fd in cgroup_fds:
                os.write(fd, b"0")
                os.close(fd)
            channel = self._keeper.fileno()
            os.dup2(log_fd, 1)
            os.dup2(log_fd, 2)
            os.close(log_fd)
            os.close(self._tenant_fd)
            os.dup2(channel_fd, channel, inheritable=False)
            os.close(channel_fd)
            self._wait_then_serve(channel, reuse=reuse)
        except SystemExit as error:
            code = self._guest.exit_code(error)
        except BaseException:  # noqa: BLE001 - the end of a process: nobody is above to handle it
            code = 1
        self._guest.flush()
        os._exit(code)

    def _wait_then_serve(self, channel: int, *, reuse: bool) -> None:
        guest, function = self._guest, self._function
        kind, _body = guest.read_frame(channel)
        if kind != guest.GO:
            return
        self._drop_capabilities()
        self._enter_folder()
        guest.reseed()
        guest.rehearse(_REHEARSALS)
        guest.write_frame(channel, guest.READY)
        script = getattr(function, "script", None)
        if script:
            guest.run_script(channel, script)
            return
        handler = getattr(function, "handler", None)
        while guest.serve_one(channel, channel, handler) and reuse:
            pass

    def _enter_folder(self) -> None:
        """Where the import left off, by its path: below /tmp it is this isolate's own now."""
        try:
            os.chdir(self._folder)
        except OSError:
            os.chdir("/tmp")


def _repairs_locks(hook: _ForkHooks) -> bool:
    """Whether a hook only repairs locks, or reseeds `random`, which the guest does anyway."""
    return all(
        getattr(callback, "__module__", None) in _LOCK_REPAIRERS
        or type(getattr(callback, "__self__", None)).__name__ in ("Random", "lock", "RLock")
        for callback in hook.values()
        if callback is not None
    )
