"""The isolate's file tree: a read-only root, a /tmp of its own, four devices, its own /proc.

    /            the runtime's tree, read-only bind
    /var/task    the function's code, read-only bind      /var/deps  its requirements
    /dev         null zero full random urandom            /tmp       tmpfs, sized, noexec
    /proc        of the isolate's own pid namespace, processes only (proc(5), subset=pid)

Everything is nosuid; nothing that can be written can be executed.
"""

from __future__ import annotations

import os
import stat

from mayfly.drivers.process import doors, syscalls
from mayfly.drivers.process.charter import FD_PREFIX
from mayfly.drivers.process.plan import ISOLATE_UID, Plan

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "shm": "/tmp",
}
_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
_PROC_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


def make_private() -> None:
    """Cut propagation: nothing that is mounted here shows outside."""
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


def bind_root(plan: Plan) -> None:
    """Mount the runtime's tree over itself and the function's folders into it, read-only."""
    _bind(plan.root, plan.root)
    for source, target in plan.binds:
        _bind(source, plan.root + target)
        if source.startswith(FD_PREFIX):
            os.close(int(source.removeprefix(FD_PREFIX)))


def _bind(source: str, target: str) -> None:
    fd = syscalls.open_tree(source)
    try:
        syscalls.mount_setattr(fd, _READ_ONLY)
        syscalls.move_mount(fd, target)
    finally:
        os.close(fd)


def make_devices(plan: Plan) -> None:
    """A /dev with five devices and the usual links.

    As root they are made; an ordinary user may not, and binds the node's own. While it can be
    written, the names of the doors are put in place from here.
    """
    folder = plan.root + "/dev"
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", folder, "tmpfs", flags, "size=64k,mode=755")
    for name, (major, minor) in _DEVICES.items():
        path = f"{folder}/{name}"
        if plan.rootless:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
            syscalls.mount(f"/dev/{name}", path, "", syscalls.MS_BIND)
        else:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(path, 0o666)
    for name, target in _LINKS.items():
        os.symlink(target, f"{folder}/{name}")
    doors.name_doors(plan, folder)
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID
    syscalls.mount("none", folder, "", flags | syscalls.MS_NOEXEC)


def mount_proc(target: str, *, read_only: bool = False) -> None:
    """The /proc of this process's own pid namespace; only processes, nothing of the node."""
    flags = _PROC_FLAGS | (syscalls.MS_RDONLY if read_only else 0)
    syscalls.mount("proc", target, "proc", flags, "subset=pid")


def mount_tmp(plan: Plan, target: str) -> None:
    """An empty /tmp of the isolate's own, bounded in bytes and in files."""
    inodes = max(1024, plan.tmp_bytes // 16_384)
    options = f"size={plan.tmp_bytes},nr_inodes={inodes},mode=1777"
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", target, "tmpfs", flags, options)


def pivot(plan: Plan) -> None:
    """Make the new tree the root and let go of the old one (pivot_root(2), its last example)."""
    os.chdir(plan.root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")


def proc_of(pid_namespace_fd: int) -> int:
    """A detached, read-only /proc of another pid namespace (Linux 6.17 and newer).

    Raises:
        OSError: EINVAL on older kernels, which know no `pidns` option.
    """
    attributes = _READ_ONLY | syscalls.MOUNT_ATTR_NOEXEC
    return syscalls.new_filesystem("proc", {"pidns": pid_namespace_fd, "subset": "pid"}, attributes)


def device_names() -> tuple[str, ...]:
    """The devices that there are."""
    return tuple(_DEVICES)


def owner() -> int:
    """The one uid and gid that exist inside."""
    return ISOLATE_UID
