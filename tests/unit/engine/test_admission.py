from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mayfly.engine.admission import RESERVED_REASON, SHARED_REASON, Admission, Lane, Ticket
from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import TooManyRequests


def _admission(**bounds: int) -> Admission:
    return Admission(EngineLimits(**bounds))


def _lane(name: str = "f", reserved: int | None = None, shared_max: int = 900) -> Lane:
    return Lane(name, reserved=reserved, shared_max=shared_max)


def _queue(admission: Admission, lane: Lane, memory_mib: int = 128) -> Ticket:
    ticket = Ticket(lane, memory_mib)
    admission.queue(ticket)
    return ticket


def test_a_function_runs_no_more_calls_than_it_reserved() -> None:
    admission, lane = _admission(), _lane(reserved=2)
    assert [admission.enter(lane, 128) for _ in range(3)] == [True, True, False]


def test_a_function_with_nothing_reserved_leaves_room_for_others() -> None:
    admission = _admission(node_concurrency_max=10)
    flood, other = _lane("flood", shared_max=9), _lane("other", shared_max=9)
    assert sum(admission.enter(flood, 128) for _ in range(20)) == 9
    assert admission.enter(other, 128)


def test_reserved_concurrency_zero_stops_a_function_at_once() -> None:
    admission, lane = _admission(), _lane(reserved=0)
    assert not admission.enter(lane, 128)
    with pytest.raises(TooManyRequests, match="is stopped") as caught:
        _queue(admission, lane)
    assert caught.value.reason == RESERVED_REASON


def test_the_number_of_those_who_wait_is_bounded_per_function() -> None:
    admission = _admission(node_concurrency_max=1, function_waiters_max=2)
    lane = _lane()
    assert admission.enter(lane, 128)
    _queue(admission, lane)
    _queue(admission, lane)
    with pytest.raises(TooManyRequests) as caught:
        _queue(admission, lane)
    assert caught.value.reason == SHARED_REASON


def test_the_number_of_those_who_wait_is_bounded_for_the_node() -> None:
    admission = _admission(node_concurrency_max=1, waiters_max=1)
    assert admission.enter(_lane("a"), 128)
    _queue(admission, _lane("b"))
    with pytest.raises(TooManyRequests):
        _queue(admission, _lane("c"))


def test_a_flood_of_one_function_delays_another_by_one_turn() -> None:
    admission = _admission(node_concurrency_max=1)
    flood, other = _lane("flood"), _lane("other")
    assert admission.enter(flood, 128)
    crowd = [_queue(admission, flood) for _ in range(100)]
    alone = _queue(admission, other)
    admission.leave(flood, 128)
    assert admission.next() is crowd[0]
    admission.leave(flood, 128)
    assert admission.next() is alone


def test_calls_of_one_function_run_in_the_order_in_which_they_came() -> None:
    admission, lane = _admission(node_concurrency_max=1), _lane()
    assert admission.enter(lane, 128)
    tickets = [_queue(admission, lane) for _ in range(5)]
    order = []
    for _ in tickets:
        admission.leave(lane, 128)
        order.append(admission.next())
    assert order == tickets


def test_nobody_overtakes_those_who_wait() -> None:
    admission, lane = _admission(), _lane(reserved=1)
    assert admission.enter(lane, 128)
    _queue(admission, lane)
    lane.reserved = 2
    assert not admission.enter(lane, 128)


def test_a_function_at_its_own_bound_does_not_hold_up_others() -> None:
    admission = _admission(node_concurrency_max=2)
    full, other = _lane("full", reserved=1), _lane("other")
    assert admission.enter(full, 128)
    assert admission.enter(other, 128)
    _queue(admission, full)
    waiting = _queue(admission, other)
    admission.leave(other, 128)
    assert admission.next() is waiting


def test_a_call_that_gave_up_is_skipped() -> None:
    admission, lane = _admission(node_concurrency_max=1), _lane()
    assert admission.enter(lane, 128)
    first, second = _queue(admission, lane), _queue(admission, lane)
    assert admission.abandon(first)
    assert not admission.abandon(first)
    admission.leave(lane, 128)
    assert admission.next() is second


def test_memory_of_running_calls_has_a_bound() -> None:
    admission, lane = _admission(memory_busy_mib_max=1_000), _lane()
    assert admission.enter(lane, 800)
    assert not admission.enter(lane, 300)
    assert admission.enter(lane, 200)


def test_a_call_larger_than_the_memory_bound_runs_alone() -> None:
    admission, lane = _admission(memory_busy_mib_max=1_000), _lane()
    assert admission.enter(lane, 2_000)
    assert not admission.enter(lane, 1)


def test_stopping_a_function_refuses_those_who_wait() -> None:
    admission, lane = _admission(node_concurrency_max=1), _lane()
    assert admission.enter(lane, 128)
    ticket = _queue(admission, lane)
    assert admission.reserve(lane, 0) == [ticket]
    assert admission.waiting == 0


class Books(RuleBasedStateMachine):
    """Admission against what a patient reader of its docstring would keep on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = _admission(
            node_concurrency_max=4, waiters_max=8, function_waiters_max=5, memory_busy_mib_max=1_000
        )
        self.lanes = [
            _lane("a", shared_max=3),
            _lane("b", reserved=2),
            _lane("c", reserved=0),
            _lane("d", shared_max=3),
        ]
        self.running: list[tuple[Lane, int]] = []
        self.waiting: list[Ticket] = []

    @rule(index=st.integers(0, 3), memory_mib=st.sampled_from([128, 400, 900, 2_000]))
    def come(self, index: int, memory_mib: int) -> None:
        lane = self.lanes[index]
        if self.admission.enter(lane, memory_mib):
            assert not [ticket for ticket in self.waiting if ticket.lane is lane]
            self.running.append((lane, memory_mib))
            return
        ticket = Ticket(lane, memory_mib)
        try:
            self.admission.queue(ticket)
        except TooManyRequests:
            mine = sum(one.lane is lane for one in self.waiting)
            assert lane.reserved == 0 or mine == 5 or len(self.waiting) == 8
        else:
            self.waiting.append(ticket)
            self._pump()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        lane, memory_mib = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.admission.leave(lane, memory_mib)
        self._pump()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        assert self.admission.abandon(ticket)
        self._pump()

    @rule(reserved=st.sampled_from([None, 0, 1, 3]))
    def reserve(self, reserved: int | None) -> None:
        refused = self.admission.reserve(self.lanes[1], reserved)
        self.waiting = [ticket for ticket in self.waiting if ticket not in refused]
        self._pump()

    def _pump(self) -> None:
        while (ticket := self.admission.next()) is not None:
            ahead = [one for one in self.waiting if one.lane is ticket.lane]
            assert ahead[0] is ticket, "first come, first served, within a function"
            self.waiting.remove(ticket)
            self.running.append((ticket.lane, ticket.memory_mib))

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.running) == self.admission.busy <= 4
        total = sum(memory_mib for _, memory_mib in self.running)
        assert total == self.admission.memory_mib
        assert total <= 1_000 or len(self.running) == 1
        for lane in self.lanes:
            busy = sum(one is lane for one, _ in self.running)
            assert busy == lane.busy

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        assert self.admission.waiting == len(self.waiting)
        if not self.running:
            assert not self.waiting, "an idle node lets someone in"


TestBooks = Books.TestCase
