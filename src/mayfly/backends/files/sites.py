"""Where these backends do I/O; a test can fail each site by name."""

from __future__ import annotations

from enum import StrEnum


class Site(StrEnum):
    """The I/O sites of code store and log store."""

    CODE_OPEN = "CODE:OPEN"
    ARCHIVE_WRITE = "ARCHIVE:WRITE"
    ARCHIVE_SYNC = "ARCHIVE:SYNC"
    ARCHIVE_RENAME = "ARCHIVE:RENAME"
    TREE_WRITE = "TREE:WRITE"
    TREE_RENAME = "TREE:RENAME"
    CODE_COLLECT = "CODE:COLLECT"
    LOG_WRITE = "LOG:WRITE"
    LOG_ROTATE = "LOG:ROTATE"
    LOG_READ = "LOG:READ"
    LOG_FORGET = "LOG:FORGET"
