"""What is counted in a folder that becomes part of an image."""

from __future__ import annotations

from pathlib import Path

from mayfly.drivers.inventory import take_inventory

ELF = b"\x7fELF\x02\x01\x01" + bytes(9)


def put(folder: Path, name: str, content: bytes, mode: int = 0o644) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def test_files_links_and_bytes_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.py", b"12345")
    put(tmp_path, "lib/b.py", b"123")
    (tmp_path / "c").symlink_to("a.py")
    (tmp_path / "d").symlink_to("lib")
    tree = take_inventory(tmp_path, "/var/task")
    assert (tree.place, tree.files, tree.links, tree.size_bytes) == ("/var/task", 2, 2, 8)


def test_a_program_is_elf_that_can_be_executed_and_no_library(tmp_path: Path) -> None:
    put(tmp_path, "bin/tool", ELF, 0o755)
    put(tmp_path, "bin/data", ELF, 0o644)
    put(tmp_path, "lib/libx.so.1", ELF, 0o755)
    put(tmp_path, "lib/ld-linux-x86-64.so.2", ELF, 0o755)
    put(tmp_path, "bin/script", b"#!/bin/sh\n", 0o755)
    put(tmp_path, "bin/text", b"hello", 0o755)
    tree = take_inventory(tmp_path, "/")
    assert tree.programs == ("/bin/tool", "/lib/ld-linux-x86-64.so.2")
    assert tree.scripts == 1


def test_shells_and_files_that_run_as_somebody_else_are_named(tmp_path: Path) -> None:
    put(tmp_path, "bin/bash", ELF, 0o755)
    put(tmp_path, "bin/busybox", b"#!/x\n", 0o755)
    put(tmp_path, "bin/su", ELF, 0o4755)
    put(tmp_path, "bin/wall", b"", 0o2644)
    tree = take_inventory(tmp_path, "/var/deps")
    assert tree.shells == ("/var/deps/bin/bash", "/var/deps/bin/busybox")
    assert tree.setuid == ("/var/deps/bin/su", "/var/deps/bin/wall")


def test_an_empty_folder_is_nothing(tmp_path: Path) -> None:
    tree = take_inventory(tmp_path, "/")
    assert (tree.files, tree.programs, tree.setuid, tree.shells) == (0, (), (), ())
