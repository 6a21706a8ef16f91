from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.shares import Shares

PLACES = 8


def books() -> Shares:
    return Shares(PLACES, pause_s_min=1, pause_s_max=4)


def unreserved(_name: str) -> int | None:
    return None


def granted(shares: Shares, *names: str, now_s: float = 0.0) -> dict[str, int]:
    return shares.shares(dict.fromkeys(names, 0), unreserved, now_ms=0, now_s=now_s)


def start(shares: Shares, granting: dict[str, int]) -> None:
    for name, count in granting.items():
        for _ in range(count):
            shares.start(name)


def test_one_function_alone_takes_half_of_all_places() -> None:
    assert granted(books(), "a") == {"a": 4}


def test_who_comes_next_always_finds_a_place() -> None:
    shares = books()
    for number in range(PLACES * 2):
        name = f"f{number}"
        got = granted(shares, name)
        assert got.get(name, 0) >= 1, f"{name} must wait for others' calls"
        start(shares, got)
        if sum(shares._busy.values()) >= 2 * PLACES:
            break


@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=60))
def test_however_many_come_the_places_have_a_bound(names: list[str]) -> None:
    shares = books()
    for name in names:
        start(shares, granted(shares, name))
    assert sum(shares._busy.values()) <= 2 * PLACES


def test_equals_share_equally() -> None:
    got = granted(books(), "a", "b", "c")
    assert sorted(got.values()) == [2, 2, 2]


def test_a_functions_reserved_concurrency_bounds_it() -> None:
    shares = books()
    got = shares.shares({"a": 0}, lambda _: 2, now_ms=0, now_s=0)
    assert got == {"a": 2}
    start(shares, got)
    assert shares.shares({"a": 0}, lambda _: 2, now_ms=0, now_s=0) == {}


def test_what_is_not_due_is_not_leased() -> None:
    assert books().shares({"a": 11}, unreserved, now_ms=10, now_s=0) == {}


def test_a_function_that_was_refused_rests_the_longer_the_more_often() -> None:
    shares, now_s = books(), 0.0
    for pause_s in (1, 2, 4, 4):
        shares.refused("a", now_s)
        # What was under way together counts once.
        shares.refused("a", now_s + 0.5)
        assert granted(shares, "a", now_s=now_s + pause_s - 0.01) == {}
        now_s += pause_s
        assert granted(shares, "a", now_s=now_s) == {"a": 1}
    shares.answered("a")
    assert granted(shares, "a", now_s=now_s) == {"a": 4}


def test_the_next_look_is_at_the_first_due_time_or_the_first_end_of_a_pause() -> None:
    shares = books()
    assert shares.next_look({}, now_ms=0, now_s=0) == (None, None)
    shares.refused("a", 5.0)
    assert shares.next_look({"a": 0, "b": 70, "c": 60}, now_ms=10, now_s=5) == (60, 6.0)
    assert shares.next_look({"a": 90}, now_ms=10, now_s=5) == (90, None)
    shares.forget({})
    assert shares.next_look({"a": 0}, now_ms=10, now_s=5) == (None, None)
