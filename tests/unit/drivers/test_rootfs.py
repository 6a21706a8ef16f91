"""A runtime's tree holds an interpreter, what it loads, and nothing that a stranger could use."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mayfly.drivers import rootfs
from mayfly.model.errors import SnapshotFailed, StorageFailed
from mayfly.ports import RuntimeInfo
from tests.support.platform import RUNTIME
from tests.support.process_driver import runtimes_folder, this_runtime

DEAD_PID = 4_194_305  # Past the largest that Linux gives.


@pytest.fixture(scope="module")
def tree() -> Path:
    """The tree that the suite shares."""
    return rootfs.build(this_runtime()[RUNTIME], runtimes_folder())


def _files(tree: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(tree):
        yield from (Path(folder, name) for name in names)


def _inside(tree: Path, path: str) -> Path:
    """Where `path` leads for whoever has the tree as `/`."""
    place = tree / path.lstrip("/")
    for _ in range(8):
        parts = place.relative_to(tree).parts
        place = tree
        for part in parts:
            place /= part
            if place.is_symlink():
                target = place.readlink()
                place = (
                    tree / target.relative_to("/")
                    if target.is_absolute()
                    else place.parent / target
                )
    return place


def test_it_is_found_again_and_not_built_twice(tree: Path) -> None:
    before = tree.stat()
    again = rootfs.build(this_runtime()[RUNTIME], runtimes_folder())
    assert (again, again.stat().st_ino) == (tree, before.st_ino)


def test_every_library_that_the_loader_wants_is_in_it(tree: Path) -> None:
    wanting = [one for one in _files(tree) if one.suffix == ".so" or ".so." in one.name]
    executable = this_runtime()[RUNTIME].executable
    wanting.append(_inside(tree, str(executable)))
    assert len(wanting) > 30
    loader = rootfs._loader()
    missing = []
    for file in wanting:
        listing = subprocess.run(
            [loader, "--list", str(file)], capture_output=True, text=True, check=False
        ).stdout
        for line in listing.splitlines():
            _, arrow, found = line.partition(" => ")
            path = found.split(" (")[0].strip()
            if arrow and path.startswith("/") and not _inside(tree, path).exists():
                missing.append((file.name, path))
    assert not missing
    assert _inside(tree, loader).exists()


def test_nothing_in_it_can_be_run_but_the_interpreter_and_the_loader(tree: Path) -> None:
    programs = set()
    for file in _files(tree):
        if file.is_symlink() or not file.stat().st_mode & 0o111:
            continue
        with file.open("rb") as opened:
            head = opened.read(18)
        # ELF type 2 is a program, 3 a library or a position-independent program.
        if head[:4] == b"\x7fELF" and ".so" not in file.name:
            programs.add(file.name)
    executable = this_runtime()[RUNTIME].executable
    assert programs <= {executable.name}
    for name in ("sh", "bash", "dash", "busybox", "env", "perl", "pip", "apt", "dpkg"):
        assert not [
            one
            for folder in ("bin", "usr/bin", "sbin", "usr/sbin")
            if (one := tree / folder / name).exists()
        ]


def test_no_file_lends_its_owners_rights(tree: Path) -> None:
    special = stat.S_ISUID | stat.S_ISGID
    assert not [one for one in _files(tree) if one.lstat().st_mode & special]
    assert not [
        one
        for one in _files(tree)
        if stat.S_IFMT(one.lstat().st_mode) not in (stat.S_IFREG, stat.S_IFLNK)
    ]


def test_every_user_can_read_it_and_nobody_else_can_write(tree: Path) -> None:
    for folder, _, names in os.walk(tree):
        assert Path(folder).stat().st_mode & 0o005 == 0o005, folder
        for name in names:
            mode = Path(folder, name).lstat().st_mode
            assert stat.S_ISLNK(mode) or (mode & 0o004 and not mode & 0o022), name


def test_the_nodes_packages_and_secrets_are_not_in_it(tree: Path) -> None:
    folders = {Path(folder).name for folder, _, _ in os.walk(tree)}
    assert not folders & {"site-packages", "dist-packages", "idlelib", "ensurepip"}
    assert not (tree / "etc/shadow").exists()
    # An interpreter may live in somebody's home; nothing else of that home comes along.
    homes = [one for home in ("root", "home") for one in _files(tree / home)]
    assert all(this_runtime()[RUNTIME].version in str(one.relative_to(tree)) for one in homes)
    assert "nonexistent" in (tree / "etc/passwd").read_text()
    assert (tree / "etc/hosts").read_text().startswith("127.0.0.1 localhost")


def test_what_is_mounted_on_is_there_and_empty(tree: Path) -> None:
    for name in ("dev", "proc", "tmp", "var/task", "var/deps"):
        assert list((tree / name).iterdir()) == [], name


def test_an_interpreter_that_does_not_run_is_named(tmp_path: Path) -> None:
    for executable in (tmp_path / "nowhere", Path("/bin/false")):
        with pytest.raises(SnapshotFailed, match=executable.name):
            rootfs.build(RuntimeInfo("python3.99", executable, "3.99"), tmp_path)


def test_a_full_disk_leaves_no_half_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(tree: Path, *_: object) -> None:
        (tree / "usr").mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rootfs, "_fill", fill)
    with pytest.raises(StorageFailed) as caught:
        rootfs.build(RuntimeInfo("p", Path(sys.executable), "3"), tmp_path)
    assert caught.value.errno == 28
    assert list(tmp_path.iterdir()) == []


def test_half_trees_of_the_dead_are_swept_and_nothing_else(tmp_path: Path) -> None:
    gone = tmp_path / f".python3.11-0123456789abcdef.{DEAD_PID}"
    ours = tmp_path / f".python3.11-0123456789abcdef.{os.getpid()}"
    kept = [
        tmp_path / "python3.11-0123456789abcdef",
        tmp_path / f".python3.11-0123456789abcdef.{os.getppid()}",
        tmp_path / ".something.1",
        tmp_path / ".else",
    ]
    for folder in (gone, ours, *kept):
        (folder / "usr").mkdir(parents=True)
    rootfs.sweep(tmp_path)
    assert not gone.exists()
    assert not ours.exists(), "a process of an earlier life had our number"
    assert all(folder.exists() for folder in kept)
    rootfs.sweep(tmp_path / "nowhere")


def test_a_loader_that_does_not_answer_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = subprocess.run

    def slow(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if "--list" in command:
            raise subprocess.TimeoutExpired(command, 20)
        return runs(command, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(SnapshotFailed, match="cannot be made"):
        rootfs.build(this_runtime()[RUNTIME], tmp_path)
    assert not list(tmp_path.iterdir())
