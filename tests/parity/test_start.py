"""Where the platform cannot run it says why, in one line, and harms nothing."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import Functions, refusal
from tests.support.life import Life, new_life
from tests.support.needs import need_command, need_root


@pytest.fixture
def life() -> Iterator[Life]:
    with new_life(ordinary_user=False) as one:
        yield one


def test_two_daemons_on_one_data_folder_are_refused(life: Life) -> None:
    functions = life.up()
    said = life.refused()
    assert str(life.data) in said
    functions.client.list_functions()


def test_a_port_in_use_is_named(life: Life) -> None:
    place = life.up().platform.endpoint.removeprefix("http://")
    with new_life(ordinary_user=False) as other:
        assert place.rpartition(":")[2] in other.refused(listen=place)


def test_a_data_folder_that_cannot_be_written_is_named() -> None:
    with new_life(ordinary_user=True) as life:
        life.data.mkdir()
        life.data.chmod(0o555)
        try:
            assert str(life.data) in life.refused()
        finally:
            life.data.chmod(0o755)


def test_only_loopback_is_listened_on(life: Life) -> None:
    functions = life.up()
    inodes = {
        link[8:-1]
        for entry in Path(f"/proc/{functions.platform.process.pid}/fd").iterdir()
        if (link := _target(entry)).startswith("socket:")
    }
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                assert fields[1].startswith(("0100007F:", "00000000000000000000000001000000:"))


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def test_the_data_folder_is_closed_to_others(life: Life) -> None:
    life.up()
    assert stat.S_IMODE(life.data.stat().st_mode) & 0o077 == 0


@contextlib.contextmanager
def _small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    folder.mkdir(mode=0o700)
    size = f"size={size_mib}m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "mayfly-test", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_refuses_changes_keeps_answering_and_recovers(life: Life) -> None:
    need_root()
    need_command("mount")
    with _small_disk(life.data, 512):
        functions = life.up()
        name = functions.make()
        # The first call brings the runtime's files into the data folder.
        assert functions.call(name, 0).value == 0
        ballast = life.data / "ballast"
        _fill(ballast)
        with pytest.raises(ClientError) as caught:
            _make_large(functions)
        assert refusal(caught.value)[1] == 500
        assert functions.call(name, 1).value == 1
        ballast.unlink()
        assert functions.call(_make_large(functions), 2).value == 2
        life.end()


def _make_large(functions: Functions) -> str:
    """A function whose archive does not compress and so needs room."""
    filler = os.urandom(2 << 20)
    source = "def handler(e, c):\n    return e\n"
    return functions.make({"app.py": source, "filler.bin": filler})


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"\0" * 65_536)
