"""The port `Backlog`: accepted asynchronous events, until they are answered or forgotten as failed.

What follows from an event's end (its record for a destination, its dead letter) is given to the
call that ends it, as parcels: both are in one transaction, so neither is ever without the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mayfly.model.event import Condition, Event, EventFilter
from mayfly.model.parcel import Parcel


class Backlog(Protocol):
    """Accepted asynchronous events. Durable before `accept` returns."""

    def serve(self, begin: Callable[[Event], None], *, lease_ms: int) -> None:
        """Name who delivers what is born leased: events that come by another door than `accept`.

        Args:
            begin: Gets each such event when it is durable, on the event loop; it is theirs, to be
                settled, put back or failed.
            lease_ms: For how long.
        """
        ...

    def offer(self, places: int) -> None:
        """Let up to so many events that come by other doors be born leased, until the next offer.

        A few more may come, those that were on their way when the offer was renewed.
        """
        ...

    async def accept(self, event: Event, *, leased_until_ms: int = 0) -> bool:
        """Keep an event. Concurrent accepts share one commit.

        Args:
            leased_until_ms: Not 0: keep it leased until then (Unix milliseconds), so that it needs
                no `lease`; unless an older event of its function waits and is due.

        Returns:
            Whether it is leased: then it is the caller's to deliver.

        Raises:
            Conflict: An event with this id is there.
            StorageFailed: The event was not kept, and must not be acknowledged.
        """
        ...

    def ready_nowait(self) -> Mapping[str, int]:
        """The functions that have events to deliver, and when the first of each may be leased.

        By function name, Unix milliseconds: the first due time or end of a lease.
        """
        ...

    async def lease(
        self, *, now_ms: int, lease_ms: int, shares: Mapping[str, int]
    ) -> Sequence[Event]:
        """Take events that are due; each is ours for `lease_ms`.

        Args:
            shares: How many may be taken, by function name; the oldest of each.

        Returns:
            In order of due time, then of acceptance.
        """
        ...

    async def settle(
        self, event_id: str, *, parcels: Sequence[Parcel] = (), now_ms: int = 0
    ) -> bool:
        """The event was answered: forget it, and post its parcels, in one transaction.

        Returns:
            False when a parcel's target is gone: then the event is kept as failed and says so.
        """
        ...

    async def settle_all(self, event_ids: Sequence[str]) -> None:
        """These were answered, and nothing follows: forget them. Harmless for those that are gone.

        Raises:
            StorageFailed: All are as they were.
        """
        ...

    async def retry(self, event: Event, *, due_ms: int, error: str, attempted: bool = True) -> None:
        """Put the event back, to be tried at `due_ms`.

        One more attempt is counted when the function was called with it (`attempted`); an event
        that was throttled, or met a fault of the platform, has used up none of its attempts.
        """
        ...

    async def fail(
        self,
        event: Event,
        *,
        error: str,
        condition: Condition,
        now_ms: int,
        parcels: Sequence[Parcel] = (),
    ) -> None:
        """Keep the event as failed, and post its parcels, in one transaction.

        A parcel whose target is gone is added to the event's error.
        """
        ...

    async def release(self, *, now_ms: int) -> int:
        """At start: every lease of an earlier life ends. Returns how many there were."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """How many events are in each state."""
        ...

    async def find(self, wanted: EventFilter, *, count_max: int) -> Sequence[Event]:
        """The newest `count_max` events that match, newest first; payloads left out, errors cut."""
        ...

    async def event(self, event_id: str) -> Event | None:
        """One event, whole, or None."""
        ...

    async def replay(self, wanted: EventFilter, *, now_ms: int) -> int:
        """Have the matching events that nobody works on run again, now, as if just accepted.

        Returns how many.
        """
        ...

    async def remove(self, wanted: EventFilter) -> int:
        """Forget the matching events that nobody works on. Returns how many."""
        ...

    async def trim(self, *, failed_max: int, before_ms: int) -> int:
        """Forget failed events: all that failed before `before_ms`, and the oldest over a count.

        Returns how many.
        """
        ...
