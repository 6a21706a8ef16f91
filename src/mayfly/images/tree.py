"""A folder of code made whole: unpacked, compiled ahead, readable by all, on the disk.

Whoever calls owns the folder and gives it its final name afterwards, so that a tree appears whole
or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mayfly.images.bytecode import compile_tree
from mayfly.images.unpack import DEFAULT_LIMITS, Archive, UnpackLimits

_SYNCED_ONE_BY_ONE_MAX = 64


def plant_tree(
    archive: bytes,
    into: Path,
    *,
    interpreter: Path | None = None,
    bounds: UnpackLimits = DEFAULT_LIMITS,
) -> None:
    """Make the empty folder `into` the tree of a zip archive; blocks.

    Args:
        interpreter: Whose bytecode is made ahead; None makes none.

    Raises:
        InvalidArchive: The archive is refused.
        OSError: The disk refused. What was written stays: the caller owns `into`.
    """
    Archive(archive, bounds).extract(into)
    if interpreter is not None:
        compile_tree(into, interpreter)
    sync_tree(into)


def sync_tree(root: Path) -> None:
    """Return when everything below `root` is on the disk."""
    paths = list(_below(root))
    if len(paths) > _SYNCED_ONE_BY_ONE_MAX:
        # Thousands of fsyncs take seconds where one sync of all takes milliseconds.
        os.sync()
        return
    for path in paths:
        sync_path(path)


def sync_path(path: Path) -> None:
    """Bring one file or folder to the disk; of a folder its entries, not what they name."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def set_modes(root: Path) -> int:
    """Folders 0755, files 0644, or 0755 where the owner may run them; the bytes of all files."""
    root.chmod(0o755)
    size = 0
    for path in _below(root):
        status = path.lstat()
        size += status.st_size
        path.chmod(0o755 if path.is_dir() or status.st_mode & 0o100 else 0o644)
    return size


def _below(root: Path) -> Iterator[Path]:
    """Every file and folder, `root` included and last; links are not followed and left out."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                yield path
        yield Path(folder)
