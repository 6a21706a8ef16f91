"""An accepted asynchronous event: on disk before it is acknowledged, answered or kept as failed.

Also what an owner sets for a function's events (`EventSettings`), and how kept events are asked for
(`EventFilter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventState(StrEnum):
    """Where an event stands.

    WAITING --lease--> LEASED --answered--> (deleted)
       ^                 |--retry--> WAITING (due later)
       `----replay-------`--give up--> FAILED
    """

    WAITING = "waiting"
    LEASED = "leased"
    FAILED = "failed"


class Condition(StrEnum):
    """How an event ended: Lambda's words in a destination's record, and two of ours."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"
    FUNCTION_NOT_FOUND = "FunctionNotFound"


@dataclass(frozen=True, slots=True)
class Event:
    """One asynchronous invocation, as the backlog keeps it.

    Args:
        event_id: The request id that the caller was given.
        function_name: The function to call.
        qualifier: The version or alias that was asked for.
        payload: The event document, JSON bytes.
        accepted_ms: When it became durable, Unix milliseconds.
        due_ms: Not to be tried before, Unix milliseconds.
        attempts: How many times the function was called with it.
        client_context: Base64 as received, or "".
        error: The last failure's document, or "".
        source: What caused it, for people: "invoke", "s3:photos", "schedule:default/nightly".
        trace_id: The caller's X-Amzn-Trace-Id, or "".
        condition: How it ended, of a failed event; else "".
        failed_ms: When it was given up, Unix milliseconds; 0 while it was not.
        replayed_ms: When a person had it run again; its age counts from then. 0 is never.
    """

    event_id: str
    function_name: str
    qualifier: str
    payload: bytes
    accepted_ms: int
    due_ms: int
    state: EventState = EventState.WAITING
    attempts: int = 0
    client_context: str = ""
    error: str = ""
    source: str = "invoke"
    trace_id: str = ""
    condition: str = ""
    failed_ms: int = 0
    replayed_ms: int = 0

    @property
    def begun_ms(self) -> int:
        """Since when it is to be delivered, Unix milliseconds: its age counts from here."""
        return max(self.accepted_ms, self.replayed_ms)


@dataclass(frozen=True, slots=True)
class EventSettings:
    """What is to become of the asynchronous events of one function and qualifier.

    Args:
        qualifier: A version or an alias; "$LATEST" for calls without one.
        retries_max: How often a call that failed is tried again, 0 to 2; None is the default.
        age_s_max: How old an event may get, 60 to 21,600; None is the default.
        on_success: ARN of a function or queue that gets a record of each answer, or "".
        on_failure: ARN of a function, queue or bucket that gets a record of each failure, or "".
        modified_ms: Time of the last change, Unix milliseconds.
    """

    function_name: str
    qualifier: str
    modified_ms: int
    retries_max: int | None = None
    age_s_max: int | None = None
    on_success: str = ""
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which of the kept events are meant; what is left empty does not matter.

    Args:
        event_ids: These only; empty is any.
        states: Of these only; empty is any.
        source: Its beginning: "s3:" means all buckets.
        since_ms: Accepted at this time or later, Unix milliseconds.
        until_ms: Accepted before this time; 0 is any time.
    """

    event_ids: tuple[str, ...] = ()
    function_name: str = ""
    states: frozenset[EventState] = frozenset()
    source: str = ""
    since_ms: int = 0
    until_ms: int = 0

    def matches(self, event: Event) -> bool:
        """Whether the event is meant."""
        return (
            (not self.event_ids or event.event_id in self.event_ids)
            and (not self.function_name or event.function_name == self.function_name)
            and (not self.states or event.state in self.states)
            and event.source.startswith(self.source)
            and event.accepted_ms >= self.since_ms
            and (not self.until_ms or event.accepted_ms < self.until_ms)
        )
