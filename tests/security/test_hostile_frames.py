"""Garbage from an isolate into its channel costs its own call, and nobody else."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mayfly.model import limits
from mayfly.model.function import Reuse
from tests.security.sandbox import Sandbox, node, open_box

SPEAKER = """
import array, json, os, socket, struct, time

def channel():
    for fd in range(1000, 1024):
        try:
            one = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if one.type == socket.SOCK_STREAM:
            return one

def handler(event, context):
    if isinstance(event, str):
        return eval(event)
    one = channel()
    for part in event["parts"]:
        one.sendall(bytes.fromhex(part))
    if event["then"] == "sleep":
        time.sleep(1000)
    if event["then"] == "exit":
        os._exit(0)
    return "mine"
"""
ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture
async def boxes(tmp_path: Path) -> AsyncIterator[tuple[Sandbox, Sandbox]]:
    """One that speaks garbage, and an honest one beside it."""
    async with node() as driver:
        hostile = await open_box(driver, tmp_path, SPEAKER)
        yield hostile, await open_box(driver, tmp_path, ECHO, seed=2)


def _stream(chance: random.Random) -> bytes:
    """Frames, half of them almost right."""
    said = b""
    for _ in range(chance.randrange(1, 5)):
        body = chance.randbytes(chance.choice([0, 1, 3, 4, 6, 7, 100, 5000]))
        length = chance.choice([len(body)] * 4 + [0, len(body) + 1, 2**31, 2**32 - 1, 7 << 20])
        magic = chance.choice([0x464D] * 6 + [0, chance.randrange(65_536)])
        kind = chance.choice([0, 1, 2, 3, 4, 5, 6, 6, 7, 7, 8, 255])
        said += struct.pack("<HBBI", magic, kind, chance.randrange(256), length) + body
    return said if chance.random() < 0.8 else said[: chance.randrange(len(said))]


async def test_garbage_costs_its_own_call_only(boxes: tuple[Sandbox, Sandbox]) -> None:
    hostile, honest = boxes
    chance = random.Random(2)  # noqa: S311 - a seeded run
    for _ in range(12):
        events = [
            {
                "parts": [_stream(chance).hex() for _ in range(chance.randrange(1, 4))],
                "then": chance.choice(["answer", "exit"]),
            }
            for _ in range(10)
        ]
        isolates = await hostile.isolates(10)
        calls = (
            hostile.invoke(event, timeout_s=10, isolate=one)
            for event, one in zip(events, isolates, strict=True)
        )
        *answers, echoed = await asyncio.gather(*calls, honest.call([1, "two"]))
        assert echoed == [1, "two"]
        assert all(len(answer.payload) <= limits.RESPONSE_BYTES_MAX for answer in answers)
    await hostile.watcher.until(lambda: len(hostile.watcher.died) == 120)
    assert not hostile.watcher.snapshot_deaths


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 8, 255])
async def test_a_frame_that_may_not_stand_there_ends_the_isolate(
    kind: int, boxes: tuple[Sandbox, Sandbox]
) -> None:
    hostile, _honest = boxes
    part = struct.pack("<HBBI", 0x464D, kind, 0, 4) + bytes(4)
    answer = await hostile.invoke({"parts": [part.hex()], "then": "sleep"}, timeout_s=20)
    # 0 is how a closed channel is told.
    expected = "Runtime.InvalidResponse" if kind else "Runtime.ExitError"
    assert answer.error_type == expected
    await hostile.watcher.until(lambda: len(hostile.watcher.died) == 1)


async def test_a_frame_that_never_ends_ends_at_its_deadline(
    boxes: tuple[Sandbox, Sandbox],
) -> None:
    hostile, honest = boxes
    part = struct.pack("<HBBI", 0x464D, 6, 0, 6_000_000) + bytes(1_000)
    call = hostile.invoke({"parts": [part.hex()], "then": "sleep"}, timeout_s=0.5)
    answer, echoed = await asyncio.gather(call, honest.call(2))
    assert (answer.error_type, echoed) == ("Sandbox.Timedout", 2)


async def test_a_second_answer_is_never_the_next_calls(tmp_path: Path) -> None:
    forged = struct.pack("<HBBI", 0x464D, 6, 0, 12) + bytes(4) + b'"forged"'
    async with node() as driver:
        box = await open_box(driver, tmp_path, SPEAKER, reuse=Reuse.WARM)
        (isolate,) = await box.isolates(1)
        first = await box.invoke({"parts": [forged.hex() * 2], "then": "answer"}, isolate=isolate)
        assert first.payload == b'"forged"'
        assert not first.alive, "who speaks out of turn is used no more"


@pytest.mark.parametrize("count", [1, 200])
async def test_descriptors_sent_to_the_daemon_stay_outside(
    count: int, boxes: tuple[Sandbox, Sandbox]
) -> None:
    hostile, honest = boxes
    before = len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240 - a file of the kernel
    send = f"socket.send_fds(channel(), [b'x'], [0] * {count})"
    answer = await hostile.invoke(send, timeout_s=5)
    assert answer.error_type in ("PermissionError", "Runtime.InvalidResponse")
    assert await honest.call(1) == 1
    await hostile.watcher.until(lambda: len(hostile.watcher.died) == 1)
    after = len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240 - as above
    assert after <= before


async def test_an_event_that_holds_frames_is_one_event(boxes: tuple[Sandbox, Sandbox]) -> None:
    _hostile, honest = boxes
    invoke = struct.pack("<HBBI", 0x464D, 5, 0, 8).decode("latin-1") + "\2\0\0\0{}null"
    for event in (invoke * 9, {"\r\n\r\n": [invoke]}, "\0" * 70_000 + invoke):
        assert await honest.call(event) == event
