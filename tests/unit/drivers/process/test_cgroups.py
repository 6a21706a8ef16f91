"""Cgroups of both versions, on folders that stand in for the kernel's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mayfly.drivers.process import cgroups
from mayfly.drivers.process.cgroups import Leaf
from mayfly.drivers.process.plan import CgroupPlan, Plan

MIB = 1 << 20
FILES_V1 = {
    "memory": (
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.swappiness",
        "memory.oom_control",
        "cgroup.procs",
        "tasks",
    ),
    "pids": ("pids.max", "cgroup.procs", "tasks"),
    "cpu": ("cpu.shares", "cgroup.procs", "tasks"),
}
FILES_V2 = (
    *("memory.max", "memory.swap.max", "memory.oom.group", "memory.events", "pids.max"),
    *("cpu.weight", "cgroup.procs", "cgroup.subtree_control", "cgroup.controllers"),
)


def plan_of(cgroup: CgroupPlan) -> Plan:
    return Plan(
        snapshot_id="snap",
        rootless=True,
        host_uid=1,
        root="/",
        binds=[],
        tmp_bytes=MIB,
        memory_bytes=128 * MIB,
        pids_max=64,
        cpu_shares=512,
        overhead_bytes=16 * MIB,
        abi=0,
        filter_hex="",
        open_files_max=64,
        processes_max=64,
        cgroup=cgroup,
    )


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Makes new folders below a root have the files that the kernel would put there."""
    mkdir, rmdir = os.mkdir, os.rmdir

    def furnish(folder: Path, root: Path) -> None:
        controller = folder.relative_to(root).parts[0]
        for name in FILES_V1.get(controller, FILES_V2):
            (folder / name).touch()

    def at(own: str, root: Path) -> None:
        def new_folder(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            mkdir(path, mode, dir_fd=dir_fd)
            above = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
            furnish(above / path, root)

        def remove_folder(path: str) -> None:
            for one in Path(path).iterdir():
                if one.is_file() and not (one.name == "cgroup.procs" and one.read_text()):
                    one.unlink()
            rmdir(path)

        monkeypatch.setattr(os, "mkdir", new_folder)
        monkeypatch.setattr(os, "rmdir", remove_folder)
        names = [line.split(":") for line in own.splitlines()]
        table = {c: line[2] for line in names for c in line[1].split(",")}
        monkeypatch.setattr(cgroups, "_own_cgroups", lambda: table)

    return at


@pytest.fixture
def v1(tmp_path: Path, kernel: Callable[[str, Path], None]) -> Path:
    for controller, files in FILES_V1.items():
        (tmp_path / controller / "shell").mkdir(parents=True)
        for name in files:
            (tmp_path / controller / "shell" / name).touch()
    kernel("9:memory:/shell\n8:pids:/shell\n3:cpu,cpuacct:/shell\n0::/", tmp_path)
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path, kernel: Callable[[str, Path], None]) -> Path:
    folder = tmp_path
    for name in ("", "user.slice", "me.scope"):
        folder /= name
        folder.mkdir(exist_ok=True)
        for file in FILES_V2:
            (folder / file).touch()
        (folder / "cgroup.controllers").write_text("cpu io memory pids\n")
    for folder in (tmp_path, tmp_path / "user.slice"):
        (folder / "cgroup.subtree_control").write_text("cpu memory pids\n")
    kernel("0::/user.slice/me.scope", tmp_path)
    return tmp_path


def test_version_1_takes_every_controller_at_our_own_place(v1: Path) -> None:
    plan = cgroups.find("tag", str(v1))
    assert plan.version == 1
    assert plan.folders == {
        name: f"{v1}/{name}/shell/mayfly-tag" for name in ("memory", "pids", "cpu")
    }
    assert all(Path(folder).is_dir() for folder in plan.folders.values())


def test_what_an_earlier_life_left_is_removed_wherever_it_lived(v1: Path) -> None:
    stale = v1 / "memory" / "other" / "deep" / "mayfly-tag" / "snap" / "0"
    strangers = v1 / "memory" / "other" / "mayfly-stranger"
    for folder in (stale, strangers):
        folder.mkdir(parents=True)
    cgroups.find("tag", str(v1))
    assert not stale.parents[1].exists()
    assert strangers.exists()


def test_version_2_takes_the_highest_place_that_is_delegated(v2: Path) -> None:
    plan = cgroups.find("tag", str(v2))
    assert (plan.version, plan.folders) == (2, {"": f"{v2}/mayfly-tag"})


def test_version_2_without_the_memory_controller_is_none(v2: Path) -> None:
    for folder in (v2, v2 / "user.slice"):
        (folder / "cgroup.subtree_control").write_text("cpu pids\n")
    assert cgroups._delegated(str(v2), "/user.slice/me.scope") is None
    assert cgroups.find("tag", str(v2)).version == 0


def test_processes_never_live_beside_children_with_controllers(v2: Path) -> None:
    """Our own cgroup has us in it, so it does not serve even when it is ours to write."""
    (v2 / "cgroup.subtree_control").write_text("")
    assert cgroups._delegated(str(v2), "/user.slice/me.scope") == f"{v2}/user.slice"


def test_each_controller_that_there_is_is_enabled_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io pids\n")
    (tmp_path / "cgroup.subtree_control").touch()
    written: list[str] = []
    monkeypatch.setattr(cgroups, "write", lambda _path, text, **_: written.append(text))
    cgroups._enable(str(tmp_path))
    assert written == ["+pids", "+cpu"]


def test_version_1_limits_snapshot_and_isolate(v1: Path) -> None:
    base = cgroups.find("tag", str(v1))
    plan = plan_of(CgroupPlan(1, {k: f"{v}/snap" for k, v in base.folders.items()}))
    fds = cgroups.make_snapshot_folder(plan)
    memory, pids, cpu = (Path(plan.cgroup.folders[name]) for name in ("memory", "pids", "cpu"))
    assert (memory / "self/memory.limit_in_bytes").read_text() == str(144 * MIB)
    assert (cpu / "cpu.shares").read_text() == "512"
    assert (pids / "self/tasks").read_text() == "0", "0 is oneself"
    leaf = Leaf(plan, fds, "0")
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        assert (memory / "0" / name).read_text() == str(128 * MIB)
    assert (pids / "0/pids.max").read_text() == "64"
    assert not (cpu / "0").exists(), "moving a process there costs more than all else"
    leaf.take_in(4711)
    assert (memory / "0/cgroup.procs").read_text() == "", "who moves another waits for all forks"
    for moving in leaf.moving_fds:
        os.write(moving, b"0")
    assert (memory / "0/tasks").read_text() == (pids / "0/tasks").read_text() == "0"
    for fd in fds:
        os.close(fd)


def test_version_2_limits_snapshot_and_isolate(v2: Path) -> None:
    base = cgroups.find("tag", str(v2))
    plan = plan_of(CgroupPlan(2, {"": f"{base.folders['']}/snap"}))
    fds = cgroups.make_snapshot_folder(plan)
    folder = Path(plan.cgroup.folders[""])
    assert (folder / "self/memory.max").read_text() == str(144 * MIB)
    assert (folder / "cpu.weight").read_text() == "50"
    leaf = Leaf(plan, fds, "0")
    leaf.take_in(7)
    assert leaf.moving_fds == []
    assert (folder / "0/memory.max").read_text() == str(128 * MIB)
    assert (folder / "0/memory.swap.max").read_text() == "0"
    assert (folder / "0/memory.oom.group").read_text() == "1"
    assert (folder / "self/memory.oom.group").read_text() == "0"
    assert (folder / "0/pids.max").read_text() == "64"
    assert (folder / "0/cgroup.procs").read_text() == "7"
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize(("version", "file"), [(1, "memory.oom_control"), (2, "memory.events")])
def test_a_leaf_tells_each_oom_kill_once(
    request: pytest.FixtureRequest, version: int, file: str
) -> None:
    root = request.getfixturevalue(f"v{version}")
    base = cgroups.find("tag", str(root))
    plan = plan_of(CgroupPlan(version, {k: f"{v}/snap" for k, v in base.folders.items()}))
    fds = cgroups.make_snapshot_folder(plan)
    leaf = Leaf(plan, fds, "0")
    events = Path(next(iter(plan.cgroup.folders.values()))) / "0" / file
    assert not leaf.had_oom()
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert leaf.had_oom()
    assert not leaf.had_oom(), "the next one who lives in the leaf is not blamed for it"
    events.write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 1\n")
    assert leaf.had_oom()
    assert not leaf.had_oom()
    for fd in fds:
        os.close(fd)


def test_a_limit_that_the_kernel_does_not_know_is_passed_over(tmp_path: Path) -> None:
    cgroups.write(str(tmp_path / "memory.memsw.limit_in_bytes"), "1", missing_ok=True)
    with pytest.raises(FileNotFoundError):
        cgroups.write(str(tmp_path / "memory.limit_in_bytes"), "1")


def test_a_folder_goes_with_all_below_it_unless_somebody_lives_there(v2: Path) -> None:
    base = Path(cgroups.find("tag", str(v2)).folders[""])
    for name in ("0", "1"):
        (base / "snap" / name).mkdir(parents=True)
    (base / "snap" / "1" / "cgroup.procs").write_text("12\n13\n")
    assert not cgroups.remove(str(base))
    assert not (base / "snap" / "0").exists()
    assert sorted(cgroups.processes(str(base))) == [12, 13]
    (base / "snap" / "1" / "cgroup.procs").write_text("")
    assert cgroups.remove(str(base))
    assert cgroups.remove(str(base)), "what is gone is removed"
