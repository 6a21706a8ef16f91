"""How much memory a process holds, as the kernel counts it (proc(5), smaps_rollup)."""

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
