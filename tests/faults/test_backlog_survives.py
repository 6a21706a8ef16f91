"""An acknowledged event is there after SIGKILL, whenever it comes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from random import Random  # noqa: TID251  seeded, so that a failure can be replayed

import pytest

from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.store import SqliteStore

PROGRAM = Path(__file__).with_name("accept_forever.py")
LIVES = 3


def acknowledged_until_killed(path: Path, prefix: str, lines: int) -> list[str]:
    """Run the program, kill it when it has acknowledged `lines` events, give all it printed."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, path, prefix], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        seen = [program.stdout.readline().strip() for _ in range(lines)]
        program.kill()
        rest = program.stdout.read().splitlines(keepends=True)
    assert program.returncode == -signal.SIGKILL
    # The last line may be cut off in the middle.
    return seen + [line.strip() for line in rest if line.endswith("\n")]


async def all_events(path: Path) -> list[str]:
    store = await SqliteStore.open(path)
    backlog = await SqliteBacklog.open(store)
    found = await backlog.lease(now_ms=0, lease_ms=1, shares={"f": 1_000_000})
    counts = await backlog.counts()
    await backlog.release(now_ms=0)
    await store.close()
    assert counts["leased"] == len(found)
    return [event.event_id for event in found]


@pytest.mark.parametrize("seed", range(4))
def test_every_acknowledged_event_is_there_after_a_kill_at_a_random_moment(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311  not for secrets
    path = tmp_path / "mayfly.db"
    acknowledged: list[str] = []
    for life in range(LIVES):
        acknowledged += acknowledged_until_killed(path, f"life{life}", random.randint(1, 400))
        found = asyncio.run(all_events(path))
        assert not set(acknowledged) - set(found)
        assert len(found) == len(set(found))
