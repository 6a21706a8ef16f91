"""Limits: cgroup v1 and v2, one folder for each snapshot, leaves for its isolates (cgroups(7)).

    <base>/mayfly-<tag>/<snapshot>/self     keeper and snapshot
    <base>/mayfly-<tag>/<snapshot>/0 1 2 .. isolates, one each, used again when it is gone

The launcher, which holds the privilege, makes a snapshot's folder and hands it over to the
snapshot's uid; the keeper makes leaves in it and moves isolates by descriptors no tenant
has. On v1 the cpu controller stays on the snapshot's folder: moving a process there costs more
than everything else of a birth.

Whoever moves another process waits, with the kernel's one lock of all cgroups in hand, until
nobody on the machine is within a fork: beside a fork bomb that is seconds, for everyone. On v1 a
thread that moves itself takes no such lock (cgroup1_tasks_write), so there an isolate moves
itself, before its first breath. One that does not stays among what its snapshot may hold.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from mayfly.drivers.process.plan import CgroupPlan, Plan

_V1_LEAF = ("memory", "pids")
_V1_ALL = ("memory", "pids", "cpu")
_ROOT = "/sys/fs/cgroup"
# About half a MiB was measured for an isolate of a small snapshot; page tables grow with it.
_ISOLATE_BYTES = 2 << 20
_ROOM_BYTES_MIN, _ROOM_COUNT_MIN = 64 << 20, 32
_DEPTH_MAX = 8


def find(tag: str, root: str = _ROOT) -> CgroupPlan:
    """Where this process may make cgroups; makes and empties `mayfly-<tag>` there.

    Args:
        tag: Tells data folders apart.
        root: Where the cgroup file systems are mounted.

    Returns:
        A plan whose folders are the bases, or version 0 when none can be written.
    """
    own = _own_cgroups()
    v1 = {}
    for controller in _V1_ALL:
        base = f"{root}/{controller}{own.get(controller, '')}".rstrip("/")
        if controller in own and os.path.isdir(base) and os.access(base, os.W_OK):
            v1[controller] = f"{base}/mayfly-{tag}"
    if "memory" in v1:
        plan = CgroupPlan(1, v1)
    else:
        base_v2 = _delegated(root, own.get("", "/"))
        plan = CgroupPlan(2, {"": f"{base_v2}/mayfly-{tag}"}) if base_v2 else CgroupPlan()
    for controller, folder in plan.folders.items():
        # What an earlier daemon left, which may have lived in another cgroup than this one.
        for stale in _named(f"{root}/{controller}" if plan.version == 1 else root, f"mayfly-{tag}"):
            remove(stale)
        os.makedirs(folder, exist_ok=True)
    if plan.version == 2:
        _enable(plan.folders[""])
    _weigh(plan)
    return plan


def _weigh(plan: CgroupPlan) -> None:
    """All functions together weigh as much as a busy program for each processor, not as one."""
    processors = os.cpu_count() or 1
    if "cpu" in plan.folders:
        write(f"{plan.folders['cpu']}/cpu.shares", str(1024 * processors))
    elif plan.version == 2:
        write(f"{plan.folders['']}/cpu.weight", str(min(10_000, 100 * processors)), missing_ok=True)


def _named(folder: str, name: str, depth: int = 0) -> list[str]:
    """Every cgroup below `folder` with this name."""
    found = []
    for child in _children(folder) if depth < _DEPTH_MAX else ():
        if child.endswith(f"/{name}"):
            found.append(child)
        else:
            found += _named(child, name, depth + 1)
    return found


def _own_cgroups() -> dict[str, str]:
    own: dict[str, str] = {}
    with open("/proc/self/cgroup") as lines:
        for line in lines:
            _number, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                own[controller] = path
    return own


def _delegated(root: str, own: str) -> str | None:
    """The highest ancestor of our own cgroup that we may write and that has the memory controller.

    Processes may not live in a folder that has children with controllers, so our own does not
    serve.
    """
    found = None
    folder = f"{root}{own}".rstrip("/")
    while folder.startswith(root):
        enabled = _read(f"{folder}/cgroup.subtree_control").split()
        writable = os.access(folder, os.W_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK)
        if "memory" in enabled and writable:
            found = folder
        if folder == root:
            break
        folder = folder.rpartition("/")[0]
    return found


def _enable(folder: str) -> None:
    available = _read(f"{folder}/cgroup.controllers").split()
    for controller in ("memory", "pids", "cpu"):
        if controller in available:
            write(f"{folder}/cgroup.subtree_control", f"+{controller}")


def make_snapshot_folder(plan: Plan) -> list[int]:
    """In the launcher's child, with its privilege: make the snapshot's folders and move into them.

    Returns:
        A descriptor for each folder, for the keeper, in the plan's order.
    """
    fds = []
    for controller, folder in plan.cgroup.folders.items():
        _make_below_base(f"{folder}/self")
        if plan.cgroup.version == 2:
            _enable(os.path.dirname(folder))
            _enable(folder)
            weight = max(1, plan.cpu_shares * 100 // 1024)
            write(f"{folder}/cpu.weight", str(weight), missing_ok=True)
            _limit(f"{folder}/self", "", plan, plan.overhead_bytes)
        elif controller == "cpu":
            write(f"{folder}/cpu.shares", str(plan.cpu_shares))
        else:
            _limit(f"{folder}/self", controller, plan, plan.overhead_bytes)
        write(f"{folder}/self/{_moving_file(plan.cgroup.version)}", "0")
        if not plan.rootless:
            _hand_over(folder, plan.host_uid)
        fds.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    return fds


def _make_below_base(folder: str) -> None:
    """Make a folder; the launcher of an earlier daemon may remove their common base meanwhile."""
    for _ in range(3):
        with contextlib.suppress(FileNotFoundError):
            os.makedirs(folder, exist_ok=True)
            return
    os.makedirs(folder, exist_ok=True)


def _hand_over(folder: str, uid: int) -> None:
    os.chown(folder, uid, uid)
    for name in ("cgroup.procs", "self", "self/cgroup.procs"):
        os.chown(f"{folder}/{name}", uid, uid)


def _limit(
    leaf: str, controller: str, plan: Plan, extra_bytes: int, dir_fd: int | None = None
) -> None:
    memory = str(plan.memory_bytes + extra_bytes)
    settings = {
        "memory": {
            "memory.limit_in_bytes": memory,
            "memory.memsw.limit_in_bytes": memory,
            "memory.swappiness": "0",
        },
        "pids": {"pids.max": str(plan.pids_max)},
        "": {
            "memory.max": memory,
            "memory.swap.max": "0",
            # An isolate goes as a whole; beside a snapshot lives its keeper, which must tell of it.
            "memory.oom.group": "0" if dir_fd is None else "1",
            "pids.max": str(plan.pids_max),
        },
    }
    for name, value in settings.get(controller, {}).items():
        write(f"{leaf}/{name}", value, missing_ok=True, dir_fd=dir_fd)


class Room:
    """How much memory a snapshot's own cgroup may hold: more only as its isolates grow in number.

    The kernel charges an isolate's page tables to who forks it. An import has little to spare.
    """

    def __init__(self, folders: Iterable[str], memory_bytes: int, bytes_max: int) -> None:
        """Make the measure; the launcher sets the first limit by it.

        Args:
            folders: The snapshot's, one for each controller.
            memory_bytes: Of the function.
            bytes_max: Never more than this beside it.
        """
        self._folders = list(folders)
        self._memory_bytes = memory_bytes
        self._isolate_bytes = _ISOLATE_BYTES + memory_bytes // 128
        self._bytes_max = bytes_max
        self._count = _ROOM_COUNT_MIN

    @property
    def overhead_bytes(self) -> int:
        """What may be held beside the function's memory now."""
        return min(_ROOM_BYTES_MIN + self._count * self._isolate_bytes, self._bytes_max)

    def hold(self, count: int) -> None:
        """Let there be room for `count` isolates; seldom more than a comparison."""
        if count <= self._count:
            return
        while self._count < count:
            self._count *= 2
        limit = str(self._memory_bytes + self.overhead_bytes)
        for folder in self._folders:
            for name in ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "memory.max"):
                # Where it may not be raised, births fail one by one and say so.
                with contextlib.suppress(OSError):
                    write(f"{folder}/self/{name}", limit, missing_ok=True)


class Leaf:
    """One isolate's cgroup(s). Made once, used by one isolate after another.

    Attributes:
        moving_fds: For the isolate, which writes "0" to each; empty where `take_in` must be used.
    """

    def __init__(self, plan: Plan, folder_fds: list[int], name: str) -> None:
        self.moving_fds: list[int] = []
        self._procs: list[int] = []
        self._oom_fd: int | None = None
        self._oom_seen = self._refused_seen = 0
        self._pids_folder: tuple[int, str] | None = None
        file = _moving_file(plan.cgroup.version)
        for (controller, _folder), fd in zip(plan.cgroup.folders.items(), folder_fds, strict=True):
            if controller == "cpu":
                continue
            os.mkdir(name, dir_fd=fd)
            _limit(name, controller, plan, 0, dir_fd=fd)
            flags = os.O_CLOEXEC
            moving = os.open(f"{name}/{file}", os.O_WRONLY | flags, dir_fd=fd)
            (self.moving_fds if controller else self._procs).append(moving)
            if controller in ("pids", ""):
                self._pids_folder = (fd, name)
            if controller in ("memory", ""):
                events = "memory.oom_control" if controller else "memory.events"
                with contextlib.suppress(FileNotFoundError):
                    self._oom_fd = os.open(f"{name}/{events}", os.O_RDONLY | flags, dir_fd=fd)

    def take_in(self, pid: int) -> None:
        """Move a process in where it cannot move itself; `pid` is in the caller's namespace."""
        text = str(pid).encode()
        for fd in self._procs:
            os.write(fd, text)

    def settle(self) -> None:
        """Its isolate is gone: what it was refused is not the next one's."""
        self._refused_seen += self.refused_forks()

    def refused_forks(self) -> int:
        """How many forks the kernel has refused its isolate."""
        words = self._read_pids("pids.events").split()
        count = int(words[1]) if words[:1] == ["max"] else 0
        return count - self._refused_seen

    def processes(self) -> list[int]:
        """All that live here, as the caller's pid namespace numbers them."""
        return [int(word) for word in self._read_pids("cgroup.procs").split()]

    def _read_pids(self, file: str) -> str:
        if self._pids_folder is None:
            return ""
        folder_fd, name = self._pids_folder
        return _read_in(folder_fd, f"{name}/{file}")

    def had_oom(self) -> bool:
        """Whether the kernel killed for memory here since the last question."""
        if self._oom_fd is None:
            return False
        words = os.pread(self._oom_fd, 4096, 0).split()
        count = int(words[words.index(b"oom_kill") + 1]) if b"oom_kill" in words else 0
        had, self._oom_seen = count > self._oom_seen, count
        return had


def count_of_processes(plan: Plan, folder_fds: list[int]) -> int:
    """Processes and threads of a snapshot and all its isolates; 0 where nobody counts them."""
    for controller, fd in zip(plan.cgroup.folders, folder_fds, strict=True):
        if controller in ("pids", ""):
            return int(_read_in(fd, "pids.current") or 0)
    return 0


def _read_in(folder_fd: int, path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder_fd)
    except FileNotFoundError:
        return ""
    with open(fd) as opened:
        return opened.read()


def _moving_file(version: int) -> str:
    """What a process writes itself into. On v1 one thread, and so without the great lock."""
    return "tasks" if version == 1 else "cgroup.procs"


def write(path: str, text: str, *, missing_ok: bool = False, dir_fd: int | None = None) -> None:
    """Write a cgroup file in one write."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError:
        if missing_ok:
            return
        raise
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def remove(folder: str) -> bool:
    """Remove a cgroup folder and all below it; False when a process still lives in it."""
    gone = True
    for child in _children(folder):
        gone = remove(child) and gone
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return gone
    except OSError:
        return False
    return gone


def processes(folder: str) -> Iterator[int]:
    """Every process in a cgroup folder and below it."""
    for child in _children(folder):
        yield from processes(child)
    for word in _read(f"{folder}/cgroup.procs").split():
        yield int(word)


def _children(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
