"""Doors: the only addresses that isolates can connect to, each a listener in their own namespace.

    keeper   lo up; socket, bind address:port, listen --(SCM_RIGHTS)--> daemon, which accepts
    isolate  connect(address:port) --> a socket that the daemon serves

The network namespace holds a loopback and nothing else, and a process in it can neither bind nor
listen, so that an isolate finds the daemon behind a door, or nobody. /etc/hosts names the doors,
and where there is a door at RESOLVER, programs ask there for every other name.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from mayfly.drivers.process import syscalls
from mayfly.drivers.process.plan import Plan

_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_UP_AND_RUNNING = 0x1 | 0x40
_BACKLOG = 256
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
RESOLVER = ("127.0.0.53", 53)
# There is no datagram inside: ask by TCP (resolv.conf(5)).
_RESOLVER_FILES = {
    "resolv.conf": "nameserver 127.0.0.53\noptions use-vc attempts:1 timeout:2\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def open_listeners(plan: Plan) -> list[socket.socket]:
    """A listener for each door, in the plan's order; needs CAP_NET_ADMIN in this namespace."""
    if not plan.doors:
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # struct ifreq: a name of 16 bytes, then the flags (netdevice(7)).
        request = struct.pack("16sH14x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
        foreign = {one[1] for one in plan.doors if not one[1].startswith("127.")}
        for number, address in enumerate(sorted(foreign)):
            _answer_at(any_socket, f"lo:{number}", address)
    return [_listener(address, port) for _name, address, port in plan.doors]


def _answer_at(any_socket: socket.socket, label: str, address: str) -> None:
    """Give the loopback one more address: what was granted by its number is reached by it."""
    for command, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
        request = struct.pack(
            "16sHH4s8x", label.encode(), socket.AF_INET, 0, socket.inet_aton(value)
        )
        fcntl.ioctl(any_socket, command, request)


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((address, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def name_doors(plan: Plan, folder: str) -> None:
    """Put files over those of /etc by which names are found.

    Args:
        folder: A file system that is still writable.
    """
    names = {name: address for name, address, _port in plan.doors if name}
    files: dict[str, str] = {}
    if names:
        lines = [f"{address} {name}\n" for name, address in names.items()]
        files["hosts"] = _HOSTS + "".join(lines)
    if any((address, port) == RESOLVER for _name, address, port in plan.doors):
        files |= _RESOLVER_FILES
    for name, content in files.items():
        _put_over(f"{plan.root}/etc/{name}", content, folder)


def _put_over(target: str, content: str, folder: str) -> None:
    path = f"{folder}/{os.path.basename(target)}"
    with open(path, "w", encoding="ascii") as file:
        file.write(content)
    os.chmod(path, 0o444)
    fd = syscalls.open_tree(path)
    try:
        syscalls.mount_setattr(fd, syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID)
        syscalls.move_mount(fd, target)
    finally:
        os.close(fd)
    # The mount holds the file; its name would only show in /dev.
    os.unlink(path)
