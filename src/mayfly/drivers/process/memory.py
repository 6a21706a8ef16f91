"""What the kernel tells of a sandbox's processes: their memory, and their numbers on the node."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mayfly.ports import MemoryUse


def memory_of(pid: int) -> MemoryUse:
    """Memory of a process (proc(5), smaps_rollup); zeros where it cannot be read."""
    private = proportional = 0
    if pid:
        with contextlib.suppress(OSError), Path(f"/proc/{pid}/smaps_rollup").open() as lines:
            for line in lines:
                if line.startswith("Private_"):
                    private += int(line.split()[1])
                elif line.startswith("Pss:"):
                    proportional = int(line.split()[1])
    return MemoryUse(private, proportional)


def host_pids(snapshot_pid: int) -> dict[int, int]:
    """The processes beside a snapshot, its keeper's children: number in the sandbox to number here.

    Empty where the kernel does not tell (proc(5): task/<tid>/children, and NSpid of status).
    """
    try:
        keeper = _parent(snapshot_pid)
        level = len(_namespace_pids(keeper)) - 1
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    except (OSError, IndexError, ValueError):
        return {}
    found = {}
    for child in children:
        # Gone since it was listed, most likely.
        with contextlib.suppress(OSError, IndexError, ValueError):
            found[_namespace_pids(int(child))[level]] = int(child)
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _namespace_pids(pid: int) -> list[int]:
    """A process's numbers, from our own pid namespace inwards."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return [int(word) for word in line.split()[1:]]
    return []
