"""What a table is: its keys, its indexes, its stream and its settings; immutable values.

A change makes a new `Definition` with a higher `generation`. A write that was prepared for an older
generation is prepared anew: so an index that is added misses no item.

The time to live is kept as a hidden index whose hash key is the second of expiry, so that it is
maintained, filled and emptied like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from mayfly.model.function import ACCOUNT_ID, REGION

ARN_PREFIX = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/"


class KeyType(StrEnum):
    """The types that a key attribute may have."""

    STRING = "S"
    NUMBER = "N"
    BINARY = "B"


class ProjectionType(StrEnum):
    """Which attributes an index shows."""

    ALL = "ALL"
    KEYS_ONLY = "KEYS_ONLY"
    INCLUDE = "INCLUDE"


class IndexKind(StrEnum):
    """Global and local secondary indexes, and the hidden one of the time to live."""

    GLOBAL = "global"
    LOCAL = "local"
    EXPIRY = "expiry"


class IndexStatus(StrEnum):
    """An index is filled after it was made; it is read when it is ACTIVE."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"


class StreamView(StrEnum):
    """What a stream's records show of an item besides its key."""

    KEYS_ONLY = "KEYS_ONLY"
    NEW_IMAGE = "NEW_IMAGE"
    OLD_IMAGE = "OLD_IMAGE"
    NEW_AND_OLD_IMAGES = "NEW_AND_OLD_IMAGES"


class Billing(StrEnum):
    """Kept and shown; nothing is throttled."""

    PROVISIONED = "PROVISIONED"
    PAY_PER_REQUEST = "PAY_PER_REQUEST"


class KeyAttribute(msgspec.Struct, frozen=True):
    """One attribute of a key."""

    name: str
    type: KeyType


class Key(msgspec.Struct, frozen=True):
    """A primary key: a hash attribute and perhaps a range attribute."""

    hash: KeyAttribute
    range: KeyAttribute | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, the hash key's first."""
        return (self.hash.name,) if self.range is None else (self.hash.name, self.range.name)


class Throughput(msgspec.Struct, frozen=True):
    """Provisioned units; zero where a table is paid per request."""

    read_units: int = 0
    write_units: int = 0


class Index(msgspec.Struct, frozen=True):
    """A secondary index.

    Args:
        index_id: Of its entries in the database; never used again.
        included: For INCLUDE: the attributes besides the keys.
    """

    index_id: int
    name: str
    kind: IndexKind
    key: Key
    projection: ProjectionType = ProjectionType.ALL
    included: tuple[str, ...] = ()
    status: IndexStatus = IndexStatus.ACTIVE
    throughput: Throughput = Throughput()


class Stream(msgspec.Struct, frozen=True):
    """A table's stream, also when it takes no more records.

    Args:
        stream_id: Of its records in the database.
        label: Its creation's time, as in its ARN.
        ended_ms: When it was disabled, 0 while it is not.
    """

    stream_id: int
    table_name: str
    label: str
    view: StreamView
    key: Key
    created_ms: int
    ended_ms: int = 0

    @property
    def arn(self) -> str:
        """The stream's ARN."""
        return f"{ARN_PREFIX}{self.table_name}/stream/{self.label}"


class Definition(msgspec.Struct, frozen=True):
    """A table.

    Args:
        table_id: Of its items in the database; never used again.
        generation: Counts the changes that a prepared write must know of.
        uuid: AWS's TableId.
        attribute_types: The declared ones: those of all keys.
        expiry_attribute: The attribute that says when an item ends, "" where none does.
        stream: The newest one, which may have ended.
    """

    table_id: int
    generation: int
    name: str
    uuid: str
    created_ms: int
    attribute_types: dict[str, KeyType]
    key: Key
    indexes: tuple[Index, ...] = ()
    billing: Billing = Billing.PROVISIONED
    throughput: Throughput = Throughput()
    on_demand_since_ms: int = 0
    stream: Stream | None = None
    expiry_attribute: str = ""
    tags: dict[str, str] = {}
    protected: bool = False
    table_class: str = ""

    @property
    def arn(self) -> str:
        """The table's ARN."""
        return ARN_PREFIX + self.name

    @property
    def live_stream(self) -> Stream | None:
        """The stream that takes records now."""
        stream = self.stream
        return None if stream is None or stream.ended_ms else stream

    @property
    def shown_indexes(self) -> tuple[Index, ...]:
        """The secondary indexes, without the hidden one."""
        return tuple(one for one in self.indexes if one.kind is not IndexKind.EXPIRY)

    def index(self, name: str) -> Index | None:
        """The secondary index of this name."""
        return next((one for one in self.shown_indexes if one.name == name), None)

    @property
    def expiry(self) -> Index | None:
        """The hidden index of the time to live."""
        return next((one for one in self.indexes if one.kind is IndexKind.EXPIRY), None)

    def changed(self, **changes: object) -> Definition:
        """A copy of the next generation."""
        return msgspec.structs.replace(self, generation=self.generation + 1, **changes)


def key_of(names: tuple[str, ...], types: Mapping[str, KeyType]) -> Key:
    """A key of declared attributes, the hash key's name first."""
    parts = [KeyAttribute(name, types[name]) for name in names]
    return Key(parts[0], parts[1] if len(parts) > 1 else None)
