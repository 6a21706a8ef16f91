"""One call of a function and what came of it.

An `Answer` is what a driver brings back, an `Outcome` what the caller gets, a `Life` what a
timeline shows. A function's failure is data here, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mayfly.model.function import Function


class ErrorKind(StrEnum):
    """Lambda's `X-Amz-Function-Error`."""

    HANDLED = "Handled"
    UNHANDLED = "Unhandled"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call, ready to run.

    Args:
        request_id: A UUID; the caller sees it as X-Amzn-RequestId.
        function: The function as it stood when the call was accepted; the call finishes on it.
        payload: The event document, JSON bytes (b"" is sent on as b"null").
        trace_id: The X-Amzn-Trace-Id header's value, or "".
        client_context: Decoded client context JSON, or "".
        invoked_arn: The ARN as the caller wrote it, qualified or not.
    """

    request_id: str
    function: Function
    payload: bytes
    invoked_arn: str
    trace_id: str = ""
    client_context: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a driver brings back from an isolate.

    Args:
        payload: The handler's answer, or Lambda's error document, JSON bytes.
        error: None when the handler returned.
        error_type: The document's errorType ("Sandbox.Timedout", "KeyError"), "" without an error.
        alive: The isolate may serve another call (`reuse = "warm"` and nothing went wrong).
        memory_mib_max: Highest memory use that was seen, rounded up; 0 where it is not known.
    """

    payload: bytes
    error: ErrorKind | None = None
    error_type: str = ""
    alive: bool = False
    memory_mib_max: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the caller gets.

    Args:
        payload: Answer or error document, JSON bytes.
        error: None when the handler returned.
        version: The version that ran.
        log_tail: The last 4 KiB of the call's log, START, END and REPORT lines included.
        duration_ms: Handler time as measured outside the isolate.
        init_ms: How long this call waited for a snapshot to be made, None when it did not.
    """

    payload: bytes
    error: ErrorKind | None
    error_type: str
    version: str
    log_tail: bytes
    duration_ms: float
    init_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """One isolate's life around one call; all times Unix milliseconds with fractions.

    Args:
        parked_ms: When it was ready and waiting; less than `event_ms` when it was made ahead of
            need.
        died_ms: None while it is still alive (`reuse = "warm"`).
    """

    request_id: str
    function_name: str
    version: str
    isolate_id: str
    born_ms: float
    parked_ms: float
    event_ms: float
    answered_ms: float
    died_ms: float | None
    bytes_in: int
    bytes_out: int
    cold: bool
    error_type: str
    grants: tuple[str, ...]
