"""The port `Backlog` in memory: it passes the contract suite of the one on disk.

Parcels are kept in `posted` for the test to look at; what is for a function becomes an event, as in
the real outbox. Targets in `gone` do not exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mayfly.model.errors import Conflict
from mayfly.model.event import Condition, Event, EventFilter, EventState
from mayfly.model.parcel import Parcel

_ERROR_LENGTH_SHOWN = 2_048


@dataclass(slots=True)
class _Row:
    """An event, when it may next be taken, and its place in the order of acceptance."""

    event: Event
    ready_ms: int
    place: int


class MemoryBacklog:
    """The port `Backlog` in memory."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._accepted = 0
        self.posted: list[Parcel] = []
        self.gone: set[str] = set()
        self._begin: Callable[[Event], None] | None = None
        self._lease_ms = 0
        self._places = 0

    def serve(self, begin: Callable[[Event], None], *, lease_ms: int) -> None:
        """Hand parcels' events that are born leased to `begin`."""
        self._begin, self._lease_ms = begin, lease_ms

    def offer(self, places: int) -> None:
        """Let up to so many parcels' events be born leased."""
        self._places = places

    async def accept(self, event: Event, *, leased_until_ms: int = 0) -> bool:
        """Keep an event."""
        if event.event_id in self._rows:
            raise Conflict(f"event {event.event_id} was accepted before")
        return self._add(event, leased_until_ms)

    def ready_nowait(self) -> Mapping[str, int]:
        """When the first event of each function is ready."""
        ready: dict[str, int] = {}
        for row in self._takeable():
            name = row.event.function_name
            ready[name] = min(row.ready_ms, ready.get(name, row.ready_ms))
        return ready

    async def lease(
        self, *, now_ms: int, lease_ms: int, shares: Mapping[str, int]
    ) -> Sequence[Event]:
        """Take the oldest due events of some functions."""
        taken: list[tuple[int, int, _Row]] = []
        for name, share in shares.items():
            due = sorted(
                (row.ready_ms, row.place, row)
                for row in self._takeable()
                if row.event.function_name == name and row.ready_ms <= now_ms
            )
            taken += due[:share]
        for _, _, row in sorted(taken):
            row.event = replace(row.event, state=EventState.LEASED)
            row.ready_ms = now_ms + lease_ms
        return [row.event for _, _, row in sorted(taken)]

    async def settle(
        self, event_id: str, *, parcels: Sequence[Parcel] = (), now_ms: int = 0
    ) -> bool:
        """The event was answered: forget it, post its parcels."""
        row = self._rows.get(event_id)
        if row is None:
            return True
        lost = self._post(parcels, now_ms)
        if not lost:
            del self._rows[event_id]
            return True
        row.event = replace(
            row.event,
            state=EventState.FAILED,
            attempts=row.event.attempts + 1,
            error=_told(lost),
            condition=Condition.SUCCESS,
            failed_ms=now_ms,
        )
        return False

    async def settle_all(self, event_ids: Sequence[str]) -> None:
        """These were answered: forget them."""
        for event_id in event_ids:
            self._rows.pop(event_id, None)

    async def retry(self, event: Event, *, due_ms: int, error: str, attempted: bool = True) -> None:
        """Put the event back, due at `due_ms`."""
        again = replace(event, due_ms=due_ms, attempts=event.attempts + attempted, error=error)
        self._put_back(replace(again, state=EventState.WAITING))

    async def fail(
        self,
        event: Event,
        *,
        error: str,
        condition: Condition,
        now_ms: int,
        parcels: Sequence[Parcel] = (),
    ) -> None:
        """Keep the event as failed, post its parcels."""
        if event.event_id not in self._rows:
            return
        lost = self._post(parcels, now_ms)
        failed = replace(
            event,
            state=EventState.FAILED,
            error=f"{error}\n{_told(lost)}" if lost else error,
            condition=condition,
            failed_ms=now_ms,
        )
        self._put_back(failed)

    async def release(self, *, now_ms: int) -> int:
        """Every lease ends now."""
        leased = [row for row in self._rows.values() if row.event.state is EventState.LEASED]
        for row in leased:
            row.event = replace(row.event, state=EventState.WAITING)
            row.ready_ms = min(row.event.due_ms, now_ms)
        return len(leased)

    async def counts(self) -> Mapping[str, int]:
        """How many events are in each state."""
        found = Counter(row.event.state for row in self._rows.values())
        return {state.value: found[state] for state in EventState}

    async def find(self, wanted: EventFilter, *, count_max: int) -> Sequence[Event]:
        """The newest that match, newest first."""
        rows = sorted(self._matching(wanted), key=lambda row: -row.place)[:count_max]
        return [
            replace(row.event, payload=b"", error=row.event.error[:_ERROR_LENGTH_SHOWN])
            for row in rows
        ]

    async def event(self, event_id: str) -> Event | None:
        """One event, or None."""
        row = self._rows.get(event_id)
        return None if row is None else row.event

    async def replay(self, wanted: EventFilter, *, now_ms: int) -> int:
        """Have matching events run again now."""
        rows = [
            row
            for row in self._idle(wanted)
            if row.event.state is EventState.FAILED or row.event.replayed_ms < now_ms
        ]
        for row in rows:
            row.event = replace(
                row.event,
                state=EventState.WAITING,
                due_ms=now_ms,
                replayed_ms=now_ms,
                attempts=0,
                condition="",
                failed_ms=0,
            )
            row.ready_ms = now_ms
        return len(rows)

    async def remove(self, wanted: EventFilter) -> int:
        """Forget matching events."""
        doomed = self._idle(wanted)
        for row in doomed:
            del self._rows[row.event.event_id]
        return len(doomed)

    async def trim(self, *, failed_max: int, before_ms: int) -> int:
        """Forget failed events that are too old or too many."""
        failed = [row for row in self._rows.values() if row.event.state is EventState.FAILED]
        failed.sort(key=lambda row: (row.event.failed_ms, row.place))
        young = [row for row in failed if row.event.failed_ms >= before_ms]
        kept = young[max(0, len(young) - failed_max) :]
        for row in failed[: len(failed) - len(kept)]:
            del self._rows[row.event.event_id]
        return len(failed) - len(kept)

    def _add(self, event: Event, leased_until_ms: int = 0) -> bool:
        """Keep it, leased already when that is wanted and no older one of its function is due."""
        leased = leased_until_ms > 0 and not any(
            row.event.function_name == event.function_name
            and row.event.state is EventState.WAITING
            and row.ready_ms <= event.due_ms
            for row in self._rows.values()
        )
        self._accepted += 1
        kept = replace(event, state=EventState.LEASED) if leased else event
        ready_ms = leased_until_ms if leased else event.due_ms
        self._rows[event.event_id] = _Row(kept, ready_ms, self._accepted)
        return leased

    def _post(self, parcels: Sequence[Parcel], now_ms: int) -> list[str]:
        """Post what has a target; the ARNs of those that have none."""
        for parcel in parcels:
            if parcel.target_arn not in self.gone:
                self.posted.append(parcel)
                if parcel.service == "lambda":
                    name, _, qualifier = parcel.target_arn.split(":", 6)[6].partition(":")
                    event = Event(
                        parcel.parcel_id,
                        name,
                        qualifier or "$LATEST",
                        parcel.body,
                        accepted_ms=now_ms,
                        due_ms=now_ms,
                        source=parcel.source,
                    )
                    self._arrive(event, now_ms)
        return [parcel.target_arn for parcel in parcels if parcel.target_arn in self.gone]

    def _arrive(self, event: Event, now_ms: int) -> None:
        if self._begin is None or self._places <= 0:
            self._add(event)
        elif self._add(event, now_ms + self._lease_ms):
            self._places -= 1
            self._begin(self._rows[event.event_id].event)

    def _takeable(self) -> list[_Row]:
        return [row for row in self._rows.values() if row.event.state is not EventState.FAILED]

    def _matching(self, wanted: EventFilter) -> list[_Row]:
        return [row for row in self._rows.values() if wanted.matches(row.event)]

    def _idle(self, wanted: EventFilter) -> list[_Row]:
        return [row for row in self._matching(wanted) if row.event.state is not EventState.LEASED]

    def _put_back(self, event: Event) -> None:
        row = self._rows.get(event.event_id)
        if row is not None:
            row.event = event
            row.ready_ms = event.due_ms


def _told(lost: Sequence[str]) -> str:
    return f"the record could not be delivered: {', '.join(lost)} does not exist or refused it"
