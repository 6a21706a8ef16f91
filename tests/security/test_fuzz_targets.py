"""Whatever strangers send is read or refused: every target of bench/fuzz, with Hypothesis.

Seeds as they are, seeds with damage, words of all seeds in any order, and bytes. A target's work is
bounded by the length of its input.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fuzz.targets import TARGETS, Target

_EXAMPLES = 60
_LENGTH_MAX = 4_000
_JUNK = (
    b"",
    b"\0",
    b"\xff",
    b"\xf0\x9f\xa6\x9f",
    b"\r\n",
    b"(" * 300,
    b"[" * 2_000,
    b'{"a":' * 500,
)
_MORE = (b"9" * 400, b"-1", b"1e999", b"NaN", b"../", b"%00", b"\xed\xa0\x80", b"<a>" * 300, b"&a;")


def _damaged(target: Target) -> st.SearchStrategy[bytes]:
    """A seed with something else in place of a piece of it, up to three times."""
    junk = st.sampled_from((*_JUNK, *_MORE)) | st.binary(max_size=8)
    place = st.tuples(st.floats(0, 1), st.integers(0, 12), junk)

    def damage(seed: bytes, places: list[tuple[float, int, bytes]]) -> bytes:
        for where, length, instead in places:
            at = int(where * len(seed))
            seed = seed[:at] + instead + seed[at + length :]
        return seed[:_LENGTH_MAX]

    return st.builds(damage, st.sampled_from(target.seeds), st.lists(place, min_size=1, max_size=3))


def _shuffled(target: Target) -> st.SearchStrategy[bytes]:
    words = {one for seed in target.seeds for one in re.findall(rb"\w+|\W", seed)}
    parts = st.lists(st.sampled_from(sorted(words | {*_JUNK, *_MORE})), max_size=30)
    return parts.map(lambda some: b"".join(some)[:_LENGTH_MAX])


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_is_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=_EXAMPLES)
@given(data=st.data())
def test_whatever_comes_is_read_or_refused(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    target(data.draw(_damaged(target) | _shuffled(target) | st.binary(max_size=300)))
