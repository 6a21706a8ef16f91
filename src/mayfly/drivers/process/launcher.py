"""The launcher: the one small process that may ask the kernel for namespaces and mounts.

It is started by the daemon before the daemon has threads, has one thread itself, reads nothing
from the network, and understands one request: a `Plan` with three descriptors. For each it forks
a child that makes the snapshot's cgroup, clones the keeper into new namespaces, writes its uid
maps and is gone; so snapshots are made beside one another.

    daemon --Plan, (control, tenant, output)--> launcher --fork--> child --clone--> keeper
    --fork--> snapshot

Where the daemon holds no privilege, the warden starts it with a `Charter` first, and no plan goes
beyond that.

The interpreter is warm: what a snapshot of the same Python needs is loaded here once, and shared
by the fork.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import time
from types import ModuleType

from mayfly.drivers.process.snapshot import record_fork_hooks

_HOOKS = record_fork_hooks()

from mayfly.drivers.process import cgroups, keeper, seal, snapshot, syscalls, tracer  # noqa: E402
from mayfly.drivers.process.charter import (  # noqa: E402
    CHARTERED,
    Charter,
    admit,
    find_folders,
    is_snapshots,
    let_raise,
)
from mayfly.drivers.process.plan import ISOLATE_UID, Plan, StepFailed  # noqa: E402

_REQUEST_BYTES_MAX = 128 * 1024
_DESCRIPTORS = 3
# It shares its function's part of the processors, and must come before what it has to end.
_KEEPER_NICE = -10
# Beyond that it is looked which snapshots' cgroups are still there.
_FOLDERS_MAX = 1024
# "T" failed: step name and errno.
STEP_FAILED = b"T"
_STEP = struct.Struct("<cIi")


def main() -> None:
    """Serve the socket whose number is the first argument until the daemon closes it."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.set_inheritable(False)
    chartered = sys.argv[4:] == [CHARTERED]
    charter = _receive_charter(requests) if chartered else None
    guest = _load_guest(sys.argv[2])
    _warm(guest)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    folders: set[str] = set()
    while True:
        data, fds, _flags, _address = socket.recv_fds(requests, _REQUEST_BYTES_MAX, _DESCRIPTORS)
        if not data:
            break
        plan = _read(data, fds, charter)
        if plan is None:
            for fd in fds:
                os.close(fd)
            continue
        if len(folders) > _FOLDERS_MAX:
            folders = {folder for folder in folders if os.path.isdir(folder)}
        folders.update(plan.cgroup.folders.values())
        if os.fork() == 0:
            requests.close()
            _make(plan, fds, guest, charter)
        for fd in fds:
            os.close(fd)
    _clean_up(folders)
    os._exit(0)


def _receive_charter(requests: socket.socket) -> Charter:
    """From the warden, with the data folder, which becomes the current folder."""
    data, fds, _flags, _address = socket.recv_fds(requests, _REQUEST_BYTES_MAX, 1)
    os.fchdir(fds[0])
    os.close(fds[0])
    return Charter.decode(data)


def _read(data: bytes, fds: list[int], charter: Charter | None) -> Plan | None:
    """The plan, or None when whoever holds the daemon's end sent no plan."""
    if charter is None:
        return Plan.decode(data)
    try:
        plan = Plan.decode(data)
        folders = set(plan.cgroup.folders.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    # They are removed at the end, so they are looked at before anything else is.
    within = all(is_snapshots(one, charter) for one in folders)
    return plan if within and len(fds) == _DESCRIPTORS else None


def _load_guest(path: str) -> ModuleType:
    """Load the guest by its file: it is no part of this package for anyone who runs inside."""
    module = ModuleType("bootstrap")
    module.__file__ = path
    with open(path, encoding="utf-8") as file:
        source = file.read()
    sys.modules["bootstrap"] = module
    exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - our own file
    return module


def _warm(guest: ModuleType) -> None:
    """Use once what every isolate uses: its pages and caches exist before the first fork."""
    guest.rehearse(2)
    guest.settle()


def _reap(_number: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _clean_up(folders: set[str]) -> None:
    """The daemon is gone: keepers see it too and exit; wait for that, then remove their cgroups."""
    bases = {os.path.dirname(folder) for folder in folders}
    deadline = time.monotonic() + 5.0  # noqa: TID251 - no clock is handed into this process
    while time.monotonic() < deadline:  # noqa: TID251
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        folders = {folder for folder in folders if not cgroups.remove(folder)}
        if not folders:
            break
        time.sleep(0.02)  # noqa: TID251
    for base in bases:
        # Not empty when another launcher, or the next daemon, still uses it.
        with contextlib.suppress(OSError):
            os.rmdir(base)


def _make(plan: Plan, fds: list[int], guest: ModuleType, charter: Charter | None) -> None:
    """In the launcher's child: make one snapshot's namespaces and keeper, then be gone."""
    try:
        control, tenant = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    except OSError:
        os._exit(1)
    output = fds[2]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        if charter is not None:
            admit(plan, charter)
        with seal.step("cgroup"):
            cgroup_fds = cgroups.make_snapshot_folder(plan)
            if charter is not None:
                let_raise(plan, charter.service_uid)
        _prefer_as_victim()
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _KEEPER_NICE)
        ours, theirs = socket.socketpair()
        flags = seal.NAMESPACES | syscalls.SIGCHLD
        if plan.rootless:
            flags |= syscalls.CLONE_NEWUSER
        with seal.step("namespaces"):
            pid = syscalls.fork_into(flags)
        if pid == 0:
            ours.close()
            _keep(plan, theirs, control, tenant, output, cgroup_fds, guest, charter)
        theirs.close()
        control.close()
        _write_maps(plan, pid, ours)
    except StepFailed as failure:
        _report(control, failure)
    os._exit(0)


def _prefer_as_victim() -> None:
    """When the node runs out of memory the kernel ends isolates before anything else."""
    with contextlib.suppress(OSError):
        cgroups.write("/proc/self/oom_score_adj", "500")


def _write_maps(plan: Plan, pid: int, sync: socket.socket) -> None:
    """Wait for the keeper's word, then write its maps: one uid, one gid (user_namespaces(7))."""
    if sync.recv(1) != b"m":
        return
    try:
        if plan.rootless:
            cgroups.write(f"/proc/{pid}/setgroups", "deny")
        line = f"{ISOLATE_UID} {plan.host_uid} 1"
        cgroups.write(f"/proc/{pid}/uid_map", line)
        cgroups.write(f"/proc/{pid}/gid_map", line)
    except OSError as error:
        sync.send(struct.pack("<i", error.errno or 1))
        return
    sync.send(struct.pack("<i", 0))


def _keep(
    plan: Plan,
    sync: socket.socket,
    control: socket.socket,
    tenant: socket.socket,
    output: int,
    cgroup_fds: list[int],
    guest: ModuleType,
    charter: Charter | None,
) -> None:
    """In the keeper: seal, fork the snapshot, keep."""
    try:
        if charter is not None:
            find_folders(plan, charter)
        listeners = seal.seal_keeper(plan, lambda: _ask_for_maps(sync))
        sync.close()
        _hand_over(control, listeners)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        awaited, go = os.pipe() if plan.trace else (-1, -1)
        pid = os.fork()
        if pid == 0:
            others = [*cgroup_fds, ours.fileno()]
            if plan.trace:
                os.close(go)
                tracer.await_tracer(awaited)
            _become_snapshot(plan, control, tenant, output, theirs, others, guest)
        if plan.trace:
            os.close(awaited)
            held = [*cgroup_fds, output, *(one.fileno() for one in (ours, theirs, tenant))]
            tracer.start(pid, control, go, held)
        for sock in (theirs, tenant):
            sock.close()
        os.close(output)
        _silence()
        keeper.Keeper(
            plan, control=control, snapshot=ours, snapshot_pid=pid, cgroup_fds=cgroup_fds
        ).run()
    except StepFailed as failure:
        _report(control, failure)
    except BaseException:  # noqa: BLE001 - the end of a process: nobody is above to handle it
        os._exit(70)
    os._exit(0)


def _hand_over(control: socket.socket, listeners: list[socket.socket]) -> None:
    """Give the doors' listeners to the daemon; the sandbox keeps none of them."""
    if not listeners:
        return
    message = keeper.MESSAGE.pack(keeper.DOORS, 0, len(listeners))
    socket.send_fds(control, [message], [one.fileno() for one in listeners])
    for one in listeners:
        one.close()


def _ask_for_maps(sync: socket.socket) -> None:
    sync.send(b"m")
    answer = sync.recv(4)
    number = struct.unpack("<i", answer)[0] if len(answer) == 4 else 1
    if number:
        raise OSError(number, "uid_map")


def _become_snapshot(
    plan: Plan,
    control: socket.socket,
    tenant: socket.socket,
    output: int,
    keeper_socket: socket.socket,
    others: list[int],
    guest: ModuleType,
) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
        for fd in others:
            os.close(fd)
        _silence()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir("/var/task")
        seal.seal_snapshot(plan)
    except StepFailed as failure:
        _report(control, failure)
        os._exit(1)
    control.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    snapshot.run(guest, _HOOKS, tenant=tenant, keeper=keeper_socket, own_user=plan.own_user)


def _silence() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _report(control: socket.socket, failure: StepFailed) -> None:
    with contextlib.suppress(OSError):
        control.send(_STEP.pack(STEP_FAILED, 0, failure.errno) + failure.step.encode())
