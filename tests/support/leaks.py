"""What a suite could leave behind on the machine: looked at before it and after it.

    processes   new ones that carry the suite's mark, or descend from one that does
    mounts      new lines of our mountinfo, kept network namespaces among them
    cgroups     folders named after us that nobody lives in any more
    files       in the temporary folders, and anything in the suite's own

In CI, where nothing else runs, every new process in a namespace of its own and every new file in
a temporary folder counts too, whoever made it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import IN_CI
from tests.support.unprivileged import UID

GRACE_S = 5.0
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/netns")
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_DEPTH_MAX = 6
_OURS = "mayfly"
# What the suite shares until it ends: pytest's own folders and the trees of runtimes.
_SHARED = ("pytest-of-", "runtimes")


@dataclass(frozen=True)
class Process:
    """One process, told apart from a later one with the same number by its start."""

    pid: int
    started_ticks: int


@dataclass(frozen=True)
class Census:
    """What there is on the machine at one moment."""

    processes: frozenset[Process]
    mounts: frozenset[str]
    cgroups: frozenset[Path]
    files: frozenset[Path]


def take_census() -> Census:
    """Look at the machine."""
    return Census(
        processes=frozenset(_processes()),
        mounts=frozenset(_mounts()),
        cgroups=frozenset(_cgroups(_CGROUPS, 0)),
        files=frozenset(_files()),
    )


def left_behind(before: Census, *, mark: str) -> list[str]:
    """What is there now, was not before, and came from the suite. Waits a little for ends.

    Args:
        mark: The suite's own folder, which every process that it started has in its environment.
    """
    deadline = time.monotonic() + GRACE_S
    while True:
        found = _differences(before, take_census(), mark)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _differences(before: Census, now: Census, mark: str) -> list[str]:
    new = now.processes - before.processes
    return [
        *(f"process {_describe(one.pid)}" for one in new if _is_ours(one, new, mark)),
        *(f"mount {one}" for one in now.mounts - before.mounts),
        *(f"cgroup {one}" for one in now.cgroups - before.cgroups if _is_empty(one)),
        *(f"file {one}" for one in now.files - before.files if _is_our_file(one, mark)),
        *(f"file {one}" for one in Path(mark).iterdir() if not one.name.startswith(_SHARED)),
    ]


def _processes() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and fields[0] != "Z":
                yield Process(int(entry.name), int(fields[19]))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (proc(5)): state, ppid, ...; [] when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def lineage(pid: int) -> Iterator[int]:
    """`pid`, its parent, and so on, without pid 1."""
    while pid > 1:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


def _is_ours(process: Process, new: frozenset[Process], mark: str) -> bool:
    if process.pid == os.getpid():
        return False
    line = list(lineage(process.pid))
    marked = any(mark.encode() in _read(f"/proc/{one}/environ") for one in line)
    if marked or os.getpid() in line:
        return True
    # An orphan that lost its environment still lives in namespaces of its own.
    orphan = bool(line) and line[-1] in {one.pid for one in new}
    sealed = any(_namespace(process.pid, kind) != _namespace(1, kind) for kind in ("mnt", "pid"))
    return IN_CI and orphan and sealed


def _namespace(pid: int, kind: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _describe(pid: int) -> str:
    command = _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
    fields = _stat(pid)
    return f"{pid} (parent {fields[1] if fields else 'gone'}): {command[:200]}"


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        dash = fields.index("-")
        yield f"{fields[4]} ({fields[dash + 1]} {fields[dash + 2]})"


def _cgroups(folder: Path, depth: int) -> Iterator[Path]:
    if depth > _CGROUP_DEPTH_MAX:
        return
    children = _listed(folder, Path.is_dir)
    for child in children:
        if _OURS in child.name:
            yield child
        yield from _cgroups(child, depth + 1)


def _is_empty(cgroup: Path) -> bool:
    """Nobody lives in it or below: it was forgotten, and is not another platform's."""
    try:
        return not any(_read(str(one)).strip() for one in cgroup.rglob("cgroup.procs"))
    except OSError:
        return False  # It went while it was looked at.


def cgroups_of(processes: Iterable[Process]) -> set[Path]:
    """The cgroups named after us that these live in, v1 and v2 (cgroups(7))."""
    lines = [line for one in processes for line in _lines(f"/proc/{one.pid}/cgroup")]
    mounts = {fields[1]: fields[2] for fields in map(str.split, _lines("/proc/self/mounts"))}
    roots = [Path(place) for place, kind in mounts.items() if kind in ("cgroup", "cgroup2")]
    paths = {line.split(":", 2)[2].lstrip("/") for line in lines}
    found = {root / path for root in roots for path in paths if _OURS in path}
    return {one for one in found if one.is_dir()}


def _lines(path: str) -> list[str]:
    return _read(path).decode(errors="replace").splitlines()


def _files() -> Iterator[Path]:
    for folder in _TEMPORARY:
        yield from _listed(Path(folder), lambda _: True)
    yield from (one for one in (Path.home() / ".mayfly",) if one.exists())


def _listed(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if not one.is_symlink() and wanted(one)]
    except OSError:
        return []


def _is_our_file(path: Path, mark: str) -> bool:
    if str(path) == mark:
        return False
    try:
        owner = path.lstat().st_uid
    except OSError:
        return False
    return IN_CI or _OURS in path.name or owner == UID
