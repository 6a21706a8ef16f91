"""A tracer's message: names for numbers; what is none is passed over."""

from __future__ import annotations

from mayfly.drivers.process import seccomp, syscalls
from mayfly.drivers.process.traced import read_trace
from mayfly.ports import Trace


def test_a_call_of_the_policy_has_its_name_and_another_its_number() -> None:
    rules = {rule.name: rule.number for rule in seccomp.load_policy(syscalls.ARCHITECTURE)}
    found = read_trace(
        b'{"files": ["/var/task/a"], "calls": [%d, 99999], "tasks": 2, "tmp": 4096}'
        % rules["openat"]
    )
    assert found == Trace(
        files=frozenset({"/var/task/a"}),
        calls=frozenset({"openat", "#99999"}),
        tasks_max=2,
        tmp_bytes_max=4096,
    )


def test_where_tracing_is_refused_it_says_why() -> None:
    found = read_trace(b'{"unavailable": "Operation not permitted"}')
    assert found is not None
    assert found.unavailable == "Operation not permitted"


def test_what_is_cut_off_or_of_another_form_is_passed_over() -> None:
    assert read_trace(b'{"files": ["/var') is None
    assert read_trace(b'{"files": [1]}') is None
