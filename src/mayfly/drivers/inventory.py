"""What lies in a folder that becomes part of an isolate's file tree: counted, never opened wide.

    a program   can be executed: ELF with the executable bit, no shared library
    a script    "#!" with the executable bit: runs only where a program that it names lies
    a shell     a program or a script by one of the names that shells have

Blocking: a walk of some thousand files, a tenth of a second.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mayfly.ports.surface import Tree

_SHELLS = frozenset(
    {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish", "busybox", "toybox"}
)
_ELF, _SCRIPT = b"\x7fELF", b"#!"


def take_inventory(folder: Path, place: str) -> Tree:
    """Count what lies in `folder`, which is seen as `place` from inside.

    Raises:
        OSError: It cannot be read.
    """
    files = links = size_bytes = 0
    programs, scripts, setuid = [], [], []
    for here, folders, names in os.walk(folder, onerror=_raise):
        links += sum(os.path.islink(f"{here}/{one}") for one in folders)  # noqa: PTH114 speed
        for name in names:
            path = f"{here}/{name}"
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                continue
            files += 1
            size_bytes += status.st_size
            inside = _inside(place, os.path.relpath(path, folder))
            if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
                setuid.append(inside)
            start = _start(path) if status.st_mode & 0o111 else b""
            if start == _ELF and _is_program(name):
                programs.append(inside)
            elif start.startswith(_SCRIPT):
                scripts.append(inside)
    shells = [one for one in programs + scripts if one.rpartition("/")[2] in _SHELLS]
    return Tree(
        place=place,
        files=files,
        links=links,
        size_bytes=size_bytes,
        programs=tuple(sorted(programs)),
        scripts=len(scripts),
        setuid=tuple(sorted(setuid)),
        shells=tuple(sorted(shells)),
    )


def _inside(place: str, relative: str) -> str:
    return f"{place.rstrip('/')}/{relative}"


def _start(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  thousands of them
        return file.read(4)


def _is_program(name: str) -> bool:
    # The loader is a library by name only: `ld.so PROGRAM` runs what it is given.
    library = ".so." in name or name.endswith(".so")
    return not library or name.startswith("ld-")


def _raise(error: OSError) -> None:
    raise error
