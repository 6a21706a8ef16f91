"""The I/O sites of the database, and what SQLite says as a StorageFailed that names its site.

SQLite has result codes (https://www.sqlite.org/rescode.html) where the kernel has errnos; the
low byte is the primary code. Each that a person can do something about has its remedy here.
"""

from __future__ import annotations

import errno
import sqlite3
from enum import StrEnum
from pathlib import Path

from mayfly.model.errors import StorageFailed


class Site(StrEnum):
    """Where the database does I/O; a test can fail each by name."""

    OPEN = "STORE:OPEN"
    MIGRATE = "STORE:MIGRATE"
    READ = "STORE:READ"
    REGISTRY_LOAD = "REGISTRY:LOAD"
    REGISTRY_COMMIT = "REGISTRY:COMMIT"
    BACKLOG_LOAD = "BACKLOG:LOAD"
    BACKLOG_COMMIT = "BACKLOG:COMMIT"


_CORRUPT = "put back a copy of the file, or move it away to start with nothing"

# Primary result code: the kernel's error nearest to it, and what a person can do.
_CODES: dict[int, tuple[int, str]] = {
    sqlite3.SQLITE_PERM: (errno.EACCES, "give the user who runs mayfly the right to write it"),
    sqlite3.SQLITE_BUSY: (errno.EBUSY, "another program holds it: close that program"),
    sqlite3.SQLITE_LOCKED: (errno.EBUSY, "another program holds it: close that program"),
    sqlite3.SQLITE_NOMEM: (errno.ENOMEM, "the machine is out of memory"),
    sqlite3.SQLITE_READONLY: (errno.EROFS, "make the data folder writable"),
    sqlite3.SQLITE_IOERR: (errno.EIO, "look at the disk's health (dmesg)"),
    sqlite3.SQLITE_CORRUPT: (0, _CORRUPT),
    sqlite3.SQLITE_FULL: (errno.ENOSPC, "free some space on its disk"),
    sqlite3.SQLITE_CANTOPEN: (errno.EACCES, "is its folder there, and writable for this user?"),
    sqlite3.SQLITE_NOTADB: (0, _CORRUPT),
}


def storage_failed(site: str, error: sqlite3.Error | OSError, path: Path) -> StorageFailed:
    """`error` as it is told to the caller: where, what, on which file, and what to do."""
    if isinstance(error, OSError):
        return StorageFailed(site=site, errno=error.errno or 0, detail=f"{path}: {error}")
    # A module-level error (misuse) has no code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    number, remedy = _CODES.get(code & 0xFF, (0, ""))
    name: str = getattr(error, "sqlite_errorname", "")
    detail = f"{path}: {error}" + (f" [{name}]" if name else "") + (f"; {remedy}" if remedy else "")
    return StorageFailed(site=site, errno=number, detail=detail)
