"""An accepted asynchronous event: on disk before it is acknowledged, answered or kept as failed."""

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
