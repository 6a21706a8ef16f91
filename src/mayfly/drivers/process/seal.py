"""The seal: every step by its name, in order, on one screen.

Who runs what, as root:

    launcher's child   cgroup, clone (mount, pid, net, ipc, uts, cgroup namespaces)
      keeper           private_mounts ... pivot_root, user_namespace, identity, bounding_set
        snapshot       limits, no_new_privs, capabilities, landlock, seccomp     then the tenant's
        import isolate      (all of the above inherited) own pid and mount namespace, /tmp, /proc,
        cgroup, no capability

As an ordinary user the user namespace comes first, for only in it may the rest be asked for. A
step that the kernel refuses ends the seal by name (`StepFailed`); there is no way on without it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections.abc import Callable, Iterator

from mayfly.drivers.process import doors, landlock, mounts, syscalls
from mayfly.drivers.process.plan import ISOLATE_UID, Plan, StepFailed

NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
# What the keeper needs to step into an isolate's mount namespace and mount there.
_KEEPER_CAPABILITIES = (syscalls.CAP_SYS_ADMIN, syscalls.CAP_SYS_CHROOT)


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Give what the kernel refuses inside the block this step's name."""
    try:
        yield
    except OSError as error:
        raise StepFailed(name, error.errno or 0) from error


def seal_keeper(plan: Plan, ask_for_maps: Callable[[], None]) -> list[socket.socket]:
    """In the keeper: from here nothing of the node is reachable.

    Returns the listeners of the plan's doors, for the daemon; the caller owns them.

    Args:
        plan: What to build.
        ask_for_maps: Waits until the launcher's child has written this process's uid and gid maps.
    """
    if plan.rootless:
        with step("user_namespace"):
            ask_for_maps()
    for name, act in (
        ("private_mounts", mounts.make_private),
        ("bind_root", lambda: mounts.bind_root(plan)),
        ("devices", lambda: mounts.make_devices(plan)),
        ("proc", lambda: mounts.mount_proc(plan.root + "/proc")),
        ("tmp", lambda: mounts.mount_tmp(plan, plan.root + "/tmp")),
        ("pivot_root", lambda: mounts.pivot(plan)),
        ("host_name", lambda: socket.sethostname("mayfly")),
    ):
        with step(name):
            act()
    with step("doors"):
        # Here: root owns the network namespace, and an ordinary user has come into it as its root.
        listeners = doors.open_listeners(plan)
    if not plan.rootless:
        with step("user_namespace"):
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            ask_for_maps()
        with step("own_mounts"):
            # A mount namespace that the new user namespace owns: the keeper may return to it, and
            # what root mounted above is locked in it.
            syscalls.unshare(syscalls.CLONE_NEWNS)
    with step("identity"):
        _become(plan)
    with step("bounding_set"):
        syscalls.drop_bounding_set(frozenset(_KEEPER_CAPABILITIES))
        syscalls.keep_capabilities(*_KEEPER_CAPABILITIES)
    return listeners


def _become(plan: Plan) -> None:
    if not plan.rootless:
        os.setgroups([])
    os.setresgid(ISOLATE_UID, ISOLATE_UID, ISOLATE_UID)
    os.setresuid(ISOLATE_UID, ISOLATE_UID, ISOLATE_UID)
    # A change of identity hides /proc/<pid> from its own user; the keeper reads its isolates' one.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def seal_snapshot(plan: Plan) -> None:
    """In the snapshot, before the first byte of the tenant's code."""
    with step("limits"):
        _set_limits(plan)
    with step("no_new_privs"):
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    with step("capabilities"):
        # Only to clone into new pid and mount namespaces; the filter leaves it no other use.
        syscalls.keep_capabilities(syscalls.CAP_SYS_ADMIN)
    with step("landlock"):
        landlock.restrict(plan.abi, [port for _name, _address, port in plan.doors])
    with step("seccomp"):
        syscalls.install_filter(bytes.fromhex(plan.filter_hex))


def _set_limits(plan: Plan) -> None:
    limits = {
        # 0 does not keep a node's core dump handler from being started, 1 does (core(5)).
        resource.RLIMIT_CORE: 1,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 65_536,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_NOFILE: plan.open_files_max,
        # A page more than /tmp holds: a full disk is then told as one (ENOSPC, not EFBIG).
        resource.RLIMIT_FSIZE: plan.tmp_bytes + resource.getpagesize(),
    }
    if plan.cgroup.version == 0:
        # Without a memory cgroup the data segment is the nearest bound that programs survive.
        limits[resource.RLIMIT_DATA] = plan.memory_bytes
        limits[resource.RLIMIT_NPROC] = plan.processes_max
    for kind, value in limits.items():
        _soft, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))
