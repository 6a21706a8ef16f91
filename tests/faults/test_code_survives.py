"""After a kill at any moment, code that was told to be kept is whole, nothing is half there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random  # noqa: TID251  seeded, so that a failure can be replayed

import pytest

from mayfly.backends.files.code_store import FileCodeStore
from mayfly.images.tree import plant_tree

PROGRAM = Path(__file__).with_name("put_forever.py")
TOP = Path(__file__).parents[2]


def kept_until_killed(root: Path, prefix: str, lines: int) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(TOP)}  # noqa: TID251  for its mark
    with subprocess.Popen(
        [sys.executable, PROGRAM, root, prefix], stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        seen = [program.stdout.readline().strip() for _ in range(lines)]
        program.kill()
        rest = program.stdout.read().splitlines(keepends=True)
    assert program.returncode == -signal.SIGKILL
    return seen + [line.strip() for line in rest if line.endswith("\n")]


async def reopened(root: Path) -> None:
    store = await FileCodeStore.open(root, plant=plant_tree)
    await store.close()


@pytest.mark.parametrize("seed", range(3))
def test_code_that_was_kept_is_whole_after_a_kill_at_a_random_moment(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311  not for secrets
    kept: list[str] = []
    for life in range(3):
        kept += kept_until_killed(tmp_path, f"life{life}", random.randint(1, 20))
        asyncio.run(reopened(tmp_path))
        for folder in ("archives", "trees"):
            assert not [path for path in (tmp_path / folder).iterdir() if path.name[0] == "."]
        # Whole: what is under a digest has that digest, and each tree is its archive's.
        for tree in (tmp_path / "trees").iterdir():
            archive = tmp_path / "archives" / f"{tree.name}.zip"
            assert hashlib.sha256(archive.read_bytes()).hexdigest() == tree.name
            with zipfile.ZipFile(archive) as opened:
                for name in opened.namelist():
                    assert (tree / name).read_bytes() == opened.read(name)
        assert not set(kept) - {tree.name for tree in (tmp_path / "trees").iterdir()}
