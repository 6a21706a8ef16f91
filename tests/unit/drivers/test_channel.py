from __future__ import annotations

import asyncio
import os
import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.drivers import channel
from mayfly.drivers.channel import HEADER, MAGIC, BadFrame, FrameReader, Hub, frame
from mayfly.guest import frames

LENGTH_MAX = 300
KINDS = st.integers(1, 255)
FRAMES = st.tuples(KINDS, st.binary(max_size=LENGTH_MAX))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places; no piece is empty."""
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(st.lists(FRAMES, max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_whole_however_the_stream_is_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    reader = FrameReader(-1, LENGTH_MAX)
    for kind, body in frames:
        got = [reader.feed(piece) for piece in pieces(frame(kind, body), cuts)]
        assert got[-1] == (kind, body)
        assert got[:-1] == [None] * (len(got) - 1)


@given(FRAMES, FRAMES)
def test_what_follows_a_frame_is_kept_and_known_of(
    first: tuple[int, bytes], second: tuple[int, bytes]
) -> None:
    reader = FrameReader(-1, LENGTH_MAX)
    both = frame(first[0], first[1]) + frame(second[0], second[1])
    assert reader.feed(both[:-1]) == first
    assert reader.holds_more
    assert reader.feed(both[-1:]) == second
    assert not reader.holds_more


@given(st.binary(min_size=HEADER.size, max_size=64), st.lists(st.integers(0, 64), max_size=4))
def test_garbage_is_a_bad_frame_as_soon_as_its_header_is_there(
    garbage: bytes, cuts: list[int]
) -> None:
    magic, _, _, length = HEADER.unpack_from(garbage)
    if magic == MAGIC and length <= LENGTH_MAX:
        garbage = b"\xff" + garbage[1:]
    reader = FrameReader(-1, LENGTH_MAX)
    with pytest.raises(BadFrame):
        [reader.feed(piece) for piece in pieces(garbage, cuts)]


@given(st.integers(LENGTH_MAX + 1, 2**32 - 1))
def test_a_frame_that_is_too_long_is_refused_by_its_header(length: int) -> None:
    with pytest.raises(BadFrame):
        FrameReader(-1, LENGTH_MAX).feed(HEADER.pack(MAGIC, 1, 0, length))


@given(st.binary(max_size=20))
def test_the_end_of_the_stream_is_told_wherever_it_comes(begun: bytes) -> None:
    reader = FrameReader(-1, LENGTH_MAX)
    half = frame(1, b"x" * 50)[: 1 + len(begun)]
    assert reader.feed(half) is None
    assert reader.feed(b"") == (0, b"")


def test_reading_takes_what_is_there_and_never_waits() -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    reader = FrameReader(read, LENGTH_MAX)
    assert reader.read() is None
    os.write(write, frame(3, b"abc"))
    assert reader.read() == (3, b"abc")
    os.close(write)
    assert reader.read() == (0, b"")
    os.close(read)
    assert reader.read() == (0, b""), "a closed descriptor is an end"


def test_both_sides_speak_the_same_frames() -> None:
    for name in ("MAGIC", "CONFIG", "IMPORTED", "GO", "READY", "INVOKE", "ANSWER", "FAILURE"):
        assert getattr(channel, name) == getattr(frames, name)
    assert channel.HEADER.format == frames.HEADER.format
    assert channel.U32.format == frames.U32.format
    assert channel.FAILURE_HEAD.format == frames.FAILURE_HEAD.format


@given(st.integers(1, 7), st.lists(st.binary(max_size=50), max_size=3))
def test_what_one_side_writes_the_other_reads(kind: int, parts: list[bytes]) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    frames.write_frame(write, kind, *parts)
    assert FrameReader(read, 1_000).read() == (kind, b"".join(parts))
    os.write(write, frame(kind, *parts))
    assert frames.read_frame(read) == (kind, b"".join(parts))
    os.close(read)
    os.close(write)


async def test_a_hub_calls_whoever_can_be_read() -> None:
    hub = Hub(asyncio.get_running_loop())
    mine, theirs = socket.socketpair()
    heard = asyncio.Event()
    hub.watch(mine.fileno(), lambda _events: heard.set())
    theirs.send(b"x")
    await asyncio.wait_for(heard.wait(), 5)
    hub.forget(mine.fileno())
    hub.forget(mine.fileno())
    mine.close()
    theirs.close()
    hub.close()


async def test_a_hub_forgets_one_that_closes_while_others_are_called() -> None:
    hub = Hub(asyncio.get_running_loop())
    pairs = [socket.socketpair() for _ in range(8)]
    called: list[None] = []
    over = asyncio.Event()

    def first_closes_all(_events: int) -> None:
        called.append(None)
        for mine, _ in pairs:
            hub.forget(mine.fileno())
        over.set()

    for mine, theirs in pairs:
        hub.watch(mine.fileno(), first_closes_all)
        theirs.send(b"x")
    await asyncio.wait_for(over.wait(), 5)
    await asyncio.sleep(0)
    assert len(called) == 1
    for mine, theirs in pairs:
        mine.close()
        theirs.close()
    hub.close()


async def test_the_kernel_tells_who_speaks() -> None:
    mine, theirs = socket.socketpair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    theirs.send(b"hello")
    assert channel.receive_with_pid(mine) == (b"hello", os.getpid())
    mine.close()
    theirs.close()
