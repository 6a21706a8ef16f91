"""What an operation would have cost, for those who ask: units of reading and of writing.

A unit of reading is 4 KB, a consistent one; half of it is an eventually consistent one, and twice
of it one in a transaction. A unit of writing is 1 KB, and two in a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.api.dynamodb.members import Members, choice
from mayfly.stores.tables.definition import Index, IndexKind

_READ_BYTES = 4_096
_WRITE_BYTES = 1_024
_CHOICES = ("INDEXES", "TOTAL", "NONE")


def wanted_capacity(members: Members) -> str:
    """What is to be told: "NONE", "TOTAL" or "INDEXES". Raises InvalidRequest."""
    return choice(members, "ReturnConsumedCapacity", _CHOICES) or "NONE"


def read_units(size: int, *, consistent: bool) -> float:
    """What reading `size` bytes costs; also where nothing was found."""
    units = max(1, -(-size // _READ_BYTES))
    return float(units) if consistent else units / 2


def write_units(size: int) -> float:
    """What writing `size` bytes costs."""
    return float(max(1, -(-size // _WRITE_BYTES)))


def consumed(
    table: str, units: float, wanted: str, *, index: Index | None = None
) -> Mapping[str, object]:
    """The member ConsumedCapacity of one table."""
    document: dict[str, object] = {"TableName": table, "CapacityUnits": units}
    if wanted == "INDEXES":
        document["Table"] = {"CapacityUnits": 0.0 if index is not None else units}
        if index is not None:
            kind = "GlobalSecondaryIndexes"
            if index.kind is IndexKind.LOCAL:
                kind = "LocalSecondaryIndexes"
            document[kind] = {index.name: {"CapacityUnits": units}}
    return document
