"""What becomes of a stream's batch: whatever fails, each record is settled, once, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mayfly.model.mapping import SourceMapping
from mayfly.sources.mapping.steps import (
    Batch,
    Record,
    Step,
    expired,
    first_failed,
    step_after,
)

MAPPING = SourceMapping("m", "f", "arn:aws:dynamodb:us-east-1:0:table/t/stream/x", 100, 0)
NOW_MS = 1_750_000_000_000


def batch(count: int, *, age_s: float = 0) -> Batch:
    made_ms = int(NOW_MS - age_s * 1000)
    return Batch(tuple(Record(10 * n + 10, made_ms, b"{}") for n in range(count)))


def test_an_answer_settles_the_whole_batch() -> None:
    assert step_after(batch(3), None, MAPPING) == Step(settled=30)


def test_a_failure_is_tried_again_after_a_pause_while_retries_last() -> None:
    bounded = replace(MAPPING, retries_max=1)
    once = step_after(batch(3), 0, bounded)
    assert once.pause
    assert once.settled is None
    twice = step_after(once.left[0], 0, bounded)
    assert twice.given_up is not None
    assert (twice.settled, twice.left, twice.given_up.calls) == (30, (), 2)


def test_without_a_bound_it_is_tried_for_ever() -> None:
    step = step_after(replace(batch(1), failures=9_999), 0, MAPPING)
    assert step.left[0].failures == 10_000


def test_a_partial_failure_settles_what_came_before_and_counts_anew() -> None:
    step = step_after(replace(batch(3), failures=1), 1, replace(MAPPING, retries_max=1))
    assert step.settled == 10
    assert [one.sequence for one in step.left[0].records] == [20, 30]
    assert step.left[0].failures == 1


def test_bisecting_spends_no_retry_until_one_is_left() -> None:
    halved = replace(MAPPING, bisect=True, retries_max=0)
    step = step_after(batch(5), 0, halved)
    assert [len(one.records) for one in step.left] == [3, 2]
    assert [one.failures for one in step.left] == [0, 0]
    assert not step.pause
    assert step_after(batch(1), 0, halved).given_up is not None


def test_old_records_are_given_up_and_younger_ones_are_left() -> None:
    aged = replace(MAPPING, age_s_max=60)
    old, young = batch(2, age_s=61), batch(4, age_s=10)
    both = Batch(old.records + young.records[2:], failures=3, calls=7)
    step = expired(both, aged, NOW_MS)
    assert step is not None
    assert step.given_up is not None
    assert step.settled == 20
    assert [one.sequence for one in step.left[0].records] == [30, 40]
    assert expired(young, aged, NOW_MS) is None
    assert expired(batch(1, age_s=86_399), MAPPING, NOW_MS) is None
    assert expired(batch(1, age_s=86_401), MAPPING, NOW_MS) is not None, "the stream's own bound"


@given(
    st.integers(1, 20),
    st.sets(st.integers(0, 19)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_record_is_done_or_given_up_once_and_in_order(
    count: int, poison: set[int], bisect: bool, partial: bool, retries: int
) -> None:
    mapping = replace(MAPPING, bisect=bisect, retries_max=retries)
    bad = {10 * n + 10 for n in poison}
    pending, settled, lost, reached, calls = deque([batch(count)]), [], [], 0, 0
    while pending:
        one = pending.popleft()
        calls += 1
        failed = first_failed(one.records, frozenset(bad))
        if failed is not None and not partial:
            failed = 0
        step = step_after(one, failed, mapping)
        gone = () if step.given_up is None else step.given_up.records
        if step.settled is not None:
            assert step.settled > reached, "it never goes back"
            reached = step.settled
            passed = [r for r in one.records if r.sequence <= reached]
            settled += [r.sequence for r in passed if r not in gone]
            lost += [r.sequence for r in gone]
        pending.extendleft(reversed(step.left))
    everything = [10 * n + 10 for n in range(count)]
    assert reached == everything[-1]
    assert sorted(settled + lost) == everything
    assert settled == sorted(settled)
    assert not set(settled) & bad, "what fails is never taken for done"
    if bisect:
        assert set(lost) == bad & set(everything), "the poison alone"
    assert calls <= count * (retries + 3) * 2
