from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.bounds import EngineLimits
from mayfly.engine.verdict import Verdict, refusal, terms_of, verdict_on
from mayfly.model.errors import SnapshotFailed, TooManyRequests
from mayfly.model.event import Condition, Event, EventSettings, EventState
from mayfly.model.function import Code, Function, Settings
from mayfly.model.invocation import ErrorKind, Outcome

LIMITS = EngineLimits()
EVENT = Event("id", "f", "", b"{}", accepted_ms=0, due_ms=0, state=EventState.LEASED)
ANSWERED = Outcome(b"1", None, "", "$LATEST", b"", 1.0)
FAILED = Outcome(b'{"errorType":"KeyError"}', ErrorKind.UNHANDLED, "KeyError", "$LATEST", b"", 1.0)
SIX_HOURS_MS = 21_600_000
TERMS = terms_of(None, LIMITS)
FUNCTION = Function("f", Code("0" * 64, 1), Settings("a.b", "python3.11"), "r", 0)


def test_an_answered_event_is_settled() -> None:
    assert (
        verdict_on(EVENT, ANSWERED, now_ms=5, limits=LIMITS, terms=TERMS).verdict is Verdict.SETTLE
    )


@pytest.mark.parametrize(("attempts", "due_ms"), [(0, 60_000), (1, 120_000)])
def test_a_function_error_is_tried_again_after_one_and_two_minutes(
    attempts: int, due_ms: int
) -> None:
    decision = verdict_on(
        replace(EVENT, attempts=attempts), FAILED, now_ms=0, limits=LIMITS, terms=TERMS
    )
    assert (decision.verdict, decision.due_ms) == (Verdict.RETRY, due_ms)
    assert decision.attempted
    assert "KeyError" in decision.error


def test_the_third_function_error_is_the_last() -> None:
    decision = verdict_on(replace(EVENT, attempts=2), FAILED, now_ms=0, limits=LIMITS, terms=TERMS)
    assert decision.verdict is Verdict.FAIL


@pytest.mark.parametrize("error", [TooManyRequests("busy"), SnapshotFailed("no"), OSError("bug")])
def test_throttles_and_platform_errors_use_up_no_attempt(error: Exception) -> None:
    decision = verdict_on(replace(EVENT, attempts=2), error, now_ms=500, limits=LIMITS, terms=TERMS)
    assert decision.verdict is Verdict.RETRY
    assert not decision.attempted
    assert 750 <= decision.due_ms - 500 <= 1_250


def test_the_pause_after_a_throttle_grows_to_five_minutes() -> None:
    decision = verdict_on(
        EVENT, TooManyRequests("busy"), now_ms=3_600_000, limits=LIMITS, terms=TERMS
    )
    assert 225_000 <= decision.due_ms - 3_600_000 <= 375_000


def test_after_six_hours_an_event_is_kept_as_failed() -> None:
    error = TooManyRequests("busy")
    decision = verdict_on(EVENT, error, now_ms=SIX_HOURS_MS, limits=LIMITS, terms=TERMS)
    assert decision.verdict is Verdict.FAIL
    assert "TooManyRequestsException: busy" in decision.error


def test_an_event_of_a_stopped_or_deleted_function_is_given_up_without_a_call() -> None:
    stopped = replace(FUNCTION, settings=replace(FUNCTION.settings, concurrency=0))
    for function, condition in (
        (stopped, Condition.ZERO_RESERVED_CONCURRENCY),
        (None, Condition.FUNCTION_NOT_FOUND),
    ):
        decision = refusal(EVENT, function, TERMS, now_ms=0)
        assert decision is not None
        assert (decision.verdict, decision.condition) == (Verdict.FAIL, condition)
        assert not decision.attempted


def test_an_event_that_grew_too_old_is_not_called() -> None:
    assert refusal(EVENT, FUNCTION, TERMS, now_ms=SIX_HOURS_MS - 1) is None
    decision = refusal(EVENT, FUNCTION, TERMS, now_ms=SIX_HOURS_MS)
    assert decision is not None
    assert decision.condition is Condition.EVENT_AGE_EXCEEDED


def test_a_replayed_events_age_counts_from_there() -> None:
    event = replace(EVENT, replayed_ms=SIX_HOURS_MS)
    assert refusal(event, FUNCTION, TERMS, now_ms=SIX_HOURS_MS + 1_000) is None


@pytest.mark.parametrize("retries", [0, 1])
def test_fewer_retries_may_be_set(retries: int) -> None:
    terms = terms_of(EventSettings("f", "$LATEST", 0, retries_max=retries), LIMITS)
    before = replace(EVENT, attempts=retries)
    decision = verdict_on(before, FAILED, now_ms=0, limits=LIMITS, terms=terms)
    assert (decision.verdict, decision.condition) == (Verdict.FAIL, Condition.RETRIES_EXHAUSTED)


@given(
    age_ms=st.integers(0, 200_000),
    age_s_max=st.integers(60, 100),
    attempts=st.integers(0, 2),
    result=st.sampled_from([FAILED, TooManyRequests("busy"), OSError("bug")]),
)
def test_no_event_is_tried_after_the_end_of_its_age(
    age_ms: int, age_s_max: int, attempts: int, result: Outcome | Exception
) -> None:
    terms = terms_of(EventSettings("f", "$LATEST", 0, age_s_max=age_s_max), LIMITS)
    event = replace(EVENT, attempts=attempts)
    decision = verdict_on(event, result, now_ms=age_ms, limits=LIMITS, terms=terms)
    if decision.verdict is Verdict.RETRY:
        assert age_ms <= decision.due_ms <= age_s_max * 1_000
    else:
        assert decision.condition is not None
