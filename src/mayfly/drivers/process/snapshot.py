"""The snapshot: the tenant's handler imported once, inside the seal, and the fork that copies it.

From the first line of the tenant's import this process is as untrusted as the tenant. It is asked
for a copy over a socket by its keeper, which is not (`keeper`):

    keeper --(channel, log)--> snapshot --clone--> isolate, a child of the keeper
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
from types import ModuleType
from typing import Any, NoReturn

from mayfly.drivers.process import syscalls

ISOLATE_FLAGS = (
    syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS | syscalls.CLONE_PARENT | syscalls.SIGCHLD
)
# Far above what programs number themselves, below RLIMIT_NOFILE: a handler that closes 0 to 9
# keeps its channel.
_CHANNEL_FD_MIN = 1000
BORN = struct.Struct("<i")
_REHEARSALS = 2
# Modules whose fork hooks only repair locks that other threads could hold.
_LOCK_REPAIRERS = frozenset({"threading", "logging", "concurrent.futures.thread", "weakref"})

_ForkHooks = dict[str, Any]


def record_fork_hooks() -> list[_ForkHooks]:
    """Take `os.register_at_fork` over, so that a snapshot decides which hooks its forks run.

    Called before random, threading and logging are imported: with one thread their hooks do
    nothing but touch pages.
    """
    recorded: list[_ForkHooks] = []

    def register(**hooks: Any) -> None:  # noqa: ANN401 - the standard library's signature
        recorded.append(hooks)

    os.register_at_fork = register
    return recorded


def run(
    guest: ModuleType, hooks: list[_ForkHooks], *, tenant: socket.socket, keeper: socket.socket
) -> NoReturn:
    """Import the handler as the CONFIG frame says, then make isolates until the keeper closes."""
    tenant, keeper = _lift(tenant), _lift(keeper)
    kind, body = guest.read_frame(tenant)
    if kind != guest.CONFIG:
        os._exit(0)
    config = guest.json.loads(bytes(body))
    for name in [n for n in sys.modules if n == "mayfly" or n.startswith("mayfly.")]:
        del sys.modules[name]
    guest.open_log_streams()
    function = guest.Function()
    failure = function.load(config)
    guest.flush()
    guest.settle()
    guest.write_frame(tenant, guest.IMPORTED, guest.to_json(failure))
    if failure is None:
        _Maternity(guest, function, hooks, config, tenant, keeper).work()
    os._exit(0)


def _lift(sock: socket.socket) -> socket.socket:
    fd = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, _CHANNEL_FD_MIN)
    lifted = socket.socket(sock.family, sock.type, sock.proto, fileno=fd)
    sock.close()
    return lifted


class _Maternity:
    """The loop that forks. All that a birth needs is made ready before the first."""

    def __init__(
        self,
        guest: ModuleType,
        function: Any,  # noqa: ANN401 - guest code is untyped: it runs on old Pythons
        hooks: list[_ForkHooks],
        config: dict[str, Any],
        tenant: socket.socket,
        keeper: socket.socket,
    ) -> None:
        self._guest = guest
        self._function = function
        self._reuse = config["reuse"]
        self._tenant = tenant
        self._keeper = keeper
        self._one_thread = len(os.listdir("/proc/self/task")) == 1
        self._hooks = [h for h in hooks if not self._one_thread or not _repairs_locks(h)]

    def work(self) -> None:
        while True:
            data, fds, _flags, _address = socket.recv_fds(self._keeper, 1, 2)
            if not data:
                return
            channel_fd, log_fd = fds
            try:
                pid = self._fork()
            except OSError as error:
                pid = -(error.errno or errno.EAGAIN)
            if pid == 0:
                self._live(channel_fd, log_fd)
            os.close(channel_fd)
            os.close(log_fd)
            self._keeper.send(BORN.pack(pid))

    def _fork(self) -> int:
        for hook in reversed(self._hooks):
            if hook.get("before"):
                hook["before"]()
        fork = syscalls.fork_bare if self._one_thread else syscalls.fork_into
        pid = fork(ISOLATE_FLAGS)
        side = "after_in_child" if pid == 0 else "after_in_parent"
        for hook in self._hooks:
            if hook.get(side):
                hook[side]()
        return pid

    def _live(self, channel_fd: int, log_fd: int) -> NoReturn:
        code = 0
        try:
            os.dup2(log_fd, 1)
            os.dup2(log_fd, 2)
            os.close(log_fd)
            self._tenant.close()
            os.dup2(channel_fd, self._keeper.fileno(), inheritable=False)
            os.close(channel_fd)
            channel = socket.socket(
                socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=self._keeper.detach()
            )
            self._wait_then_serve(channel)
        except SystemExit as error:
            code = self._guest.exit_code(error)
        except BaseException:  # noqa: BLE001 - the end of a process: nobody is above to handle it
            code = 1
        self._guest.flush()
        os._exit(code)

    def _wait_then_serve(self, channel: socket.socket) -> None:
        guest, function = self._guest, self._function
        kind, _body = guest.read_frame(channel)
        if kind != guest.GO:
            return
        syscalls.keep_capabilities()
        guest.reseed()
        guest.rehearse(_REHEARSALS)
        guest.write_frame(channel, guest.READY)
        if function.script:
            guest.run_script(channel, function.script)
            return
        while guest.serve_one(channel, function.handler) and self._reuse:
            pass


def _repairs_locks(hook: _ForkHooks) -> bool:
    """Whether a hook only repairs locks, or reseeds `random`, which the guest does anyway."""
    return all(
        getattr(callback, "__module__", None) in _LOCK_REPAIRERS
        or type(getattr(callback, "__self__", None)).__name__ in ("Random", "lock", "RLock")
        for callback in hook.values()
        if callback is not None
    )
