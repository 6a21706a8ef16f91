"""What every log store promises, the double included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from mayfly.backends.files.log_store import FileLogStore
from mayfly.model.errors import InvalidParameter
from mayfly.ports import LogLine, LogStore
from mayfly.testing.clock import VirtualClock
from mayfly.testing.memory import MemoryLogStore


@pytest.fixture(params=["files", "memory"])
async def logs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStore]:
    if request.param == "memory":
        yield MemoryLogStore()
        return
    store = FileLogStore(tmp_path / "logs", VirtualClock())
    yield store
    await store.close()


class Closable(AsyncIterator[LogLine]):
    async def aclose(self) -> None: ...


def following(logs: LogStore, function_name: str) -> Closable:
    return cast("Closable", logs.follow(function_name))


async def next_line(lines: AsyncIterator[LogLine]) -> LogLine:
    async with asyncio.timeout(10):
        return await anext(lines)


async def texts(logs: LogStore, function_name: str = "f", limit: int = 10_000) -> list[str]:
    return [line.text for line in await logs.read(function_name, limit=limit)]


async def test_a_line_is_read_as_it_was_printed(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1_000.7, "grüße\tvon\tmir\n".encode())
    assert list(await logs.read("f")) == [LogLine(1_000, "r1", "grüße\tvon\tmir")]


async def test_lines_are_read_oldest_first(logs: LogStore) -> None:
    for number in range(5):
        logs.append_nowait("f", "r1", number, f"{number}\n".encode())
    assert await texts(logs) == ["0", "1", "2", "3", "4"]


async def test_of_many_lines_the_newest_are_read(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"".join(b"%d\n" % n for n in range(5_000)))
    assert await texts(logs, limit=3) == ["4997", "4998", "4999"]


async def test_lines_before_a_time_are_left_out(logs: LogStore) -> None:
    for when in (10, 20, 30):
        logs.append_nowait("f", "r1", when, f"{when}\n".encode())
    assert [line.text for line in await logs.read("f", since_ms=20)] == ["20", "30"]


async def test_pieces_of_a_line_are_joined_call_by_call(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"one ")
    logs.append_nowait("f", "r2", 2, b"two ")
    logs.append_nowait("f", "r1", 3, b"line\nand")
    logs.append_nowait("f", "r2", 4, b"lines\n")
    logs.append_nowait("f", "r1", 5, b" more\n")
    assert list(await logs.read("f")) == [
        LogLine(1, "r1", "one line"),
        LogLine(2, "r2", "two lines"),
        LogLine(3, "r1", "and more"),
    ]


async def test_a_line_without_an_end_is_written_by_flush(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"no end")
    assert await texts(logs) == []
    await logs.flush()
    assert await texts(logs) == ["no end"]


async def test_empty_lines_and_carriage_returns_are_kept_in_order(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"\n\na\r\n50%\r100%\n")
    assert await texts(logs) == ["", "", "a", "50%\r100%"]


async def test_what_is_no_utf8_does_not_lose_the_line(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"a\xff\xfeb\n")
    assert await texts(logs) == ["a\ufffd\ufffdb"]


async def test_functions_do_not_mix(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"of f\n")
    logs.append_nowait("g", "r1", 1, b"of g\n")
    assert await texts(logs, "f") == ["of f"]
    assert await texts(logs, "g") == ["of g"]


async def test_the_log_of_a_function_that_never_printed_is_empty(logs: LogStore) -> None:
    assert await texts(logs, "silent") == []


async def test_a_forgotten_log_is_empty_and_can_begin_again(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"old\nhalf")
    await logs.forget("f")
    await logs.forget("f")
    assert await texts(logs) == []
    logs.append_nowait("f", "r1", 2, b"new\n")
    assert await texts(logs) == ["new"]


async def test_who_follows_gets_what_comes_from_then_on(logs: LogStore) -> None:
    logs.append_nowait("f", "r1", 1, b"before\n")
    await logs.flush()
    async with aclosing(following(logs, "f")) as lines:
        logs.append_nowait("f", "r1", 2, b"after\n")
        logs.append_nowait("g", "r1", 2, b"another's\n")
        logs.append_nowait("f", "r1", 3, b"and on\n")
        assert [(await next_line(lines)).text for _ in range(2)] == ["after", "and on"]


async def test_two_may_follow_and_each_gets_every_line(logs: LogStore) -> None:
    async with aclosing(following(logs, "f")) as one, aclosing(following(logs, "f")) as two:
        logs.append_nowait("f", "r1", 1, b"line\n")
        assert await next_line(one) == await next_line(two) == LogLine(1, "r1", "line")


@pytest.mark.parametrize("name", ["../f", "a/b", "", ".", "f\0", "a b"])
async def test_a_name_that_is_no_functions_name_has_no_log(logs: LogStore, name: str) -> None:
    with pytest.raises(InvalidParameter):
        logs.append_nowait(name, "r1", 1, b"line\n")
