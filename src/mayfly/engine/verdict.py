"""What an attempt means for its event: settle it, try again, or give it up. Pure.

    answered                        SETTLE                             Success
    function error                  RETRY after 60 s and 120 s, then   RetriesExhausted
    throttled, platform error       RETRY after 1 s, growing to 5 min
    too old, before or after        FAIL                               EventAgeExceeded
    function stopped (reserved 0)   FAIL, without a call               ZeroReservedConcurrency
    function deleted                FAIL, without a call               FunctionNotFound

An event that would be too old at its next try is due at the end of its age, and given up then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mayfly.engine.bounds import EngineLimits
from mayfly.engine.retry import delivery_delay_s
from mayfly.model.errors import NotFound
from mayfly.model.event import Condition, Event, EventSettings
from mayfly.model.function import Function
from mayfly.model.invocation import Outcome
from mayfly.model.limits import ASYNC_RETRIES_DEFAULT, ASYNC_RETRY_DELAYS_S, ERROR_BYTES_MAX


class Verdict(StrEnum):
    """What to do with an event after an attempt."""

    SETTLE = "settle"
    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what goes with it.

    Args:
        due_ms: When to try again; of use with RETRY only.
        error: The failure's document or text.
        attempted: The function was called.
        condition: How the event ended; None with RETRY.
    """

    verdict: Verdict
    due_ms: int = 0
    error: str = ""
    attempted: bool = True
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How often and for how long an event is tried.

    Args:
        retries_max: After the first call.
        age_s_max: From the event's beginning.
    """

    retries_max: int
    age_s_max: float


def terms_of(settings: EventSettings | None, limits: EngineLimits) -> Terms:
    """What is set for a function's events, and the defaults for what is not."""
    retries_max, age_s_max = ASYNC_RETRIES_DEFAULT, limits.delivery_age_s_max
    if settings is not None:
        retries_max = retries_max if settings.retries_max is None else settings.retries_max
        age_s_max = age_s_max if settings.age_s_max is None else settings.age_s_max
    return Terms(retries_max, age_s_max)


def refusal(
    event: Event, function: Function | None, terms: Terms, *, now_ms: float
) -> Decision | None:
    """Why an event is given up without a call, or None: then the function is to be called."""
    if function is None:
        error = f"function {event.function_name} does not exist any more"
        return _given_up(Condition.FUNCTION_NOT_FOUND, f"ResourceNotFoundException: {error}")
    if function.settings.concurrency == 0:
        error = f"function {function.name} is stopped: its reserved concurrency is 0"
        return _given_up(Condition.ZERO_RESERVED_CONCURRENCY, error)
    if _age_s(event, now_ms) >= terms.age_s_max:
        error = event.error or f"it waited for over {terms.age_s_max:g} s and was never called"
        return _given_up(Condition.EVENT_AGE_EXCEEDED, error)
    return None


def verdict_on(
    event: Event,
    result: Outcome | Exception,
    *,
    now_ms: float,
    limits: EngineLimits,
    terms: Terms,
) -> Decision:
    """What an attempt's result means for its event.

    Args:
        event: As it was leased: `attempts` does not count this one.
        result: What the call came to.
        now_ms: Unix milliseconds.
        limits: The pauses after throttles and platform errors.
        terms: How often and for how long it is tried.
    """
    if not isinstance(result, Outcome):
        return _after_refusal(event, result, now_ms, limits, terms)
    if result.error is None:
        return Decision(Verdict.SETTLE, condition=Condition.SUCCESS)
    error = result.payload[:ERROR_BYTES_MAX].decode(errors="replace")
    if event.attempts >= terms.retries_max:
        return Decision(Verdict.FAIL, error=error, condition=Condition.RETRIES_EXHAUSTED)
    if _age_s(event, now_ms) >= terms.age_s_max:
        return Decision(Verdict.FAIL, error=error, condition=Condition.EVENT_AGE_EXCEEDED)
    delay_s = ASYNC_RETRY_DELAYS_S[min(event.attempts, len(ASYNC_RETRY_DELAYS_S) - 1)]
    return Decision(Verdict.RETRY, _due_ms(event, now_ms, delay_s, terms), error)


def _after_refusal(
    event: Event, error: Exception, now_ms: float, limits: EngineLimits, terms: Terms
) -> Decision:
    """The function was not called, by its bound or by the platform's fault."""
    text = f"{getattr(error, 'code', type(error).__name__)}: {error}"[:ERROR_BYTES_MAX]
    if isinstance(error, NotFound):
        return _given_up(Condition.FUNCTION_NOT_FOUND, text)
    age_s = _age_s(event, now_ms)
    if age_s >= terms.age_s_max:
        return _given_up(Condition.EVENT_AGE_EXCEEDED, text)
    delay_s = delivery_delay_s(
        event.event_id,
        age_s=age_s,
        min_s=limits.delivery_retry_s_min,
        max_s=limits.delivery_retry_s_max,
    )
    due_ms = _due_ms(event, now_ms, delay_s, terms)
    return Decision(Verdict.RETRY, due_ms, text, attempted=False)


def _given_up(condition: Condition, error: str) -> Decision:
    return Decision(Verdict.FAIL, error=error, attempted=False, condition=condition)


def _age_s(event: Event, now_ms: float) -> float:
    return max(0.0, now_ms - event.begun_ms) / 1000


def _due_ms(event: Event, now_ms: float, delay_s: float, terms: Terms) -> int:
    return int(min(now_ms + delay_s * 1000, max(now_ms, event.begun_ms + terms.age_s_max * 1000)))
