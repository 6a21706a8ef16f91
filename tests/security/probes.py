"""What hostile code tries, as data: a name, its row in the escape list, a deed, what refuses it.

This file is tenant's code as well: it is copied into a sandbox as `app.py` and imports nothing of
ours. Run as a program it tries everything outside, where each deed must succeed (the positive
control). Each deed runs in a process of its own and has one word as its outcome: the name of an
errno, "ok", or what it found.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from functools import partial

BAD = 8  # An address that nobody has: EFAULT from a call that is allowed.
NOWHERE = -1
AT_FDCWD = -100
X86_64 = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
Deed = Callable[[], str]


class Probe:
    """One attempt."""

    def __init__(self, row: int, name: str, deed: Deed, refusals: Sequence[str]) -> None:
        self.row, self.name, self.deed, self.refusals = row, name, deed, refusals


def raw(number: int, *arguments: int) -> str:
    """A system call by its number; "ok" or the name of its errno."""
    result = _libc.syscall(ctypes.c_long(number), *(ctypes.c_long(one) for one in arguments))
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]


# row, name, number on x86_64, number on aarch64 (0: there is none), arguments
_CALLS = """
1 mount 165 40 8 8 8 0 8
1 fsopen 430 430 8 0
1 fsconfig 431 431 -1 99 0 0 0
1 fsmount 432 432 -1 0 0
1 fspick 433 433 -1 8 0
1 move_mount 429 429 -1 8 -1 8 0
1 open_tree 428 428 -1 8 0
1 mount_setattr 442 442 -1 8 0 8 32
2 umount2 166 39 8 0
3 unshare_user 272 97 0x10000000
3 unshare_mount 272 97 0x20000
3 unshare_net 272 97 0x40000000
4 clone3 435 435 8 64
5 setns 308 268 -1 0
6 pivot_root 155 41 8 8
6 chroot 161 51 8
7 ptrace 101 117 16 0x7ffffff0 0 0
8 process_vm_readv 310 270 0x7ffffff0 8 1 8 1 0
8 process_vm_writev 311 271 0x7ffffff0 8 1 8 1 0
8 process_madvise 440 440 -1 8 1 21 0
8 kcmp 312 272 0x7ffffff0 0x7ffffff0 0 0 0
8 pidfd_getfd 438 438 -1 0 0
11 bpf 321 280 0 8 16
11 perf_event_open 298 241 8 0 0 -1 0
12 userfaultfd 323 282 0xffffff
13 io_uring_setup 425 425 1 8
13 io_uring_enter 426 426 -1 0 0 0 0 0
13 io_uring_register 427 427 -1 0 0 0
14 add_key 248 217 8 8 0 0 0
14 request_key 249 218 8 8 0 0
14 keyctl 250 219 0xffff 0 0 0 0
15 kexec_load 246 104 0 0xffff 0 0
15 kexec_file_load 320 294 -1 -1 0 0 0xffffff
15 init_module 175 105 8 8 8
15 finit_module 313 273 -1 8 0
15 delete_module 176 106 8 0
15 reboot 169 142 0 0 0 0
15 swapon 167 224 8 0
15 swapoff 168 225 8
15 acct 163 89 8
15 syslog 103 116 0xff 0 0
15 quotactl 179 60 0xffffff 8 0 0
16 clock_settime 227 112 0 8
16 settimeofday 164 170 8 8
16 adjtimex 159 171 8
16 clock_adjtime 305 266 0 8
16 sethostname 170 161 8 4
16 setdomainname 171 162 8 4
19 mknodat 259 33 -100 8 0x2000 0
19 ioperm 173 0 0 1 0
19 iopl 172 0 9
20 setuid 105 146 0
20 setgid 106 144 0
20 setresuid 117 147 0 0 0
20 setresgid 119 149 0 0 0
20 setgroups 116 159 1 8
20 fchownat 260 54 -100 8 0 0 0
20 execveat 322 281 -1 8 8 8 0
21 tiocsti 16 29 0 0x5412 8
21 tiocsti_high_bits 16 29 0 0x100005412 8
21 tioclinux 16 29 0 0x541c 8
21 tiocsetd 16 29 0 0x5423 8
22 modify_ldt 154 0 99 8 0
26 bind 49 200 -1 8 16
26 listen 50 201 -1 1
26 connect 42 203 -1 8 16
26 accept 43 202 -1 8 8
26 accept4 288 242 -1 8 8 0
31 mlock 149 228 4096 0
31 mlock2 325 284 4096 0 0
31 mlockall 151 230 8
31 memfd_create 319 279 8 0
31 memfd_secret 447 447 99
31 shmget 29 194 0 0 0
35 msgget 68 186 1 0
35 semget 64 190 1 0 0
35 mq_open 240 180 8 0 0 0
35 inotify_init1 294 26 99
35 fanotify_init 300 262 0xffffff 0
41 splice 275 76 -1 0 -1 0 1 0
41 tee 276 77 -1 -1 1 0
41 vmsplice 278 75 -1 8 1 0
43 personality 135 92 0x40000
44 name_to_handle_at 303 264 -1 8 8 8 0
44 open_by_handle_at 304 265 -1 8 0
45 sched_setscheduler 144 119 0 1 8
45 sched_setparam 142 118 0 8
45 sched_setattr 314 274 0 8 0
45 ioprio_set 251 30 1 0 0x2007
45 move_pages 279 239 0 1 8 0 0 0
45 migrate_pages 256 238 0 64 8 8
45 mbind 237 235 0 4096 99 0 0 0
45 set_mempolicy 238 237 99 0 0
45 seccomp 317 277 99 0 0
45 prctl_set_dumpable 157 167 4 9
45 prctl_subreaper 157 167 36 0
45 prlimit_of_another 302 261 0x7ffffff0 7 0 8
"""
_REFUSED = ("EPERM", "ENOSYS")


def _calls() -> list[Probe]:
    probes = []
    for line in _CALLS.split("\n")[1:-1]:
        row, name, x86_64, aarch64, *words = line.split()
        number = int(x86_64 if X86_64 else aarch64)
        if number or x86_64 == "0":
            arguments = [int(word, 0) for word in words]
            probes.append(Probe(int(row), name, partial(raw, number, *arguments), _REFUSED))
    return probes


def _clone(flags: int) -> str:
    number = 56 if X86_64 else 220
    pid = _libc.syscall(ctypes.c_long(number), ctypes.c_long(flags), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return "ok" if pid > 0 else errno.errorcode[ctypes.get_errno()]


def _join(kind: str) -> str:
    fd = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    return raw(308 if X86_64 else 268, fd, 0)


def _opens_for_writing(*paths: str) -> str:
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


def _cgroup_files() -> str:
    for folder, _folders, files in os.walk("/sys/fs/cgroup"):
        for name in ("cgroup.procs", "release_agent", "memory.max", "tasks"):
            if name in files and _opens_for_writing(f"{folder}/{name}") == "ok":
                return "ok"
    return "none"


def _device_files() -> str:
    known = {"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "shm"}
    return "others" if set(os.listdir("/dev")) - known else "none"


def _device_node() -> str:
    path = f"/tmp/device-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.unlink(path)
    return "ok"


def _another_process() -> str:
    """Whether something of a process that is not ours can be read: memory, environment, files."""
    ours = {os.getpid(), os.getppid(), int(os.environ.get("PROBES_ROOT", "0"))}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in ours:
            continue
        for what in ("environ", "mem", "maps", "fd", "root/etc", "cwd/etc", "map_files"):
            path = f"/proc/{name}/{what}"
            if _reads(path):
                return f"read {path}"
    return "none"


def _reads(path: str) -> bool:
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


def _tcp(host: str, variable: str) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tcp:
        tcp.settimeout(2)
        tcp.connect((host, int(os.environ[variable])))
    return "ok"


def _unix(variable: str) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(os.environ[variable].replace("@", "\0"))
    return "ok"


def _socket(family: int, kind: int, protocol: int = 0) -> str:
    outcome = raw(41 if X86_64 else 198, family, kind, protocol)
    # A family that this kernel lacks was looked for: the call itself is allowed.
    return "ok" if outcome in ("EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT") else outcome


def _socket_option(option: int, size: int = 4) -> str:
    left, right = socket.socketpair()
    with left, right:
        try:
            left.setsockopt(socket.SOL_SOCKET, option, b"\x01".ljust(size, b"\0"))
        except OSError as error:
            outcome = errno.errorcode[error.errno or 0]
            return "ok" if outcome in ("EINVAL", "EFAULT") else outcome
    return "ok"


def _file_control(command: int, value: int) -> str:
    fd = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
    return raw(72 if X86_64 else 25, fd, command, value)


def _run_what_was_written() -> str:
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


def _map_what_was_written() -> str:
    path = f"/tmp/library-{os.getpid()}"
    with open(path, "w+b") as file:
        os.unlink(path)
        file.truncate(4096)
        mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    return "ok"


def _anonymous(flags: int, length: int) -> str:
    mapped = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    mapped.close()
    return "ok"


def _merge_pages() -> str:
    memory = mmap.mmap(-1, 4096)
    memory.madvise(12)  # MADV_MERGEABLE
    return "ok"


def _machine_code(code: bytes) -> str:
    """Run a function made of bytes."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return "ok" if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else "ENOSYS"


def _limit(kind: int, value: int) -> str:
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError) as error:
        return "EPERM" if isinstance(error, ValueError) else errno.errorcode[error.errno or 0]
    return "ok"


def _nicer() -> str:
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    return "ok"


def _write_proc(name: str, text: str) -> str:
    fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
    os.write(fd, text.encode())
    return "ok"


def _capabilities() -> str:
    with open("/proc/self/status") as lines:
        held = [line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff"))]
    return "none" if all(int(one, 16) == 0 for one in held) else "some"


def _status(field: str) -> str:
    with open("/proc/self/status") as lines:
        return next(line.split()[1] for line in lines if line.startswith(field))


def _shells() -> str:
    folders = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin")
    names = ("sh", "bash", "dash", "busybox", "apt", "mount", "su", "sudo", "perl", "env")
    found = [n for f in folders for n in names if os.path.exists(f"{f}/{n}")]
    return "some" if found else "none"


_NEW = {"user": 0x1000_0000, "pid": 0x2000_0000, "mount": 0x2_0000, "net": 0x4000_0000}
_SIBLING = 0x2002_8011  # what a snapshot makes isolates with
_NEWS = ("ENETUNREACH",)
_NONE = ("none",)
_CLOSED = ("EACCES", "ENOENT", "EROFS", "EPERM")
# mov eax, 20 (getpid); int 0x80; ret
_INT_80 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
_HUGE, _LOCKED = 0x4_0000, 0x2000

PROBES = [
    *_calls(),
    *(
        Probe(3, f"clone_new_{name}", partial(_clone, flag | 17), _REFUSED)
        for name, flag in _NEW.items()
    ),
    *(
        Probe(5, f"join_{kind}", partial(_join, kind), _REFUSED)
        for kind in ("mnt", "net", "ipc", "uts")
    ),
    Probe(10, "another_process", _another_process, _NONE),
    *(
        Probe(17, name, partial(_opens_for_writing, path), _CLOSED)
        for name, path in (
            ("core_pattern", "/proc/sys/kernel/core_pattern"),
            ("modprobe", "/proc/sys/kernel/modprobe"),
            ("sysrq", "/proc/sysrq-trigger"),
            ("dirty_ratio", "/proc/sys/vm/dirty_ratio"),
        )
    ),
    Probe(18, "cgroup_files", _cgroup_files, _NONE),
    Probe(19, "device_files", _device_files, _NONE),
    Probe(19, "device_node", _device_node, _CLOSED),
    Probe(20, "shells", _shells, _NONE),
    *(
        Probe(23, name, partial(_socket, family, kind), _NEWS)
        for name, family, kind in (
            ("unix", 1, 1),
            ("inet", 2, 1),
            ("inet_raw", 2, 3),
            ("inet6", 10, 2),
            ("netlink", 16, 3),
            ("packet", 17, 3),
            ("alg", 38, 5),
            ("vsock", 40, 1),
        )
    ),
    Probe(20, "setxattr", partial(raw, 188 if X86_64 else 5, BAD, BAD, BAD, 1, 0), ("ENOTSUP",)),
    Probe(23, "socketpair_tipc", partial(raw, 53 if X86_64 else 199, 30, 1, 0, BAD), _REFUSED),
    Probe(24, "hosts_loopback", partial(_tcp, "127.0.0.1", "PROBES_TCP"), _NEWS),
    Probe(24, "hosts_loopback_6", partial(_tcp, "::1", "PROBES_TCP6"), _NEWS),
    Probe(26, "hosts_unix_path", partial(_unix, "PROBES_UNIX"), _NEWS),
    Probe(26, "hosts_unix_abstract", partial(_unix, "PROBES_ABSTRACT"), _NEWS),
    *(
        Probe(26, name, partial(_socket_option, option, size), ("EPERM",))
        for name, option, size in (
            ("name_by_passcred", 16, 4),
            ("attach_filter", 26, 16),
            ("attach_bpf", 50, 4),
        )
    ),
    Probe(31, "lock_memory", partial(_anonymous, _LOCKED, 1 << 20), ("EAGAIN", "EPERM")),
    Probe(31, "huge_pages", partial(_anonymous, _HUGE, 1 << 21), ("EPERM",)),
    Probe(35, "notify_of_others_files", partial(_file_control, 1026, 0x8000_0001), ("EPERM",)),
    Probe(35, "lease", partial(_file_control, 1024, 2), ("EPERM",)),
    Probe(41, "run_what_was_written", _run_what_was_written, _CLOSED),
    Probe(41, "map_what_was_written", _map_what_was_written, _CLOSED),
    Probe(41, "standard_library", partial(_opens_for_writing, os.__file__), _CLOSED),
    Probe(41, "own_code", partial(_opens_for_writing, os.path.realpath(__file__)), _CLOSED),
    Probe(42, "merge_pages", _merge_pages, ("EPERM",)),
    Probe(45, "open_files", partial(_limit, resource.RLIMIT_NOFILE, 2048), _CLOSED),
    Probe(45, "core_dumps", partial(_limit, resource.RLIMIT_CORE, 0), _CLOSED),
    Probe(45, "locked_memory", partial(_limit, resource.RLIMIT_MEMLOCK, 1 << 17), _CLOSED),
    Probe(45, "priority", _nicer, _CLOSED),
]
if X86_64:
    PROBES += [
        Probe(22, "int_0x80", partial(_machine_code, _INT_80), ("SIGSYS",)),
        Probe(22, "x32", partial(raw, 0x4000_0000 | 39), _REFUSED),
    ]

# Where import-time code, in the snapshot, has more than an isolate has.
ISOLATES_ONLY = [
    Probe(9, "clone_sibling", partial(_clone, _SIBLING), _REFUSED),
    Probe(20, "capabilities", _capabilities, _NONE),
    Probe(45, "oom_score", partial(_write_proc, "oom_score_adj", "600"), _CLOSED),
    Probe(45, "core_filter", partial(_write_proc, "coredump_filter", "0"), _CLOSED),
]
# What must be so inside, and is not outside.
FACTS = {
    "NoNewPrivs": partial(_status, "NoNewPrivs:"),
    "Seccomp": partial(_status, "Seccomp:"),
}


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


def attempt_all() -> dict[str, str]:
    """Every probe's outcome."""
    os.environ["PROBES_ROOT"] = str(os.getpid())
    outcomes = {f"{p.row}-{p.name}": attempt(p.deed) for p in [*PROBES, *ISOLATES_ONLY]}
    return outcomes | {name: attempt(deed) for name, deed in FACTS.items()}


if os.environ.get("PROBES_AT_IMPORT"):
    AT_IMPORT = attempt_all()


def handler(event: object, _context: object) -> object:
    """Lambda's entry point: what was found at import, or what is found now."""
    return AT_IMPORT if event == "import" else attempt_all()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(attempt_all()))
