"""Root gives a data folder to another user, and never follows what that user may have put there.

It can be broken off anywhere and done again: what is given stays given, and the folder itself comes
last. As long as it was root's, nobody else has put anything into it; afterwards a name in it
may mean anything, so each is looked at by descriptor and given without following it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from mayfly.model.errors import Conflict, StorageFailed
from mayfly.stores.secrets.key import load_key, make_key

_KEYS = Path("/etc/mayfly")
_PROTECTED_LINKS = Path("/proc/sys/fs/protected_hardlinks")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def owner_of(data: Path) -> int:
    """The uid of whom the folder belongs to, 0 when there is none yet."""
    try:
        return data.stat().st_uid
    except OSError:
        return 0


@contextlib.contextmanager
def folder(path: Path) -> Iterator[int]:
    """Its descriptor.

    Raises:
        StorageFailed: It cannot be opened, or given away inside the block.
    """
    try:
        descriptor = os.open(path, _FOLDER)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageFailed(
            site="DATA:GIVE",
            errno=error.errno or 0,
            detail=f"the data folder {path} cannot be given to the service user ({error}); give "
            'another with --data, or write user = "root"',
        ) from error


def give(data_fd: int, data: Path, uid: int, gid: int, *, spared: tuple[str, ...]) -> None:
    """Make everything in the folder that user's, and then the folder.

    Args:
        data_fd: The folder.
        data: Its name, for messages.
        uid: The new owner.
        gid: The new owner's group.
        spared: Names at the top that stay as they are.

    Raises:
        Conflict: A file there has another name, which may be outside and not the user's.
        OSError: The disk refused.
    """
    roots_own = os.fstat(data_fd).st_uid == 0
    links_are_safe = roots_own or _links_are_safe()
    for at, folders, names, fd in os.fwalk(".", dir_fd=data_fd):
        if at == ".":
            folders[:] = [one for one in folders if one not in spared]
            names = [one for one in names if one not in spared]  # noqa: PLW2901
        for name in (*folders, *names):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if status.st_uid == uid:
                    continue
                if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not links_are_safe:
                    raise Conflict(
                        f"{data / at / name} has a second name, which may be outside of the data "
                        "folder: remove one of them, or `sysctl fs.protected_hardlinks=1`"
                    )
                os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
    os.fchown(data_fd, uid, gid)
    os.fchmod(data_fd, 0o700)


def _links_are_safe() -> bool:
    """Whether a user can link only to files that are the user's to write (proc(5))."""
    with contextlib.suppress(OSError):
        return _PROTECTED_LINKS.read_text().strip() != "0"
    return False


@contextlib.contextmanager
def trees(data_fd: int, name: str) -> Iterator[int]:
    """The descriptor of a folder in the data folder that root alone writes; made when needed.

    What bears its name and is not root's is removed.
    """
    descriptor = _open_trees(data_fd, name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_trees(data_fd: int, name: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=data_fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=data_fd)
        elif status.st_uid != 0 or status.st_mode & 0o022:
            shutil.rmtree(name, dir_fd=data_fd)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=data_fd)
    descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=data_fd)
    status = os.fstat(descriptor)
    if status.st_uid != 0 or status.st_mode & 0o022:
        os.close(descriptor)
        raise Conflict(f"somebody makes {name} in the data folder meanwhile; start again")
    return descriptor


def place_key(key: Path, uid: int, gid: int, *, reached: bool) -> Path:
    """Where the secrets' key lies from now on: readable by that user, outside of the data folder.

    Args:
        key: Where it lies, or would.
        uid: Who reads it.
        gid: The group of who reads it.
        reached: Whether that user gets to its folder; otherwise a copy goes below /etc/mayfly.

    Raises:
        SecretsLocked: It cannot be made.
    """
    # What holds no key is not given to anybody.
    load_key(key)
    if not reached:
        place = _KEYS / f"secrets-{uid}" / key.name
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if key.exists() and not place.exists():
            draft = place.with_name(f".{place.name}.new")
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            draft.write_bytes(key.read_bytes())
            draft.rename(place)
        key = place
    elif not key.parent.exists():
        key.parent.mkdir(mode=0o755, parents=True)
    if not key.exists():
        make_key(key)
    status = key.lstat()
    if status.st_uid == 0 and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        os.chown(key, uid, gid, follow_symlinks=False)
    return key
