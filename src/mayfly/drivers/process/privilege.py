"""What the driver needs rights for, behind one small interface: four requests and no more.

    OwnPrivilege   this process does them itself, as root or, rootless, as whoever it is
    WardenClient   (`warden_client`) the daemon holds no rights and asks the warden

A call's path touches none of them: isolates are asked for, given events and ended over sockets
that the daemon holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
from pathlib import Path
from typing import Protocol

from mayfly.drivers import rootfs
from mayfly.drivers.process import cgroups
from mayfly.drivers.process.memory import memory_of
from mayfly.drivers.process.plan import CgroupPlan
from mayfly.drivers.process.starting import start_launcher
from mayfly.model.errors import SnapshotFailed
from mayfly.ports import MemoryUse, RuntimeInfo

_CLOSE_S = 6


class KeeperLost(SnapshotFailed):
    """The keeper, or the launcher that should have made it, ended without a word."""


class Launcher(Protocol):
    """One launcher process and the socket to it."""

    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def bury(self) -> None:
        """It is dead, or of no use any more."""

    def request(self, plan: bytes, fds: list[int]) -> None:
        """Ask for a snapshot. Raises KeeperLost, SnapshotFailed."""

    async def close(self) -> None:
        """Let it clean up, and wait for its end."""


class Privilege(Protocol):
    """What the driver needs rights for."""

    @property
    def cgroup(self) -> CgroupPlan:
        """Where snapshots' cgroups are made."""
        ...

    @property
    def rootless(self) -> bool:
        """Whether launchers run as an ordinary user."""
        ...

    def build(self, runtime: RuntimeInfo) -> Path:
        """Make a runtime's file tree; blocks. Raises SnapshotFailed, StorageFailed."""
        ...

    def launch(self, runtime: RuntimeInfo) -> Launcher:
        """Start a runtime's launcher. Raises SnapshotFailed."""
        ...

    def memory_of(self, pid: int) -> MemoryUse:
        """Memory of a process of a sandbox; zeros where it cannot be read."""
        ...

    def remove_cgroup(self, folder: str) -> bool:
        """Remove a snapshot's cgroup, or the base; False when a process still lives there."""
        ...


class OwnPrivilege:
    """This process's own rights.

    Args:
        folder: Where runtimes' file trees are kept.
        tag: [a-z0-9]+, tells this data folder's cgroups from another's.
    """

    def __init__(self, folder: Path, tag: str) -> None:
        self._folder = folder
        self.rootless = os.geteuid() != 0
        self.cgroup = cgroups.find(tag)
        rootfs.sweep(folder)

    def build(self, runtime: RuntimeInfo) -> Path:
        """Make a runtime's file tree (`Privilege.build`)."""
        return rootfs.build(runtime, self._folder)

    def launch(self, runtime: RuntimeInfo) -> Launcher:
        """Start a runtime's launcher (`Privilege.launch`)."""
        return OwnLauncher(runtime.executable)

    def memory_of(self, pid: int) -> MemoryUse:
        """Memory of a process (`Privilege.memory_of`)."""
        return memory_of(pid)

    def remove_cgroup(self, folder: str) -> bool:
        """Remove a cgroup (`Privilege.remove_cgroup`)."""
        return cgroups.remove(folder)


class OwnLauncher:
    """A launcher that is this process's child (port `Launcher`)."""

    def __init__(self, executable: Path) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = start_launcher(str(executable), theirs)
        ours.setblocking(False)
        self._socket = ours

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def bury(self) -> None:
        """It is dead, or of no use any more."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def request(self, plan: bytes, fds: list[int]) -> None:
        """Ask for a snapshot (`Launcher.request`)."""
        try:
            send_plan(self._socket, plan, fds)
        except KeeperLost:
            # Dying: `alive` may not know yet.
            self._process.kill()
            self._process.wait()
            raise

    async def close(self) -> None:
        """Let it clean up, and wait for its end."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _CLOSE_S)
            return
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


def send_plan(launcher: socket.socket, plan: bytes, fds: list[int]) -> None:
    """One plan and its descriptors.

    Raises:
        KeeperLost: The launcher is gone.
        SnapshotFailed: It takes no request now.
    """
    try:
        socket.send_fds(launcher, [plan], fds)
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ECONNRESET):
            raise KeeperLost("the launcher was killed") from error
        raise SnapshotFailed(
            f"the launcher takes no request ({os.strerror(error.errno or 0)}); try again"
        ) from error
