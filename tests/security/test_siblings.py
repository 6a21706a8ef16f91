"""What isolates may know of the node, of other functions and of their siblings: nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mayfly.drivers.process.plan import HOST_UID_COUNT, HOST_UID_FIRST
from tests.security.sandbox import Sandbox, node, open_box
from tests.support.needs import need_root

# A handler that evaluates what its event says; at import it leaves traps for its isolates.
SOURCE = """
import os, random, secrets, socket, ssl, struct, sys, tempfile, threading, time, uuid

os.chdir("/tmp")
AT_IMPORT = {
    "fds": sorted(int(n) for n in os.listdir("/proc/self/fd")),
    "environ": [open(f"/proc/{p}/environ").read() for p in ("self",)],
}
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
SEEN_AT_FORK = []

def at_fork():
    try:
        os.mkdir("/at-fork")
        SEEN_AT_FORK.append("wrote")
    except OSError as error:
        SEEN_AT_FORK.append(error.errno)

os.register_at_fork(after_in_child=at_fork)
random.random(), ssl.RAND_bytes(8), tempfile.mktemp(), uuid.uuid4()

def draw():
    return [random.random(), str(uuid.uuid4()), secrets.token_hex(8), ssl.RAND_bytes(8).hex(),
            os.urandom(8).hex(), os.path.basename(tempfile.mktemp()),
            random.SystemRandom().random(), str(uuid.uuid1())]

def kills(numbers):
    done = []
    for number in numbers:
        try:
            os.kill(number, 9)
            done.append(number)
        except OSError:
            pass
    return done

def reads(paths):
    found = []
    for path in paths:
        try:
            os.listdir(path) if os.path.isdir(path) else open(path).close()
            found.append(path)
        except OSError:
            pass
    return found

def handler(event, context):
    return eval(event)
"""


@pytest.fixture
async def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    need_root()
    monkeypatch.setenv("MAYFLY_TEST_SECRET", "of-the-host")
    async with node() as driver:
        yield await open_box(driver, tmp_path, SOURCE)


def _uids(pid: int) -> set[int]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return {int(word) for word in line.split()[1:]}
    raise AssertionError(pid)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _namespaces(pid: int) -> Iterator[tuple[str, str]]:
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        yield kind, str(Path(f"/proc/{pid}/ns/{kind}").readlink())


async def test_nobody_in_a_sandbox_is_root_outside(box: Sandbox) -> None:
    other = await open_box(box.bench.driver, Path(box.bench.code_path.parent), SOURCE, seed=2)
    (isolate,) = await box.isolates(1)
    sandboxes = [[box.snapshot.facts.pid, isolate.pid], [other.snapshot.facts.pid]]
    owners = []
    for pids in sandboxes:
        uids = set().union(*(_uids(pid) for pid in [*pids, _parent(pids[0])]))
        assert len(uids) == 1, "keeper, snapshot and isolate have one uid, all four kinds of it"
        owners.append(uids.pop())
    assert all(HOST_UID_FIRST <= uid < HOST_UID_FIRST + HOST_UID_COUNT for uid in owners)
    assert owners[0] != owners[1], "a function has a uid that no other one has"


async def test_a_sandbox_shares_no_namespace_with_the_node_or_another(box: Sandbox) -> None:
    other = await open_box(box.bench.driver, Path(box.bench.code_path.parent), SOURCE, seed=2)
    first, second = await box.isolates(2)
    (stranger,) = await other.isolates(1)
    ours, sibling, theirs, nodes = (
        set(_namespaces(pid)) for pid in (first.pid, second.pid, stranger.pid, os.getpid())
    )
    assert not ours & nodes
    assert not ours & theirs
    assert {kind for kind, _ in ours - sibling} == {"mnt", "pid"}


async def test_only_its_own_descriptors_are_open(box: Sandbox) -> None:
    inside = await box.call("sorted(int(n) for n in os.listdir('/proc/self/fd'))")
    at_import = await box.call("AT_IMPORT['fds']")
    # The one that lists is 3.
    assert inside == [0, 1, 2, 3, 1001]
    assert at_import == [0, 1, 2, 3, 1000, 1001]


async def test_the_hosts_environment_is_not_there(box: Sandbox) -> None:
    assert os.environ["MAYFLY_TEST_SECRET"] == "of-the-host"  # noqa: TID251 - the control
    seen = await box.call("[str(os.environ), open('/proc/self/environ').read(), AT_IMPORT]")
    assert "of-the-host" not in str(seen)
    assert str(box.bench.code_path) not in str(seen)


async def test_no_path_of_the_host_can_be_read(box: Sandbox) -> None:
    other = await open_box(box.bench.driver, Path(box.bench.code_path.parent), SOURCE, seed=2)
    suite = os.environ["MAYFLY_SUITE"]  # noqa: TID251 - the suite's own folder
    paths = [
        str(box.bench.code_path),
        str(other.bench.code_path / "app.py"),
        *(suite, "/etc/shadow", "/root/.ssh", "/home", "/sys", "/run", "/boot"),
        *("/var/lib", "/var/log", "/var/run", "/opt", "/srv", "/mnt", "/usr/sbin/init"),
    ]
    there = {path for path in paths if os.access(path, os.F_OK)}
    assert len(there) > 8, "the probe is broken: they are not outside either"
    seen = await box.call(f"reads({sorted(there)!r})")
    assert seen == []
    above = await box.call("[os.stat('/..').st_ino == os.stat('/').st_ino, os.listdir('/..')]")
    assert above[0]
    assert "tmp" in above[1]


async def test_siblings_are_invisible_and_cannot_be_killed(box: Sandbox) -> None:
    first, second, third = await box.isolates(3)
    seen = await box.call("[n for n in os.listdir('/proc') if n.isdigit()]", isolate=first)
    assert seen == ["1"]
    killed = await box.call("kills([*range(2, 3000), -1])", isolate=second)
    assert killed == []
    assert await box.call("os.getpid()", isolate=third) == 1
    assert box.snapshot.facts.pid
    assert not box.watcher.snapshot_deaths


async def test_siblings_share_no_file_wherever_the_import_went(box: Sandbox) -> None:
    first, second = await box.isolates(2)
    write = "[open('mine', 'w').write('x'), open('/dev/shm/mine', 'a').write('y'), os.getcwd()]"
    assert (await box.call(write, isolate=first))[2] == "/tmp"
    assert await box.call("[os.listdir('.'), os.listdir('/tmp')]", isolate=second) == [[], []]


async def test_a_datagram_socket_has_no_name_that_a_sibling_could_send_to(box: Sandbox) -> None:
    listen = (
        "(lambda a, b: [b.close(), a.setsockopt(1, 16, 1), a.send(b'x')])"
        "(*socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))"
    )
    answer = await box.invoke(listen)
    assert answer.error_type == "PermissionError"


async def test_import_time_threads_and_fork_hooks_gain_nothing(box: Sandbox) -> None:
    assert await box.call("[threading.active_count(), os.listdir('/proc/self/task')]") == [
        1,
        ["1"],
    ]
    hooks = await box.call("SEEN_AT_FORK")
    assert hooks
    assert "wrote" not in hooks


async def test_1_000_siblings_draw_1_000_numbers_of_each_kind(box: Sandbox) -> None:
    drawn: list[list[object]] = []
    for _ in range(20):
        isolates = await box.isolates(50)
        drawn += await asyncio.gather(*(box.call("draw()", isolate=one) for one in isolates))
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 1_000, column[0]
