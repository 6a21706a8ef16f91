"""What a function may print over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.bounds import EngineLimits
from mayfly.engine.log_quota import _FUNCTIONS_MAX, LogQuotas

LIMITS = EngineLimits(log_bytes_per_s_max=1_000, log_lines_per_s_max=10, log_burst_s=4)


def test_a_burst_is_kept_whole_and_what_is_beyond_it_is_cut() -> None:
    quotas = LogQuotas(LIMITS)
    assert quotas.admit("f", b"x" * 3_999, 0.0) == b"x" * 3_999
    assert quotas.admit("f", b"yz", 0.0) == b"y"
    assert quotas.admit("f", b"z", 0.5) == b""


def test_lines_are_counted_beside_bytes_and_cut_at_their_ends() -> None:
    quotas = LogQuotas(LIMITS)
    assert quotas.admit("f", b"a\n" * 38 + b"open", 0.0) == b"a\n" * 38 + b"open"
    assert quotas.admit("f", b" end\nlast\nmore\nand", 0.0) == b" end\nlast\n"


def test_what_is_spent_comes_back_a_second_at_a_time() -> None:
    quotas = LogQuotas(LIMITS)
    quotas.admit("f", b"x" * 9_000, 0.0)
    assert quotas.admit("f", b"x", 0.9) == b""
    assert quotas.admit("f", b"x" * 2_000, 1.0) == b"x" * 1_000
    assert quotas.admit("f", b"x" * 9_000, 100.0) == b"x" * 4_000


def test_functions_do_not_share_their_room() -> None:
    quotas = LogQuotas(LIMITS)
    quotas.admit("flood", b"x" * 9_000, 0.0)
    assert quotas.admit("quiet", b"hello\n", 0.0) == b"hello\n"


def test_a_bound_of_zero_keeps_nothing() -> None:
    quotas = LogQuotas(EngineLimits(log_bytes_per_s_max=0))
    assert quotas.admit("f", b"x", 0.0) == b""
    assert quotas.admit("f", b"x", 9.0) == b""


def test_those_who_rest_are_forgotten() -> None:
    quotas = LogQuotas(LIMITS)
    for number in range(3 * _FUNCTIONS_MAX):
        quotas.admit(f"f{number}", b"x", number / 10)
    assert len(quotas._rooms) == _FUNCTIONS_MAX


@given(
    st.lists(
        st.tuples(st.binary(max_size=3_000), st.floats(0, 3)),
        max_size=30,
    )
)
def test_never_more_than_the_burst_and_the_rate(pieces: list[tuple[bytes, float]]) -> None:
    quotas = LogQuotas(LIMITS)
    now_s, kept = 0.0, b""
    for data, pause_s in pieces:
        now_s += pause_s
        admitted = quotas.admit("f", data, now_s)
        assert data.startswith(admitted)
        kept += admitted
    assert len(kept) <= 1_000 * (4 + now_s) + 1
    assert kept.count(b"\n") <= 10 * (4 + now_s) + 1
