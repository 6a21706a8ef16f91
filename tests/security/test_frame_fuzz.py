"""200,000 hostile frames: the reader tells what was whole before the garbage, and holds no more.

Seeded, in this process, with no isolate at the other end: `test_hostile_frames.py` has real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import random  # noqa: TID251 - seeded
import socket
import struct
from collections.abc import Callable, Iterator

from mayfly.drivers.channel import ANSWER, HEADER, U32, BadFrame, FrameReader, frame
from mayfly.model import limits
from mayfly.model.errors import IsolateLost
from mayfly.model.function import Reuse
from mayfly.model.invocation import Answer
from tests.support.isolate_family import Family

FRAMES = 200_000
ISOLATES = 1_500
_LENGTH_MAX = 100_000
_ROOM = random.Random(0).randbytes(70_000)  # noqa: S311 - a seeded run
_SIZES = (*(0, 1, 3, 4, 5, 6, 7, 60, 60, 300) * 20, 5_000, 66_000)
_WORDS = ("null", "7", "/../..", "\r\n\r\n", "\0", "MF\x06\0\x04\0\0\0")


def _whole(chance: random.Random) -> tuple[int, bytes]:
    size, kind = chance.choice(_SIZES), chance.randrange(256)
    at = chance.randrange(1_000)
    return kind, _ROOM[at : at + size]


def _mutated(chance: random.Random, said: bytes) -> bytes:
    """Damage at one place of a whole frame, or what never was a frame."""
    match chance.randrange(5):
        case 0:
            at = chance.randrange(HEADER.size)
            return said[:at] + chance.randbytes(1) + said[at + 1 :]
        case 1:
            length = chance.choice([0, 1, _LENGTH_MAX, _LENGTH_MAX + 1, 2**31, 2**32 - 1])
            return said[:4] + U32.pack(length) + said[8:]
        case 2:
            return said[: chance.randrange(len(said))]
        case 3:
            return chance.choice(_WORDS).encode() + said
        case _:
            return chance.randbytes(chance.randrange(1, 40))


def _first_garbage(stream: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """What a reader must tell of a stream, read off in the plainest way; whether it must refuse."""
    told: list[tuple[int, bytes]] = []
    at = 0
    while len(stream) - at >= HEADER.size:
        magic, kind, _flags, length = struct.unpack_from("<HBBI", stream, at)
        if magic != 0x464D or length > _LENGTH_MAX:
            return told, True
        end = at + HEADER.size + length
        if end > len(stream):
            break
        told.append((kind, stream[at + HEADER.size : end]))
        at = end
    return told, False


def _pieces(chance: random.Random, stream: bytes) -> Iterator[bytes]:
    sizes = [1 << 16, 4_096, 700, *((1, 7, 8, 9) if len(stream) < 500 else ())]
    cut = chance.choice(sizes)
    for at in range(0, len(stream), cut):
        yield stream[at : at + cut]


def _read_all(reader: FrameReader, pieces: Iterator[bytes]) -> tuple[list[tuple[int, bytes]], bool]:
    told = []
    try:
        for piece in pieces:
            got = reader.feed(piece)
            while got is not None:
                told.append(got)
                got = reader._take() if reader.holds_more else None
            assert len(reader._buffer) <= HEADER.size + _LENGTH_MAX + len(piece)
    except BadFrame:
        return told, True
    return told, False


def test_200_000_hostile_frames_take_no_more_than_was_said() -> None:
    chance = random.Random(1)  # noqa: S311 - a seeded run
    frames = refusals = 0
    while frames < FRAMES:
        count = chance.randrange(1, 12)
        parts = [frame(*_whole(chance)) for _ in range(count)]
        bad = chance.randrange(count)
        parts[bad] = _mutated(chance, parts[bad])
        stream = b"".join(parts)
        frames += count
        found = _read_all(FrameReader(-1, _LENGTH_MAX), _pieces(chance, stream))
        assert found == _first_garbage(stream)
        refusals += found[1]
    assert refusals > frames // 20


async def _call(family: Family) -> Answer | None:
    try:
        return await family.isolate.invoke(family.bench.invocation(), timeout_s=30)
    except IsolateLost:
        return None


async def _hear(family: Family, said: bytes) -> Answer | None:
    """What the platform makes of `said` in a call: an answer or a loss, nothing else."""
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(_call(family))
        await asyncio.sleep(0)
        family.channel.setblocking(False)
        with contextlib.suppress(OSError):
            family.channel.send(said)
        family.channel.shutdown(socket.SHUT_WR)
        for _ in range(4):  # Turns of the loop.
            await asyncio.sleep(0)
        family.isolate.buried(0)
    return call.result()


def _said(chance: random.Random) -> bytes:
    parts = [frame(*_whole(chance)) for _ in range(chance.randrange(1, 6))]
    kinds: list[Callable[[], bytes]] = [
        lambda: b"".join(parts),
        lambda: _mutated(chance, parts[0]) + b"".join(parts),
        lambda: frame(chance.choice((6, 7)), _ROOM[: chance.choice(_SIZES)]),
        lambda: frame(7, struct.pack("<IH", 2**32 - 1, chance.randrange(2**16)), _ROOM[:300]),
        lambda: b"",
    ]
    return chance.choice(kinds)()


async def test_whatever_an_isolate_says_ends_its_own_call_only() -> None:
    chance = random.Random(2)  # noqa: S311 - a seeded run
    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: broken.append(told))
    honest = Family(Reuse.WARM)
    await honest.park()
    for number in range(ISOLATES):
        hostile = Family(Reuse.WARM if number % 2 else Reuse.NEVER)
        await hostile.park()
        answer = await _hear(hostile, _said(chance))
        hostile.close()
        if answer is not None:
            assert len(answer.payload) <= limits.RESPONSE_BYTES_MAX
            assert len(answer.error_type) <= 256
            assert not answer.error_type or answer.error_type.isprintable()
        if number % 100 == 0:
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(_call(honest))
                await asyncio.sleep(0)
                honest.channel.sendall(frame(ANSWER, U32.pack(1), b'"mine"'))
            heard = call.result()
            assert heard is not None
            assert heard.payload == b'"mine"'
            honest.channel.recv(65_536)
    honest.close()
    assert not broken
