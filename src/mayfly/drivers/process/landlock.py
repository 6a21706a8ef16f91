"""Landlock: what even an open mistake in the file tree must not allow (landlock(7)).

Files are guarded by read-only mounts; a Landlock rule binds to inodes, and each isolate's /tmp is
a new file system, so there is one rule, on `/`. What Landlock adds: no device nodes, no device
ioctls, no TCP but to the ports of doors, no signal and no abstract socket across the border of the
sandbox, and no ptrace of anything outside it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from mayfly.drivers.process import syscalls

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR = 1 << 4, 1 << 5, 1 << 6, 1 << 7
_MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_MAKE_SYM, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 12, 1 << 13, 1 << 14, 1 << 15
_DENIED = _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV
_NET_ALL, _NET_CONNECT, _NET_ABI = 0b11, 0b10, 4  # bind and connect TCP
_SCOPE_ALL = 0b11  # abstract unix sockets and signals, ABI 6

# How many bits of access_fs each ABI knows.
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}


def restrict(abi: int, ports: Iterable[int] = ()) -> None:
    """Put this process and all that it forks into a Landlock domain.

    Args:
        abi: What `syscalls.landlock_abi` found; 0 does nothing.
        ports: TCP ports that may be connected to; the kernel knows the rule since ABI 4.
    """
    if abi == 0:
        return
    handled = (1 << _FS_BITS.get(abi, 16)) - 1
    attributes = struct.pack("<Q", handled)
    if abi >= _NET_ABI:
        attributes += struct.pack("<Q", _NET_ALL)
    if abi >= 6:
        attributes += struct.pack("<Q", _SCOPE_ALL)
    ruleset = syscalls.landlock_create_ruleset(attributes)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.landlock_allow_path(ruleset, handled & ~_DENIED, root)
        for port in ports if abi >= _NET_ABI else ():
            syscalls.landlock_allow_port(ruleset, _NET_CONNECT, port)
        syscalls.landlock_restrict_self(ruleset)
    finally:
        os.close(root)
        os.close(ruleset)
