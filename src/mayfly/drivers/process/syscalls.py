"""The one door to libc and the kernel: each call by its own name, each failure an OSError.

Nothing above this room touches ctypes. Calls go through PyDLL, which keeps the interpreter's
lock: the processes that use this room have one thread, and a fork must not happen between two
owners of the lock.

Constants are those of the kernel's UAPI headers; man pages are named beside each call.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable

_libc = ctypes.PyDLL(None, use_errno=True)
_python = ctypes.pythonapi
_ptrace = _libc.ptrace
_ptrace.restype = ctypes.c_long

ARCHITECTURE = os.uname().machine
_NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "seccomp": 317, "capset": 126},
    "aarch64": {"clone": 220, "pivot_root": 41, "seccomp": 277, "capset": 91},
}.get(ARCHITECTURE, {})
# Since Linux 5.x new calls have the same number on every architecture.
_NUMBERS = {
    **_NUMBERS,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "openat2": 437,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

CLONE_PARENT = 0x0000_8000
CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000
SIGCHLD = 17

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x4_0000
MNT_DETACH = 2
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 0x1, 0x2, 0x4, 0x8
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x2, 0x4, 0x8
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
FSCONFIG_SET_STRING, FSCONFIG_SET_FD, FSCONFIG_CMD_CREATE = 1, 5, 6

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 24, 38, 36
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
PR_SET_NAME = 15
PR_SET_PTRACER, PTRACER_ANY = 0x5961_6D61, -1
PTRACE_INTERRUPT = 0x4207
_PTRACE_PEEKDATA, _PTRACE_GET_SYSCALL_INFO = 2, 0x420E

CAP_SYS_CHROOT, CAP_SYS_ADMIN = 18, 21
_CAPABILITY_VERSION_3 = 0x2008_0522
SECCOMP_SET_MODE_FILTER = 1
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
LANDLOCK_RULE_NET_PORT = 2


def _raise(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def _call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(_NUMBERS[name]), *words)
    if result < 0:
        _raise(name)
    return result


def ptrace(request: int, pid: int, address: int, data: int | ctypes.Array[ctypes.c_char]) -> None:
    """ptrace(2), for requests that answer with no word of memory."""
    word = ctypes.c_void_p(data) if isinstance(data, int) else data
    if _ptrace(ctypes.c_long(request), ctypes.c_int(pid), ctypes.c_void_p(address), word) < 0:
        _raise("ptrace")


def call_info(pid: int, size: int) -> bytes:
    """A stopped process's struct ptrace_syscall_info, of this many bytes."""
    info = ctypes.create_string_buffer(size)
    ptrace(_PTRACE_GET_SYSCALL_INFO, pid, size, info)
    return info.raw


def peek(pid: int, address: int) -> bytes:
    """Eight bytes of a traced process's memory."""
    ctypes.set_errno(0)
    word = _ptrace(
        ctypes.c_long(_PTRACE_PEEKDATA), ctypes.c_int(pid), ctypes.c_void_p(address), None
    )
    if word == -1 and ctypes.get_errno():
        _raise("ptrace")
    return struct.pack("=q", word)


def fork_into(flags: int) -> int:
    """fork(2) with clone(2)'s namespace flags; Python's own fork hooks run as in os.fork.

    Returns:
        The child's pid in the parent, 0 in the child.
    """
    _python.PyOS_BeforeFork()
    result = _libc.syscall(ctypes.c_long(_NUMBERS["clone"]), ctypes.c_long(flags), 0, 0, 0, 0)
    if result == 0:
        _python.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    if result < 0:
        raise OSError(number, f"clone({flags:#x}): {os.strerror(number)}")
    return int(result)


def fork_bare(flags: int) -> int:
    """Fork like `fork_into`, without Python's fork hooks: for a process that has one thread.

    The caller runs those hooks that matter to it. It saves about 100 page faults in the child.
    """
    result = _libc.syscall(ctypes.c_long(_NUMBERS["clone"]), ctypes.c_long(flags), 0, 0, 0, 0)
    if result < 0:
        _raise(f"clone({flags:#x})")
    return int(result)


def unshare(flags: int) -> None:
    """unshare(2)."""
    if _libc.unshare(flags) != 0:
        _raise(f"unshare({flags:#x})")


def setns(fd: int, kind: int) -> None:
    """setns(2)."""
    if _libc.setns(fd, kind) != 0:
        _raise(f"setns({kind:#x})")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    done = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    if done != 0:
        _raise(f"mount({target})")


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(os.fsencode(target), flags) != 0:
        _raise(f"umount({target})")


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _call("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def open_tree(path: str) -> int:
    """open_tree(2): a detached copy of the mount at `path`; the caller owns the descriptor."""
    return _call("open_tree", AT_FDCWD, os.fsencode(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)


def open_beneath(folder_fd: int, path: str) -> int:
    """openat2(2): the folder at `path` below `folder_fd`, reached without any link (O_PATH)."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    how = ctypes.create_string_buffer(struct.pack("<QQQ", flags, 0, resolve), 24)
    return _call("openat2", folder_fd, os.fsencode(path), how, 24)


def move_mount(fd: int, target: str) -> None:
    """move_mount(2): attach the detached mount `fd` at `target`."""
    _call("move_mount", fd, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)


def mount_setattr(fd: int, attributes: int, *, recursive: bool = False) -> None:
    """mount_setattr(2): add mount attributes to the (detached) mount `fd`."""
    value = ctypes.create_string_buffer(struct.pack("<QQQQ", attributes, 0, 0, 0))
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _call("mount_setattr", fd, b"", flags, value, 32)


def new_filesystem(kind: str, options: dict[str, str | int], attributes: int) -> int:
    """fsopen(2), fsconfig(2), fsmount(2): a detached mount; an int option is a descriptor."""
    context = _call("fsopen", kind.encode(), 1)
    try:
        for key, value in options.items():
            if isinstance(value, int):
                _call("fsconfig", context, FSCONFIG_SET_FD, key.encode(), None, value)
            else:
                _call("fsconfig", context, FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)
        _call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _call("fsmount", context, 1, attributes)
    finally:
        os.close(context)


def prctl(option: int, value: int = 0, third: int = 0) -> int:
    """prctl(2)."""
    result: int = _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(third), 0, 0)
    if result < 0:
        _raise(f"prctl({option})")
    return result


def keep_capabilities(*capabilities: int) -> None:
    """capset(2): effective and permitted become exactly `capabilities`, inheritable nothing."""
    prepared_capabilities(*capabilities)()


def prepared_capabilities(*capabilities: int) -> Callable[[], None]:
    """`keep_capabilities` with its structures made now and its one system call made later."""
    mask = sum(1 << c for c in capabilities)
    low, high = mask & 0xFFFF_FFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("<6I", low, low, 0, high, high, 0))
    number = ctypes.c_long(_NUMBERS["capset"])

    def capset() -> None:
        if _libc.syscall(number, header, data) != 0:
            _raise("capset")

    return capset


def drop_bounding_set(keep: frozenset[int]) -> None:
    """Drop every capability but `keep` from the bounding set (capabilities(7))."""
    for capability in range(64):
        if capability in keep:
            continue
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            if capability > 37:  # Past the last one that this kernel knows.
                return
            _raise(f"prctl(PR_CAPBSET_DROP, {capability})")


def install_filter(program: bytes) -> None:
    """seccomp(2): install a classic BPF program (8 bytes an instruction) for this thread."""
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a length, padding, a pointer.
    header = struct.pack("<H6xQ", len(program) // 8, ctypes.addressof(buffer))
    _call("seccomp", SECCOMP_SET_MODE_FILTER, 0, ctypes.create_string_buffer(header))


def landlock_abi() -> int:
    """The kernel's Landlock ABI version, 0 where there is none (landlock_create_ruleset(2))."""
    result = _libc.syscall(
        ctypes.c_long(_NUMBERS["landlock_create_ruleset"]),
        None,
        ctypes.c_size_t(0),
        LANDLOCK_CREATE_RULESET_VERSION,
    )
    return max(0, int(result))


def landlock_create_ruleset(attributes: bytes) -> int:
    """landlock_create_ruleset(2); `attributes` is the packed struct in the length of the ABI."""
    return _call(
        "landlock_create_ruleset", ctypes.create_string_buffer(attributes), len(attributes), 0
    )


def landlock_allow_path(ruleset_fd: int, access: int, path_fd: int) -> None:
    """landlock_add_rule(2) with LANDLOCK_RULE_PATH_BENEATH."""
    rule = access.to_bytes(8, "little") + path_fd.to_bytes(4, "little")
    _call(
        "landlock_add_rule",
        ruleset_fd,
        LANDLOCK_RULE_PATH_BENEATH,
        ctypes.create_string_buffer(rule),
        0,
    )


def landlock_allow_port(ruleset_fd: int, access: int, port: int) -> None:
    """landlock_add_rule(2) with LANDLOCK_RULE_NET_PORT."""
    rule = access.to_bytes(8, "little") + port.to_bytes(8, "little")
    _call(
        "landlock_add_rule",
        ruleset_fd,
        LANDLOCK_RULE_NET_PORT,
        ctypes.create_string_buffer(rule),
        0,
    )


def landlock_restrict_self(ruleset_fd: int) -> None:
    """landlock_restrict_self(2)."""
    _call("landlock_restrict_self", ruleset_fd, 0)
