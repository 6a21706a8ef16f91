"""Where the object store does I/O, by name; a test fails each."""

from __future__ import annotations

from enum import StrEnum


class Site(StrEnum):
    """LOAD and COMMIT are the database's, the others the folder's."""

    OPEN = "OBJECTS:OPEN"
    LOAD = "OBJECTS:LOAD"
    CREATE = "OBJECTS:CREATE"
    WRITE = "OBJECTS:WRITE"
    SYNC = "OBJECTS:SYNC"
    LINK = "OBJECTS:LINK"
    COMMIT = "OBJECTS:COMMIT"
    READ = "OBJECTS:READ"
    COLLECT = "OBJECTS:COLLECT"
