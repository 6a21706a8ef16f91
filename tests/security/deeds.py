"""Deeds of hostile code: what the probes do, one function each.

Tenant's code, as `probes.py` is: nothing of ours is imported. A deed is done in a process of its
own and has one word as its outcome: "ok", the name of an errno (raised or returned), or what it
found.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import stat
from collections.abc import Callable

BAD = 8  # An address that nobody has: EFAULT from a call that is allowed.
X86_64 = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
Deed = Callable[[], str]


def raw(number: int, *arguments: int) -> str:
    """A system call by its number; "ok" or the name of its errno."""
    result = _libc.syscall(ctypes.c_long(number), *(ctypes.c_long(one) for one in arguments))
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def clone(flags: int) -> str:
    number = 56 if X86_64 else 220
    pid = _libc.syscall(ctypes.c_long(number), ctypes.c_long(flags), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return "ok" if pid > 0 else errno.errorcode[ctypes.get_errno()]


def join(kind: str) -> str:
    fd = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    return raw(308 if X86_64 else 268, fd, 0)


def opens_for_writing(*paths: str) -> str:
    """ "ok" when one of them can be opened for writing; nothing is written."""
    outcome = "ENOENT"
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError as error:
            outcome = errno.errorcode[error.errno or 0]
        else:
            return "ok"
    return outcome


def opens(*paths: str) -> str:
    """ "ok" when one of them can be opened to be read."""
    return "ok" if any(reads(path) for path in paths if os.path.exists(path)) else "none"


def setuid_files() -> str:
    """Whether a program gives who runs it another identity."""
    for folder in ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/opt", "/tmp"):
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for name in names:
            path = f"{folder}/{name}"
            if not os.path.islink(path) and os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
                return "ok" if os.path.isfile(path) else "none"
    return "none"


def cgroup_files() -> str:
    for folder, _folders, files in os.walk("/sys/fs/cgroup"):
        for name in ("cgroup.procs", "release_agent", "memory.max", "tasks"):
            if name in files and opens_for_writing(f"{folder}/{name}") == "ok":
                return "ok"
    return "none"


def device_files() -> str:
    known = {"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "shm"}
    return "others" if set(os.listdir("/dev")) - known else "none"


def device_node() -> str:
    path = f"/tmp/device-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.unlink(path)
    return "ok"


def another_process() -> str:
    """Whether something of a process that is not ours can be read: memory, environment, files."""
    ours = {os.getpid(), os.getppid(), int(os.environ.get("PROBES_ROOT", "0"))}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in ours:
            continue
        for what in ("environ", "mem", "maps", "fd", "root/etc", "cwd/etc", "map_files"):
            path = f"/proc/{name}/{what}"
            if reads(path):
                return f"read {path}"
    return "none"


def reads(path: str) -> bool:
    """Whether a file, or any file in a folder, can be opened."""
    try:
        files = [f"{path}/{name}" for name in os.listdir(path)] if os.path.isdir(path) else [path]
    except OSError:
        return False
    for file in files:
        try:
            os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        return True
    return False


def tcp(host: str, variable: str) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tcp:
        tcp.settimeout(2)
        tcp.connect((host, int(os.environ[variable])))
    return "ok"


def look_up(name: str) -> str:
    """Resolve a host's name."""
    try:
        socket.getaddrinfo(name, 80, socket.AF_INET)
    except socket.gaierror:
        return "gaierror"
    return "ok"


def reach(host: str, port: int) -> str:
    """Begin to connect; "ok" also when it takes long: there is a way there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.setblocking(False)
        outcome = one.connect_ex((host, port))
    return "ok" if outcome in (0, errno.EINPROGRESS) else errno.errorcode[outcome]


def datagram(host: str) -> str:
    """Send a question to a name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"secret", (host, 53))
    return "ok"


def unix(variable: str) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(os.environ[variable].replace("@", "\0"))
    return "ok"


def new_socket(family: int, kind: int, protocol: int = 0) -> str:
    return raw(41 if X86_64 else 198, family, kind, protocol)


def socket_option(option: int, size: int = 4) -> str:
    left, right = socket.socketpair()
    with left, right:
        try:
            left.setsockopt(socket.SOL_SOCKET, option, b"\x01".ljust(size, b"\0"))
        except OSError as error:
            outcome = errno.errorcode[error.errno or 0]
            return "ok" if outcome in ("EINVAL", "EFAULT") else outcome
    return "ok"


def tcp_option(level: int, option: int) -> str:
    """Set an option; on a socket pair where there are no TCP sockets."""
    try:
        one = socket.socket()
    except OSError:
        one = socket.socketpair()[0]
    with one:
        try:
            one.setsockopt(level, option, b"\x01\0\0\0")
        except OSError as error:
            known = (errno.EINVAL, errno.EFAULT, errno.ENOPROTOOPT, errno.EOPNOTSUPP)
            return "ok" if error.errno in known else errno.errorcode[error.errno or 0]
    return "ok"


def number_of_other_calls(allowed: str) -> str:
    """How many system calls, other than those named by number, are not refused by the filter."""
    listed = {int(word) for word in os.environ[allowed].split()}
    # uretprobe and uprobe pass every filter (Linux 6.14), and kill whoever calls them himself.
    listed |= {335, 336} if X86_64 else set()
    every = [n for base in (0, 0x4000_0000) for n in range(base, base + 1_000)]
    refused = {n for n in every if n not in listed and raw(n, -1, -1, -1, -1, -1, -1) == "EPERM"}
    return str(len(every) - len(refused | listed))


def file_control(command: int, value: int) -> str:
    fd = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
    return raw(72 if X86_64 else 25, fd, command, value)


def run_what_was_written() -> str:
    path = f"/tmp/program-{os.getpid()}"
    with open(path, "wb") as file:
        file.write(b"#!/nonexistent\n")
    os.chmod(path, 0o755)
    try:
        os.execv(path, [path])
    except OSError as error:
        # The interpreter named in it is looked for: it may be run.
        return "ok" if error.errno == errno.ENOENT else errno.errorcode[error.errno or 0]
    finally:
        os.unlink(path)


def map_what_was_written() -> str:
    with open(f"/tmp/library-{os.getpid()}", "w+b") as file:
        os.unlink(file.name)
        file.truncate(4096)
        mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    return "ok"


def make_written_pages_executable() -> str:
    """Map a file to be read, then ask that it may be run (mprotect(2))."""
    with open(f"/tmp/library-{os.getpid()}", "w+b") as file:
        os.unlink(file.name)
        file.truncate(4096)
        mapped = mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        return raw(10 if X86_64 else 226, address, 4096, 5)


def anonymous(flags: int, length: int) -> str:
    mapped = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    mapped.close()
    return "ok"


def merge_pages() -> str:
    memory = mmap.mmap(-1, 4096)
    memory.madvise(12)  # MADV_MERGEABLE
    return "ok"


def machine_code(code: bytes) -> str:
    """Run a function made of bytes."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return "ok" if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else "ENOSYS"


def raised_limit(kind: int, value: int) -> str:
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError) as error:
        return "EPERM" if isinstance(error, ValueError) else errno.errorcode[error.errno or 0]
    return "ok"


def nicer() -> str:
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    return "ok"


def write_proc(name: str, text: str) -> str:
    fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
    os.write(fd, text.encode())
    return "ok"


def capabilities() -> str:
    with open("/proc/self/status") as lines:
        held = [line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff"))]
    return "none" if all(int(one, 16) == 0 for one in held) else "some"


def status(field: str) -> str:
    with open("/proc/self/status") as lines:
        return next(line.split()[1] for line in lines if line.startswith(field))


def shells() -> str:
    folders = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin")
    names = ("sh", "bash", "dash", "busybox", "apt", "mount", "su", "sudo", "perl", "env")
    found = [n for f in folders for n in names if os.path.exists(f"{f}/{n}")]
    return "some" if found else "none"


def attempt(deed: Deed) -> str:
    """Do it in a child; its outcome, or the signal that ended it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            outcome = deed()
        except OSError as error:
            outcome = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException as error:
            outcome = type(error).__name__
        os.write(write, outcome.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        outcome = said.read()
    _pid, status = os.waitpid(pid, 0)
    return outcome or signal.Signals(os.WTERMSIG(status)).name
