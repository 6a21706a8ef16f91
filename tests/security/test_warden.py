"""The warden and its launchers do what they were made for, whoever sends what to them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mayfly.daemon import handover
from mayfly.drivers.process import charter as charter_module
from mayfly.drivers.process import seccomp, syscalls
from mayfly.drivers.process.plan import HOST_UID_FIRST, CgroupPlan, Plan
from mayfly.drivers.process.warden_client import Terms, WardenClient
from mayfly.model.errors import SnapshotFailed
from tests.support.needs import need_root
from tests.support.platform import RUNTIME
from tests.support.process_driver import new_tag, this_runtime
from tests.support.unprivileged import UID

Spoil = Callable[[dict[str, Any]], object]
RUNTIME_INFO = this_runtime()[RUNTIME]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    need_root()
    folder = Path(tempfile.mkdtemp(dir=os.environ["MAYFLY_SUITE"]))
    (folder / "code").mkdir()
    (folder / "link").symlink_to("/etc")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def warden(data: Path) -> Iterator[WardenClient]:
    terms = Terms(
        data=data,
        trees=data / "runtimes",
        service_uid=UID,
        tag=new_tag(),
        runtimes={RUNTIME: RUNTIME_INFO.executable},
    )
    with handover.folder(data) as data_fd, handover.trees(data_fd, "runtimes") as trees_fd:
        client = WardenClient(terms, data_fd, trees_fd)
    try:
        yield client
        for base in client.cgroup.folders.values():
            client.remove_cgroup(base)
    finally:
        client.close()


def _say(warden: WardenClient, message: bytes, *more: int) -> dict[str, object]:
    """What the warden answers to a raw message; "gone" when it says nothing."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            socket.send_fds(warden._socket, [message], [theirs.fileno(), *more])
        ours.settimeout(10)
        data = ours.recv(8192)
    answer: dict[str, object] = json.loads(data) if data else {"gone": True}
    return answer


def _ask(warden: WardenClient, **request: object) -> dict[str, object]:
    return _say(warden, json.dumps(request).encode())


@pytest.mark.parametrize(
    "message",
    [
        b"\0",
        b"not JSON",
        b"[" * 4000,
        b"7",
        b"{}",
        b'{"do": "build"}',
        b'{"do": "build", "runtime": 7}',
        b'{"do": "build", "runtime": "/bin/sh"}',
        b'{"do": "launch", "runtime": "../../bin/sh"}',
        b'{"do": "launch", "runtime": "python3.99"}',
        b'{"do": "exec", "runtime": "python3.11"}',
        b'{"do": "memory", "pid": "1"}',
        b'{"do": "memory", "pid": 1}',
        b'{"do": "memory", "pid": -1}',
        b'{"do": "memory", "pid": 99999999999999999999}',
        b'{"do": "remove", "folder": "/sys/fs/cgroup"}',
        b'{"do": "remove", "folder": ""}',
        b'{"do": "remove", "folder": 1}',
        b'{"do": "remove", "folder": "/etc", "too": "much"}',
        b'{"do": "memory", "pid": 1, "pad": "' + b"x" * 8_000 + b'"}',
    ],
)
def test_what_is_no_request_is_refused_and_the_warden_goes_on(
    warden: WardenClient, message: bytes
) -> None:
    assert "refused" in _say(warden, message)
    assert "ok" in _ask(warden, do="build", runtime=RUNTIME)


def test_a_folder_that_is_not_a_snapshots_is_refused(warden: WardenClient) -> None:
    for base in warden.cgroup.folders.values():
        for name in ("..", ".", "a/b", "a/..", "../x", "", "A", "a\0"):
            assert "refused" in _ask(warden, do="remove", folder=f"{base}/{name}"), name
        assert _ask(warden, do="remove", folder=f"{base}/abc") == {"ok": True}


def test_memory_is_told_of_processes_of_sandboxes_only(warden: WardenClient) -> None:
    assert "refused" in _ask(warden, do="memory", pid=os.getpid())
    assert "refused" in _ask(warden, do="memory", pid=warden.pid)


def test_descriptors_too_many_or_none_are_let_go(warden: WardenClient) -> None:
    with Path("/dev/null").open() as null:
        assert "refused" in _say(warden, b'{"do": "memory", "pid": 1}', null.fileno())
        # No socket to answer to: nobody hears of it.
        warden._socket.send(b'{"do": "memory", "pid": 1}')
        socket.send_fds(warden._socket, [b"{}"], [null.fileno()])
    # Answered after those before it were let go.
    _ask(warden, do="memory", pid=1)
    before = len(os.listdir(f"/proc/{warden.pid}/fd"))
    for _ in range(50):
        _ask(warden, do="memory", pid=1)
    assert len(os.listdir(f"/proc/{warden.pid}/fd")) == before


def _plan(warden: WardenClient, data: Path) -> dict[str, Any]:
    tree = warden.build(RUNTIME_INFO)
    folders = {key: f"{base}/s1" for key, base in warden.cgroup.folders.items()}
    own_user = warden.cgroup.version == 0
    plan = Plan(
        snapshot_id="s1",
        rootless=False,
        host_uid=HOST_UID_FIRST + 7,
        root=str(tree),
        binds=[[str(data / "code"), "/var/task"]],
        tmp_bytes=1 << 20,
        memory_bytes=64 << 20,
        pids_max=16,
        cpu_shares=64,
        overhead_bytes=64 << 20,
        abi=syscalls.landlock_abi(),
        filter_hex=seccomp.programs(syscalls.ARCHITECTURE, own_user=own_user)[False],
        open_files_max=1024,
        processes_max=64,
        cgroup=CgroupPlan(warden.cgroup.version, folders),
    )
    document: dict[str, Any] = json.loads(plan.encode())
    return document


def _request(warden: WardenClient, plan: bytes) -> bytes:
    """What the keeper's control socket says first: a refused step, or b"" when it was made."""
    launcher = warden.launch(RUNTIME_INFO)
    control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    tenant, their_tenant = socket.socketpair()
    output, their_output = os.pipe()
    try:
        with their_control, their_tenant:
            fds = [their_control.fileno(), their_tenant.fileno(), their_output]
            launcher.request(plan, fds)
        os.close(their_output)
        control.settimeout(2)
        try:
            return control.recv(256)
        except TimeoutError:
            # The keeper waits for us: the plan was carried out.
            return b"made"
    finally:
        control.close()
        tenant.close()
        os.close(output)
        launcher.bury()


def test_a_good_plan_is_carried_out(warden: WardenClient, data: Path) -> None:
    assert _request(warden, json.dumps(_plan(warden, data)).encode()) == b"made"


SPOILT: dict[str, Spoil] = {
    "rootless": lambda plan: plan.update(rootless=True),
    "root": lambda plan: plan.update(host_uid=0),
    "user": lambda plan: plan.update(host_uid=UID),
    "bool": lambda plan: plan.update(host_uid=True),
    "id": lambda plan: plan.update(snapshot_id="../s1"),
    "tree": lambda plan: plan.update(root="/"),
    "up": lambda plan: plan.update(root=plan["root"] + "/.."),
    "empty": lambda plan: plan.update(root=str(Path(plan["root"]).parent) + "/"),
    "filter": lambda plan: plan.update(filter_hex="06000000" + "0000ff7f"),
    "no filter": lambda plan: plan.update(filter_hex=""),
    "abi": lambda plan: plan.update(abi=-1),
    "bytes": lambda plan: plan.update(tmp_bytes="1,uid=0"),
    "negative": lambda plan: plan.update(pids_max=-1),
    "huge": lambda plan: plan.update(memory_bytes=1 << 60),
    "bind": lambda plan: plan.update(binds=[["/etc", "/var/task"]]),
    "bind up": lambda plan: plan["binds"][0].__setitem__(0, plan["binds"][0][0] + "/../../.."),
    "bind link": lambda plan: plan["binds"][0].__setitem__(
        0, plan["binds"][0][0].replace("/code", "/link")
    ),
    "bind over": lambda plan: plan["binds"][0].__setitem__(1, "/etc"),
    "bind out": lambda plan: plan["binds"][0].__setitem__(1, "/../../etc"),
    "bind shape": lambda plan: plan.update(binds=[["a"]]),
    "cgroup": lambda plan: plan["cgroup"].update(folders={"memory": "/sys/fs/cgroup/memory/x"}),
    "cgroup version": lambda plan: plan["cgroup"].update(version=9),
    "cgroup up": lambda plan: plan["cgroup"].update(
        folders={key: f"{one}/../../x" for key, one in plan["cgroup"]["folders"].items()}
    ),
    "door": lambda plan: plan.update(doors=[["a\n127.0.0.1 b", "127.0.0.2", 80]]),
    "door address": lambda plan: plan.update(doors=[["a", "::1", 80]]),
    "door port": lambda plan: plan.update(doors=[["a", "127.0.0.2", 0]]),
    "unknown": lambda plan: plan.update(command="/bin/sh"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_plan_that_asks_for_more_is_refused(warden: WardenClient, data: Path, name: str) -> None:
    plan = _plan(warden, data)
    SPOILT[name](plan)
    said = _request(warden, json.dumps(plan).encode())
    # Refused by name, or, when it could not even be read, let go of.
    assert said == b"" or said.endswith(b"request"), said


def test_garbage_costs_the_launcher_nothing(warden: WardenClient, data: Path) -> None:
    for garbage in (b"x", b"{}", b"[]", b"[" * 100_000, b'{"cgroup": 1}', b"null"):
        assert _request(warden, garbage) == b""
    assert _request(warden, json.dumps(_plan(warden, data)).encode()) == b"made"


def test_a_charter_survives_the_wire() -> None:
    charter = charter_module.Charter(
        data="/d",
        runtimes="/d/runtimes",
        service_uid=7,
        cgroup_version=0,
        cgroup_bases={},
        abi=1,
        filters=["00"],
    )
    assert vars(charter_module.Charter.decode(charter.encode())) == vars(charter)


def test_a_runtime_that_was_not_named_cannot_be_launched(warden: WardenClient) -> None:
    stranger = type(RUNTIME_INFO)("python3.99", Path("/bin/true"), "3.99")
    with pytest.raises(SnapshotFailed, match="not named"):
        warden.launch(stranger)
