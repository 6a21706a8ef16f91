"""The daemon's end of the warden's socket (`Privilege`), and how root starts a warden.

Each request brings the socket that its answer comes back on, so that threads ask beside one
another and a slow answer keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mayfly.drivers.process import cgroups, seccomp, syscalls
from mayfly.drivers.process.charter import Charter
from mayfly.drivers.process.plan import CgroupPlan
from mayfly.drivers.process.privilege import Launcher, send_plan
from mayfly.drivers.process.starting import start_warden
from mayfly.model.errors import SnapshotFailed, StorageFailed
from mayfly.ports import MemoryUse, RuntimeInfo

_ANSWER_BYTES_MAX = 8_192
_ANSWER_S = 10.0
_BUILD_S = 120.0
_CLOSE_S = 6.0
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a warden is started for.

    Args:
        data: The data folder.
        trees: Where runtimes' trees are kept, below it, root's.
        service_uid: Who the daemon becomes.
        tag: Tells this data folder's cgroups from another's.
        runtimes: Name to interpreter.
    """

    data: Path
    trees: Path
    service_uid: int
    tag: str
    runtimes: Mapping[str, Path]


class WardenClient:
    """Asks the warden (port `Privilege`). Made by root, before it gives its rights up."""

    rootless = False

    def __init__(self, terms: Terms, data_fd: int, trees_fd: int) -> None:
        """Start a warden; whoever calls is root.

        Args:
            terms: What it is started for.
            data_fd: The data folder; the caller owns it.
            trees_fd: The folder of the trees; the caller owns it.
        """
        self._trees = terms.trees
        self.cgroup: CgroupPlan = cgroups.find(terms.tag)
        own_user = self.cgroup.version == 0
        charter = Charter(
            data=str(terms.data),
            runtimes=str(terms.trees),
            service_uid=terms.service_uid,
            cgroup_version=self.cgroup.version,
            cgroup_bases=self.cgroup.folders,
            abi=syscalls.landlock_abi(),
            filters=list(seccomp.programs(syscalls.ARCHITECTURE, own_user=own_user).values()),
        )
        runtimes = {name: str(path) for name, path in terms.runtimes.items()}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            document = json.dumps({"charter": vars(charter), "runtimes": runtimes}).encode()
            socket.send_fds(ours, [document], [data_fd, trees_fd])
            self._process = start_warden(sys.executable, theirs)
        self._socket = ours

    @property
    def pid(self) -> int:
        """The warden's process."""
        return self._process.pid

    def build(self, runtime: RuntimeInfo) -> Path:
        """Have a runtime's file tree made; blocks (`Privilege.build`)."""
        name, _fds = self._ask({"do": "build", "runtime": runtime.name}, _BUILD_S)
        return self._trees / str(name)

    def launch(self, runtime: RuntimeInfo) -> Launcher:
        """Have a runtime's launcher started (`Privilege.launch`)."""
        pid, fds = self._ask({"do": "launch", "runtime": runtime.name})
        if len(fds) != 2:
            raise SnapshotFailed(f"the warden gave no launcher for {runtime.name} ({pid})")
        return _FarLauncher(socket.socket(fileno=fds[0]), fds[1])

    def memory_of(self, pid: int) -> MemoryUse:
        """Memory of a process of a sandbox; zeros where it is gone (`Privilege.memory_of`)."""
        try:
            numbers, _fds = self._ask({"do": "memory", "pid": pid})
        except SnapshotFailed:
            return MemoryUse()
        return MemoryUse(*numbers) if isinstance(numbers, list) else MemoryUse()

    def remove_cgroup(self, folder: str) -> bool:
        """Have a cgroup removed (`Privilege.remove_cgroup`)."""
        try:
            removed, _fds = self._ask({"do": "remove", "folder": folder})
        except SnapshotFailed:
            # Without a warden nobody can; launchers remove what is theirs when they end.
            return True
        return removed is True

    def close(self) -> None:
        """Let the warden end, and wait for it; blocks."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    def _ask(
        self, request: dict[str, object], timeout_s: float = _ANSWER_S
    ) -> tuple[object, list[int]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            try:
                with theirs:
                    socket.send_fds(self._socket, [json.dumps(request).encode()], [theirs.fileno()])
                ours.settimeout(timeout_s)
                data, fds, _flags, _address = socket.recv_fds(ours, _ANSWER_BYTES_MAX, 2)
            except OSError as error:
                raise SnapshotFailed(
                    f"the warden does not answer ({error}); stop the platform and start it again"
                ) from error
        if not data:
            raise SnapshotFailed("the warden is gone; stop the platform and start it again")
        answer: dict[str, object] = json.loads(data)
        if "ok" in answer:
            return answer["ok"], fds
        failure = str(answer.get("failed") or answer.get("refused"))
        if isinstance(number := answer.get("errno"), int):
            raise StorageFailed(site=str(answer.get("site")), errno=number, detail=failure)
        raise SnapshotFailed(f"the warden could not: {failure}")


class _FarLauncher:
    """A launcher that is the warden's child (port `Launcher`)."""

    def __init__(self, requests: socket.socket, pidfd: int) -> None:
        requests.setblocking(False)
        self._socket = requests
        self._pidfd = pidfd

    def alive(self) -> bool:
        """Whether it still runs."""
        return not self._ended(0)

    def bury(self) -> None:
        """It is dead, or of no use any more: without our end it ends by itself."""
        self._socket.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def request(self, plan: bytes, fds: list[int]) -> None:
        """Ask for a snapshot (`Launcher.request`)."""
        try:
            send_plan(self._socket, plan, fds)
        except SnapshotFailed:
            self._ended(1_000)
            raise

    async def close(self) -> None:
        """Let it clean up, and wait for its end; the warden ends one that does not."""
        self._socket.close()
        await asyncio.to_thread(self._ended, int(_CLOSE_S * 1_000))
        self.bury()

    def _ended(self, timeout_ms: int) -> bool:
        waiting = select.poll()
        waiting.register(self._pidfd, select.POLLIN)
        return bool(waiting.poll(timeout_ms))
