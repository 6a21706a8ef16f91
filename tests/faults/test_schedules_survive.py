"""Schedules across SIGKILL: each occurrence is handed over exactly once, and none is left out."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random  # noqa: TID251  seeded, so that a failure can be replayed

import pytest

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.stores.schedules.schedule import Schedule, Target, first_plan
from mayfly.stores.schedules.store import ScheduleStore
from mayfly.stores.schedules.tokens import Token
from tests.house.test_size import ROOT

PROGRAM = Path(__file__).with_name("fire_forever.py")
BEGAN_S = 1_750_000_020  # a whole minute
SCHEDULES = 7
LIVES = 6


async def prepare(folder: Path) -> None:
    """Some schedules of one minute each."""
    database = await SqliteStore.open(folder / "mayfly.db")
    now_ms = BEGAN_S * 1000
    store = await ScheduleStore.open(database, Outbox(), now_ms)
    text = '{"who": "<aws.scheduler.schedule-arn>", "when": "<aws.scheduler.scheduled-time>"}'
    for number in range(SCHEDULES):
        schedule = Schedule(
            group="default",
            name=f"s{number}",
            expression="rate(1 minute)",
            zone="UTC",
            target=Target("arn:aws:lambda:us-east-1:000000000000:function:f", "", input=text),
            created_ms=now_ms,
            modified_ms=now_ms,
            anchor_ms=now_ms,
            revision_id="1",
        )
        await store.create(schedule, first_plan(schedule, now_ms, "0"), Token("", b"", 0))
    await database.close()


def run_until_killed(folder: Path, life: int, began_s: int, turns: int) -> int:
    """Run the program, kill it after so many turns; the last minute that it has finished."""
    command = [sys.executable, str(PROGRAM), str(folder), str(life), str(began_s)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    ) as program:
        assert program.stdout is not None
        seen = [int(program.stdout.readline()) for _ in range(turns)]
        program.kill()
        seen += [int(one) for one in program.stdout.read().splitlines(keepends=True) if "\n" in one]
    assert program.returncode == -signal.SIGKILL
    return seen[-1]


async def carried(folder: Path) -> Counter[tuple[str, str]]:
    """How often each schedule's occurrence was handed over."""
    database = await SqliteStore.open(folder / "mayfly.db")
    bodies = database.read_nowait(
        lambda connection: connection.execute("SELECT body FROM carried").fetchall()
    )
    await database.close()
    events = [json.loads(body) for (body,) in bodies]
    return Counter((event["who"], event["when"]) for event in events)


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_a_random_moment_neither_loses_nor_doubles_an_occurrence(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311  not for secrets
    asyncio.run(prepare(tmp_path))
    last_s = BEGAN_S - 60
    for life in range(LIVES):
        # The next life begins in the minute that the kill may have cut in two.
        last_s = run_until_killed(tmp_path, seed * 100 + life, last_s + 60, random.randint(1, 30))
    found = asyncio.run(carried(tmp_path))
    assert set(found.values()) == {1}
    finished = (last_s - BEGAN_S) // 60 + 1
    per_schedule = Counter(who for who, _ in found)
    # The minute after the last that was told may be handed over as well.
    assert len(per_schedule) == SCHEDULES
    assert set(per_schedule.values()) <= {finished, finished + 1}
