"""The log on disk: rotation, a disk that refuses, a crash within a line, a slow reader."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.backends.files.log_files import FILES_MAX, LogFiles
from mayfly.backends.files.log_follower import Follower
from mayfly.backends.files.log_lines import LINE_BYTES_MAX, LineJoiner, parsed, written
from mayfly.backends.files.log_store import FileLogStore
from mayfly.backends.files.sites import Site
from mayfly.model.errors import ShuttingDown, StorageFailed
from mayfly.ports import LogLine, unwatched
from mayfly.testing.clock import VirtualClock
from mayfly.testing.faults import Faults

Maker = Callable[..., FileLogStore]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def logs(root: Path, faults: Faults) -> AsyncIterator[FileLogStore]:
    store = FileLogStore(
        root, VirtualClock(), file_bytes_max=10_000, buffer_bytes_max=20_000, sites=faults
    )
    yield store
    faults.heal()
    await store.close()


async def texts(logs: FileLogStore, limit: int = 10_000) -> list[str]:
    return [line.text for line in await logs.read("f", limit=limit)]


def line(text: str) -> bytes:
    return written(LogLine(1, "r", text))


async def test_a_file_holds_time_request_and_text(logs: FileLogStore, root: Path) -> None:
    logs.append_nowait("f", "r1", 1_234.9, b"hello\n")
    await logs.flush()
    assert (root / "f" / "0.log").read_bytes() == b"1234\tr1\thello\n"


async def test_full_files_are_rotated_and_the_oldest_goes(logs: FileLogStore, root: Path) -> None:
    for number in range(95):
        logs.append_nowait("f", "r", number, b"%d %s\n" % (number, b"x" * 1_000))
        await logs.flush()
    files = sorted(path.name for path in (root / "f").iterdir())
    assert files == [f"{number}.log" for number in range(FILES_MAX)]
    assert sum(path.stat().st_size for path in (root / "f").iterdir()) <= FILES_MAX * 12_000
    found = [int(text.split()[0]) for text in await texts(logs)]
    assert found == list(range(found[0], 95))


async def test_the_newest_lines_of_rotated_files_are_read_in_order(logs: FileLogStore) -> None:
    for number in range(30):
        logs.append_nowait("f", "r", number, b"%d %s\n" % (number, b"x" * 1_000))
        await logs.flush()
    assert [text.split()[0] for text in await texts(logs, limit=15)] == [
        str(number) for number in range(15, 30)
    ]


async def test_output_over_the_bound_is_dropped_and_the_log_says_how_much(
    logs: FileLogStore,
) -> None:
    gate = threading.Event()
    held = asyncio.get_running_loop().create_task(logs._ask(lambda: gate.wait(10)))
    await asyncio.sleep(0)
    for _ in range(30):
        logs.append_nowait("f", "r", 1, b"x" * 999 + b"\n")
    gate.set()
    await held
    await logs.flush()
    found = await texts(logs)
    kept = [text for text in found if text.startswith("x")]
    assert 0 < len(kept) < 30
    dropped = 1_000 * (30 - len(kept))
    assert f"... {dropped} bytes of log dropped" in await texts(logs)


async def test_a_full_disk_loses_lines_but_stops_nobody_and_is_told_later(
    logs: FileLogStore, faults: Faults
) -> None:
    faults.fail(Site.LOG_WRITE, number=errno.ENOSPC)
    logs.append_nowait("f", "r", 1, b"lost\n")
    await logs.flush()
    assert await texts(logs) == []
    faults.heal()
    logs.append_nowait("f", "r", 2, b"kept\n")
    await logs.flush()
    found = await texts(logs)
    assert "kept" in found
    assert f"... {len('1	r	lost') + 1} bytes of log dropped" in found


async def test_who_follows_gets_lines_that_the_disk_refused(
    logs: FileLogStore, faults: Faults
) -> None:
    faults.fail(Site.LOG_WRITE, times=1)
    lines = logs.follow("f")
    logs.append_nowait("f", "r", 1, b"lost on disk\n")
    async with asyncio.timeout(10):
        assert (await anext(lines)).text == "lost on disk"


async def test_a_rotation_that_fails_loses_nothing(logs: FileLogStore, faults: Faults) -> None:
    faults.fail(Site.LOG_ROTATE, times=3)
    for number in range(15):
        logs.append_nowait("f", "r", number, b"%d %s\n" % (number, b"x" * 1_000))
        await logs.flush()
    found = [text.split()[0] for text in await texts(logs) if "dropped" not in text]
    assert found == [str(number) for number in range(15)]


@pytest.mark.parametrize("site", [Site.LOG_READ, Site.LOG_FORGET])
async def test_a_disk_that_refuses_is_named(logs: FileLogStore, faults: Faults, site: Site) -> None:
    logs.append_nowait("f", "r", 1, b"line\n")
    faults.fail(site, times=1)
    act = logs.read if site is Site.LOG_READ else logs.forget
    with pytest.raises(StorageFailed, match=site):
        await act("f")
    assert await texts(logs) == ["line"]


async def test_a_line_that_does_not_end_is_written_after_a_second(root: Path) -> None:
    clock = VirtualClock()
    logs = FileLogStore(root, clock)
    logs.append_nowait("f", "r", 1, b"password: ")
    assert await texts(logs) == []
    clock.step(1.1)
    logs.append_nowait("g", "r", 1, b"other\n")
    lines = logs.follow("f")
    async with asyncio.timeout(10):
        assert (await anext(lines)).text == "password: "
    await logs.close()


async def test_the_log_outlives_the_store(root: Path) -> None:
    for text in (b"one\n", b"two, not ended"):
        logs = FileLogStore(root, VirtualClock())
        logs.append_nowait("f", "r", 1, text)
        await logs.close()
    logs = FileLogStore(root, VirtualClock())
    assert await texts(logs) == ["one", "two, not ended"]
    await logs.close()


async def test_a_closed_log_takes_nothing_and_can_be_closed_again(root: Path) -> None:
    logs = FileLogStore(root, VirtualClock())
    await logs.close()
    await logs.close()
    logs.append_nowait("f", "r", 1, b"too late\n")
    with pytest.raises(ShuttingDown):
        await logs.read("f")


async def test_nobody_is_kept_who_does_not_follow_any_more(logs: FileLogStore) -> None:
    lines = logs.follow("f")
    logs.append_nowait("f", "r", 1, b"line\n")
    async with asyncio.timeout(10):
        await anext(lines)
    del lines
    gc.collect()
    logs.append_nowait("f", "r", 2, b"nobody listens\n")
    await logs.flush()
    assert "f" not in logs._followers


async def test_a_slow_reader_loses_the_oldest_lines_and_is_told() -> None:
    follower = Follower(waiting_max=3)
    follower.offer_nowait([LogLine(number, "r", str(number)) for number in range(5)])
    found = [(await anext(follower)).text for _ in range(4)]
    assert found == ["... 2 lines lost: this reader is too slow", "2", "3", "4"]


async def test_a_closed_follower_ends_after_what_has_come() -> None:
    follower = Follower()
    follower.offer_nowait([LogLine(1, "r", "last")])
    await follower.aclose()
    assert [one.text async for one in follower] == ["last"]


def test_a_line_cut_off_by_a_crash_is_passed_over_and_the_next_one_is_whole(root: Path) -> None:
    files = LogFiles(root, file_bytes_max=10_000, sites=unwatched)
    files.append("f", line("before") + line("cut off")[:-3])
    assert [one.text for one in files.read("f", since_ms=0, count_max=9)] == ["before"]
    files.append("f", line("after"))
    found = [one.text for one in files.read("f", since_ms=0, count_max=9)]
    assert (found[0], found[-1]) == ("before", "after")


def test_what_is_no_line_is_passed_over(root: Path) -> None:
    files = LogFiles(root, file_bytes_max=10_000, sites=unwatched)
    files.append("f", b"\n\nnonsense\n12\tonly\n-5\tr\ttext\n\xff\xfe\n" + line("good"))
    assert [one.text for one in files.read("f", since_ms=0, count_max=9)] == ["good"]


def test_the_last_lines_of_a_large_file_are_found_without_reading_it_all(root: Path) -> None:
    files = LogFiles(root, file_bytes_max=1 << 40, sites=unwatched)
    files.append("f", line("x" * 50) * 10)
    # A hole of a terabyte stands for a file that would take minutes to read.
    with (root / "f" / "0.log").open("r+b") as file:
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b"\n" + line("near the end") * 3)
    assert len(files.read("f", since_ms=0, count_max=3)) == 3


def test_a_search_by_time_ends_early_and_bears_small_jumps_of_the_clock(root: Path) -> None:
    files = LogFiles(root, file_bytes_max=1 << 30, sites=unwatched)
    times = [*range(5_000), 9_000, 4_990, 9_001]
    files.append("f", b"".join(written(LogLine(when, "r", "x")) for when in times))
    found = files.read("f", since_ms=9_000, count_max=10)
    assert [one.when_ms for one in found] == [9_000, 9_001]


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), max_size=20),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=10),
)
def test_however_output_is_cut_into_pieces_the_lines_are_the_same(
    lines: list[str], sizes: list[int]
) -> None:
    data = "".join(one + "\n" for one in lines).encode()
    joiner = LineJoiner()
    found: list[str] = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        piece = data[at : at + size]
        found += [one.text for one in joiner.feed(("f", "r"), piece, when_ms=0, now_s=0)]
        at, turn = at + size, turn + 1
    assert found == [one.removesuffix("\r") for one in lines]
    assert not joiner.has_open


@given(
    when=st.integers(0, 10**13),
    text=st.text(st.characters(exclude_characters="\n", codec="utf-8")),
)
def test_a_line_reads_as_it_was_written(when: int, text: str) -> None:
    one = LogLine(when, "r-1", text)
    assert parsed(written(one).removesuffix(b"\n")) == one


def test_a_line_without_an_end_does_not_grow_without_bound() -> None:
    joiner = LineJoiner()
    pieces = [b"x" * 1_000 for _ in range(200)]
    found = [one for p in pieces for one in joiner.feed(("f", "r"), p, when_ms=0, now_s=0)]
    assert sum(len(one.text) for one in found) >= 200_000 - LINE_BYTES_MAX
    assert max(len(one.text) for one in found) <= LINE_BYTES_MAX


def test_of_many_lines_without_an_end_the_oldest_are_ended() -> None:
    joiner = LineJoiner()
    for number in range(10):
        list(joiner.feed(("f", f"r{number}"), b"half", when_ms=number, now_s=0))
    ended = [one.request_id for _, one in joiner.close_beyond(7)]
    assert ended == ["r0", "r1", "r2"]


def test_the_end_of_a_line_that_was_ended_early_makes_no_empty_line() -> None:
    joiner = LineJoiner()

    def fed(data: bytes) -> list[str]:
        return [one.text for one in joiner.feed(("f", "r"), data, when_ms=0, now_s=0)]

    assert fed(b"password: ") == []
    assert [one.text for _, one in joiner.close_older(1.0)] == ["password: "]
    assert fed(b"\nEND\n") == ["END"]
    assert fed(b"\n") == [""]
