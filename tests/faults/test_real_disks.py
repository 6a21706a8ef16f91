"""A disk that is really full, and a folder that really cannot be written."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path

from mayfly.backends.sqlite.store import SqliteStore
from tests.support import unprivileged
from tests.support.needs import need, need_command, need_root

HERE = Path(__file__).parent
TOP = HERE.parents[1]


def test_a_full_disk_refuses_by_name_and_all_goes_on_when_there_is_space(tmp_path: Path) -> None:
    need_root()
    unshare = need_command("unshare")
    # Seen by the program alone, and gone with it.
    mount = f"mount -t tmpfs -o size=2m tmpfs {shlex.quote(str(tmp_path))}"
    probe = subprocess.run(
        [unshare, "--mount", "sh", "-c", mount], capture_output=True, check=False
    )
    need(probe.returncode == 0, "the right to mount a tmpfs")
    program = shlex.join([sys.executable, str(HERE / "fill_disk.py"), str(tmp_path)])
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", f"{mount} && exec {program}"],
        env={**os.environ, "PYTHONPATH": str(TOP)},  # noqa: TID251  the suite's mark goes along
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-3_000:]


def test_a_data_folder_that_cannot_be_written_is_told_with_what_to_do() -> None:
    shelf = Path(os.environ["MAYFLY_SUITE"])  # noqa: TID251  others can enter it
    root = shelf / "read-only-data"
    root.mkdir(mode=0o755)
    asyncio.run(opened_and_closed(root))
    for path in (*root.iterdir(), root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run(
            unprivileged.as_user([str(unprivileged.interpreter()), str(copied(shelf)), str(root)]),
            env={"PYTHONPATH": unprivileged.search_path(shelf)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        root.chmod(0o755)
        for path in (*root.iterdir(), shelf / "open_store.py"):
            path.unlink()
        root.rmdir()
    assert "storage failed at STORE:OPEN: E" in done.stdout, done.stderr[-3_000:]
    assert "writable" in done.stdout
    assert str(root) in done.stdout


def copied(shelf: Path) -> Path:
    """The program, where the ordinary user can read it."""
    program = shelf / "open_store.py"
    program.write_bytes((HERE / "open_store.py").read_bytes())
    program.chmod(0o644)
    return program


async def opened_and_closed(root: Path) -> None:
    store = await SqliteStore.open(root / "mayfly.db")
    await store.close()
