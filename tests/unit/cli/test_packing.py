from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from mayfly.cli.failure import Failed
from mayfly.cli.packing import pack
from mayfly.model import limits


def write(folder: Path, *names: str) -> Path:
    for name in ("mayfly.toml", *names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return folder


def names(archive: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.namelist()


def test_the_same_files_give_the_same_bytes_whatever_their_times_and_order(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "app.py", "lib/a.py")
    two = write(tmp_path / "two", "lib/a.py", "app.py")
    os.utime(two / "app.py", (1_000_000_000, 1_000_000_000))
    (two / "app.py").chmod(0o600)
    assert pack(one) == pack(two)


def test_a_changed_file_gives_other_bytes(tmp_path: Path) -> None:
    before = pack(write(tmp_path, "app.py"))
    (tmp_path / "app.py").write_text("changed")
    assert pack(tmp_path) != before


def test_an_executable_file_stays_executable(tmp_path: Path) -> None:
    write(tmp_path, "bootstrap")
    (tmp_path / "bootstrap").chmod(0o755)
    with zipfile.ZipFile(io.BytesIO(pack(tmp_path))) as opened:
        modes = {one.filename: one.external_attr >> 16 for one in opened.infolist()}
    assert modes == {"bootstrap": 0o100755, "mayfly.toml": 0o100644}


def test_litter_stays_behind(tmp_path: Path) -> None:
    write(
        tmp_path,
        "app.py",
        ".git/config",
        "__pycache__/app.pyc",
        "lib/__pycache__/b.pyc",
        ".venv/bin/python",
        ".DS_Store",
    )
    assert names(pack(tmp_path)) == ["app.py", "mayfly.toml"]


def test_a_hidden_file_that_is_no_litter_is_taken(tmp_path: Path) -> None:
    assert names(pack(write(tmp_path, ".config.json"))) == [".config.json", "mayfly.toml"]


def test_mayflyignore_leaves_out_what_it_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        "app.py",
        "a.log",
        "keep.log",
        "notes/x.txt",
        "lib/notes.txt",
        "data/big",
        "lib/data",
    )
    (tmp_path / ".mayflyignore").write_text("# why\n\n*.log\n!keep.log\nnotes/\n/data\n")
    assert names(pack(tmp_path)) == [
        "app.py",
        "keep.log",
        "lib/data",
        "lib/notes.txt",
        "mayfly.toml",
    ]


def test_a_link_within_the_folder_is_packed_as_its_file(tmp_path: Path) -> None:
    write(tmp_path, "app.py")
    (tmp_path / "same.py").symlink_to("app.py")
    with zipfile.ZipFile(io.BytesIO(pack(tmp_path))) as opened:
        assert opened.read("same.py") == opened.read("app.py")


def test_a_link_out_of_the_folder_is_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "function", "app.py")
    (tmp_path / "secret").write_text("mine")
    (folder / "config").symlink_to("../secret")
    with pytest.raises(Failed, match=r"config is a link out of the folder"):
        pack(folder)


def test_a_link_to_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "lib/a.py")
    (tmp_path / "again").symlink_to("lib")
    with pytest.raises(Failed, match=r"again is a link to a folder"):
        pack(tmp_path)


def test_a_broken_link_and_a_fifo_are_refused_without_waiting(tmp_path: Path) -> None:
    write(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failed, match="pipe is neither a file"):
        pack(tmp_path)


def test_a_folder_without_a_manifest_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="mayfly init"):
        pack(tmp_path)


def test_an_archive_over_the_bound_is_refused_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CODE_ZIPPED_BYTES_MAX", 1024)
    (write(tmp_path) / "noise").write_bytes(os.urandom(4096))
    with pytest.raises(Failed, match=r"over the bound .* \.mayflyignore"):
        pack(tmp_path)
