"""What an isolate of a driver could do: the facts behind `mayfly audit`.

Told by whoever builds the seal, of the very plan that it builds by; nothing here is an opinion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tree:
    """One of the folders that an isolate's file tree is made of.

    Args:
        place: Where it is seen from inside.
        files: Regular files.
        programs: Paths inside of what can be executed by itself; shared libraries are none.
        scripts: Executable files that a program must lie there for.
        setuid: Paths inside of what would run as somebody else.
        shells: Those of them that run whatever they are told.
    """

    place: str
    files: int
    links: int
    size_bytes: int
    programs: tuple[str, ...] = ()
    scripts: int = 0
    setuid: tuple[str, ...] = ()
    shells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WritablePlace:
    """A folder that an isolate can write in.

    Args:
        size_bytes: What fits.
        executable: Whether what is written there can be run.
        lasting: Whether another isolate sees what was written.
    """

    path: str
    size_bytes: int
    executable: bool
    lasting: bool


@dataclass(frozen=True, slots=True)
class AllowedCall:
    """A system call that the seal lets through.

    Args:
        conditional: For some arguments only.
    """

    name: str
    why: str
    conditional: bool


@dataclass(frozen=True, slots=True)
class Surface:
    """Everything that an isolate can touch.

    Args:
        kernel: "Linux 6.18.44", or what stands in its place.
        calls: What of the kernel it may call, by name.
        kernel_calls: How many system calls this kernel has.
        capabilities: Of a running isolate, effective and permitted.
        outside: Who that uid is for the machine.
        landlock_abi: 0 where the kernel has none.
        limits_by: What keeps the limits: "cgroup v2", "cgroup v1", or "rlimits".
        limits: By name with the unit last.
    """

    driver: str
    kernel: str
    architecture: str
    trees: tuple[Tree, ...]
    writable: tuple[WritablePlace, ...]
    devices: tuple[str, ...]
    calls: tuple[AllowedCall, ...]
    kernel_calls: int
    capabilities: tuple[str, ...]
    uid: int
    outside: str
    namespaces: tuple[str, ...]
    landlock_abi: int
    limits_by: str
    limits: Mapping[str, int]
