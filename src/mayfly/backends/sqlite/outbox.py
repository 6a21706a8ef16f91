"""The outbox: what follows from a change, written in the change's own transaction.

    writer thread   change rows; post(connection, parcels) --> the carrier's rows   one COMMIT
    event loop      posted(parcels) --> the carrier is told and looks for work

A carrier is named by the service of the target's ARN: "lambda" puts a row into the backlog, "sqs" a
message into a queue. A parcel whose target is gone is reported and dropped: its change stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Protocol

from mayfly.model.parcel import Parcel
from mayfly.telemetry import LogEvent, event_log


class Carrier(Protocol):
    """Takes parcels for the targets of one service."""

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool | Parcel:
        """Write it, inside a transaction, on the writer thread; perhaps twice.

        Returns:
            False when the target does not exist. Else True, or the parcel with whatever the carrier
            adds to it: `arrived` gets that, and only if this transaction became durable.
        """
        ...

    def arrived(self, parcel: Parcel) -> None:
        """It is durable. On the event loop; never blocks."""
        ...


class Outbox:
    """Carriers by service. Filled while the platform opens, fixed afterwards."""

    def __init__(self) -> None:
        self._carriers: dict[str, Carrier] = {}

    def employ(self, service: str, carrier: Carrier) -> None:
        """From now on `carrier` takes what is for `service`."""
        assert service not in self._carriers, f"{service} has a carrier"
        self._carriers[service] = carrier

    def post(
        self, connection: sqlite3.Connection, parcels: Iterable[Parcel], now_ms: int
    ) -> Sequence[Parcel]:
        """Write parcels in the caller's transaction; on the writer thread, perhaps twice.

        Returns:
            Those that found their target: hand them to `posted` after the commit.
        """
        kept: list[Parcel] = []
        for parcel in parcels:
            carrier = self._carriers.get(parcel.service)
            written = carrier is not None and carrier.put(connection, parcel, now_ms)
            if written:
                kept.append(parcel if written is True else written)
            else:
                event_log(LogEvent.PARCEL_LOST, target=parcel.target_arn, source=parcel.source)
        return kept

    def posted(self, parcels: Iterable[Parcel]) -> None:
        """The transaction is durable: tell the carriers. On the event loop."""
        for parcel in parcels:
            self._carriers[parcel.service].arrived(parcel)
