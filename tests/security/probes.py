"""What hostile code tries, as data: its row in the escape list, a name, a deed, what refuses it.

This file is tenant's code as well: with `deeds.py` it is copied into sandboxes, and imports nothing
of ours. `main` tries everything outside, where each deed must succeed (the positive
control). What is declared here is asserted by `test_escapes.py` and rendered into
docs/reference/escapes.md, so that the page says what was tried and no more.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Sequence
from functools import partial

from tests.security import deeds
from tests.security.deeds import BAD, X86_64, Deed, attempt, raw


class Probe:
    """One attempt.

    Args:
        row: Of the escape list.
        name: Unique in its row.
        deed: What is tried.
        refusals: Its outcomes where the seal holds.
        with_a_door: The same in a sandbox that has a door; None when they do not differ, empty when
            the function may do so then.
        control: Whether it must succeed outside: not every machine has the far side of it.
        here: Whether this processor can try it.
    """

    def __init__(
        self,
        row: int,
        name: str,
        deed: Deed,
        refusals: Sequence[str],
        *,
        with_a_door: Sequence[str] | None = None,
        control: bool = True,
        here: bool = True,
    ) -> None:
        self.row, self.name, self.deed = row, name, deed
        self.control, self.here = control, here
        self.refusals = tuple(refusals)
        self.with_a_door = self.refusals if with_a_door is None else tuple(with_a_door)


# row, name, number on x86_64, number on aarch64 (0: there is none), arguments. Refused with EPERM,
# or with what stands behind "!"; "~": a function with a door may, and reaches its doors only.
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
4 clone3!ENOSYS 435 435 8 64
5 setns 308 268 -1 0
6 pivot_root 155 41 8 8
6 chroot 161 51 8
7 ptrace 101 117 16 0x7ffffff0 0 0
8 process_vm_readv 310 270 0x7ffffff0 8 1 8 1 0
8 process_vm_writev 311 271 0x7ffffff0 8 1 8 1 0
8 process_madvise 440 440 -1 8 1 21 0
8 process_mrelease 448 448 -1 0
8 kcmp 312 272 0x7ffffff0 0x7ffffff0 0 0 0
8 pidfd_getfd 438 438 -1 0 0
11 bpf 321 280 0 8 16
11 perf_event_open 298 241 8 0 0 -1 0
12 userfaultfd 323 282 0xffffff
13 io_uring_setup!ENOSYS 425 425 1 8
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
15 quotactl_fd 443 443 -1 0xffffff 0 0
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
26 connect~ 42 203 -1 8 16
26 accept 43 202 -1 8 8
26 accept4 288 242 -1 8 8 0
31 mlock 149 228 4096 0
31 mlock2 325 284 4096 0 0
31 mlockall 151 230 8
31 memfd_create!ENOSYS 319 279 8 0
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
45 set_mempolicy_home_node 450 450 0 4096 99 0
45 prlimit_of_another 302 261 0x7ffffff0 7 0 8
"""
_REFUSED = ("EPERM",)


def _calls() -> list[Probe]:
    probes = []
    for line in _CALLS.split("\n")[1:-1]:
        row, word, x86_64, aarch64, *arguments = line.split()
        name, _, refusal = word.rstrip("~").partition("!")
        deed = partial(raw, int(x86_64 if X86_64 else aarch64), *(int(one, 0) for one in arguments))
        door = () if word.endswith("~") else None
        refusals = (refusal,) if refusal else _REFUSED
        here = X86_64 or aarch64 != "0"
        probes.append(Probe(int(row), name, deed, refusals, with_a_door=door, here=here))
    return probes


_NEW = {"user": 0x1000_0000, "pid": 0x2000_0000, "mount": 0x2_0000, "net": 0x4000_0000}
_SIBLING = 0x2002_8011  # what a snapshot makes isolates with
_NEWS = ("ENETUNREACH",)
_FAMILY = ("EAFNOSUPPORT",)
# By Landlock; before its ABI 4 nobody listens there, or there is no way there.
_NO_DOOR = ("EACCES", "ECONNREFUSED")
_NO_WAY = ("EACCES", "ENETUNREACH")
_NONE = ("none",)
_CLOSED = ("EACCES", "ENOENT", "EROFS", "EPERM")
# mov eax, 20 (getpid); int 0x80; ret
_INT_80 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
_HUGE, _LOCKED = 0x4_0000, 0x2000

PROBES = [
    *_calls(),
    *(
        Probe(3, f"clone_new_{name}", partial(deeds.clone, flag | 17), _REFUSED)
        for name, flag in _NEW.items()
    ),
    *(
        Probe(5, f"join_{kind}", partial(deeds.join, kind), _REFUSED)
        for kind in ("mnt", "net", "ipc", "uts", "pid", "user", "cgroup")
    ),
    Probe(10, "another_process", deeds.another_process, _NONE),
    *(
        Probe(10, name, partial(deeds.opens, *paths), _NONE, control=False)
        for name, paths in (
            ("kernels_memory", ("/proc/kcore", "/proc/kpagecount", "/proc/kpageflags")),
            ("kernels_log", ("/proc/kmsg", "/dev/kmsg")),
            ("kernels_debugging", ("/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel")),
        )
    ),
    *(
        Probe(17, name, partial(deeds.opens_for_writing, path), _CLOSED)
        for name, path in (
            ("core_pattern", "/proc/sys/kernel/core_pattern"),
            ("modprobe", "/proc/sys/kernel/modprobe"),
            ("sysrq", "/proc/sysrq-trigger"),
            ("dirty_ratio", "/proc/sys/vm/dirty_ratio"),
            ("binfmt_misc", "/proc/sys/fs/binfmt_misc/register"),
            ("uevent_helper", "/sys/kernel/uevent_helper"),
            ("randomize_va_space", "/proc/sys/kernel/randomize_va_space"),
            ("ip_forward", "/proc/sys/net/ipv4/ip_forward"),
            ("ping_group_range", "/proc/sys/net/ipv4/ping_group_range"),
        )
    ),
    Probe(18, "cgroup_files", deeds.cgroup_files, _NONE),
    Probe(19, "device_files", deeds.device_files, _NONE),
    Probe(19, "device_node", deeds.device_node, _CLOSED),
    Probe(20, "shells", deeds.shells, _NONE),
    Probe(20, "setuid_files", deeds.setuid_files, _NONE),
    Probe(20, "setxattr", partial(raw, 188 if X86_64 else 5, BAD, BAD, BAD, 1, 0), ("ENOTSUP",)),
    *(
        Probe(23, name, partial(deeds.new_socket, *numbers), _NEWS, with_a_door=_FAMILY)
        for name, numbers in (
            ("unix", (1, 1)),
            ("unix_datagram", (1, 2)),
            ("udp", (2, 2)),
            ("inet_raw", (2, 3, 1)),
            ("ping", (2, 2, 1)),
            ("sctp", (2, 1, 132)),
            ("mptcp", (2, 1, 262)),
            ("udp_lite", (2, 2, 136)),
            ("inet6", (10, 1)),
            ("inet6_datagram", (10, 2)),
            ("netlink", (16, 3)),
            ("packet", (17, 3)),
            ("rds", (21, 5)),
            ("can", (29, 3, 1)),
            ("tipc", (30, 1)),
            ("bluetooth", (31, 3)),
            ("alg", (38, 5)),
            ("vsock", (40, 1)),
            ("kcm", (41, 2)),
            ("smc", (43, 1)),
            ("xdp", (44, 3)),
        )
    ),
    Probe(23, "tcp", partial(deeds.new_socket, 2, 1), _NEWS, with_a_door=()),
    Probe(23, "socketpair_tipc", partial(raw, 53 if X86_64 else 199, 30, 1, 0, BAD), _REFUSED),
    Probe(
        24,
        "hosts_loopback",
        partial(deeds.tcp, "127.0.0.1", "PROBES_TCP"),
        _NEWS,
        with_a_door=_NO_DOOR,
    ),
    Probe(
        24,
        "hosts_loopback_6",
        partial(deeds.tcp, "::1", "PROBES_TCP6"),
        _NEWS,
        with_a_door=_FAMILY,
    ),
    *(
        Probe(24, name, partial(deeds.reach, *to), _NEWS, with_a_door=door, control=False)
        for name, to, door in (
            ("metadata", ("169.254.169.254", 80), _NO_WAY),
            ("metadata_6", ("fd00:ec2::254", 80), _FAMILY),
            ("doors_network", ("127.0.0.2", 80), _NO_DOOR),
            ("private_network", ("10.0.0.1", 22), _NO_WAY),
            ("the_internet", ("1.1.1.1", 443), _NO_WAY),
        )
    ),
    Probe(25, "name", partial(deeds.look_up, "example.com"), ("gaierror",), control=False),
    Probe(
        25,
        "question_to_a_name_server",
        partial(deeds.datagram, "127.0.0.53"),
        _NEWS,
        with_a_door=_FAMILY,
    ),
    Probe(
        25,
        "name_server_by_tcp",
        partial(deeds.reach, "1.1.1.1", 53),
        _NEWS,
        with_a_door=_NO_WAY,
        control=False,
    ),
    Probe(26, "hosts_unix_path", partial(deeds.unix, "PROBES_UNIX"), _NEWS, with_a_door=_FAMILY),
    Probe(
        26,
        "hosts_unix_abstract",
        partial(deeds.unix, "PROBES_ABSTRACT"),
        _NEWS,
        with_a_door=_FAMILY,
    ),
    *(
        Probe(26, name, partial(deeds.tcp_option, level, option), _REFUSED)
        for name, level, option in (
            ("ip_options", 0, 4),
            ("filter_tables", 0, 64),
            ("bind_to_device", 1, 25),
            ("mark", 1, 36),
            ("zero_copy", 1, 60),
            ("upper_protocol", 6, 31),
            ("fast_open", 6, 23),
            ("repair", 6, 19),
        )
    ),
    *(
        Probe(26, name, partial(deeds.socket_option, option, size), _REFUSED)
        for name, option, size in (
            ("name_by_passcred", 16, 4),
            ("attach_filter", 26, 16),
            ("attach_bpf", 50, 4),
        )
    ),
    Probe(31, "lock_memory", partial(deeds.anonymous, _LOCKED, 1 << 20), ("EAGAIN", "EPERM")),
    Probe(31, "huge_pages", partial(deeds.anonymous, _HUGE, 1 << 21), ("EPERM",)),
    Probe(35, "notify_of_others_files", partial(deeds.file_control, 1026, 0x8000_0001), ("EPERM",)),
    Probe(35, "lease", partial(deeds.file_control, 1024, 2), ("EPERM",)),
    Probe(41, "run_what_was_written", deeds.run_what_was_written, _CLOSED),
    Probe(41, "map_what_was_written", deeds.map_what_was_written, _CLOSED),
    Probe(41, "make_written_pages_executable", deeds.make_written_pages_executable, _CLOSED),
    Probe(41, "own_program", partial(deeds.opens_for_writing, "/proc/self/exe"), _CLOSED),
    Probe(41, "standard_library", partial(deeds.opens_for_writing, os.__file__), _CLOSED),
    Probe(41, "own_code", partial(deeds.opens_for_writing, os.path.realpath(__file__)), _CLOSED),
    Probe(42, "merge_pages", deeds.merge_pages, ("EPERM",)),
    Probe(45, "open_files", partial(deeds.raised_limit, resource.RLIMIT_NOFILE, 2048), _CLOSED),
    Probe(45, "core_dumps", partial(deeds.raised_limit, resource.RLIMIT_CORE, 0), _CLOSED),
    Probe(
        45, "locked_memory", partial(deeds.raised_limit, resource.RLIMIT_MEMLOCK, 1 << 17), _CLOSED
    ),
    Probe(45, "priority", deeds.nicer, _CLOSED),
    Probe(22, "int_0x80", partial(deeds.machine_code, _INT_80), ("SIGSYS",), here=X86_64),
    Probe(22, "x32", partial(raw, 0x4000_0000 | 39), _REFUSED, here=X86_64),
]

# Where import-time code, in the snapshot, has more than an isolate has.
ISOLATES_ONLY = [
    Probe(9, "clone_sibling", partial(deeds.clone, _SIBLING), _REFUSED),
    Probe(20, "capabilities", deeds.capabilities, _NONE),
    Probe(45, "oom_score", partial(deeds.write_proc, "oom_score_adj", "600"), _CLOSED),
    Probe(45, "core_filter", partial(deeds.write_proc, "coredump_filter", "0"), _CLOSED),
]
# What must be so inside, and is not outside.
FACTS = {
    "NoNewPrivs": partial(deeds.status, "NoNewPrivs:"),
    "Seccomp": partial(deeds.status, "Seccomp:"),
    # The calls that the filter's policy does not name and that are not refused; and again when one
    # is taken off the list that may be made (the control).
    "Unnamed": partial(deeds.number_of_other_calls, "PROBES_NAMED"),
    "Unnamed and one": partial(deeds.number_of_other_calls, "PROBES_NAMED_BUT_ONE"),
}


def attempt_all() -> dict[str, str]:
    """Every probe's outcome."""
    os.environ["PROBES_ROOT"] = str(os.getpid())
    here = [probe for probe in (*PROBES, *ISOLATES_ONLY) if probe.here]
    outcomes = {f"{probe.row}-{probe.name}": attempt(probe.deed) for probe in here}
    return outcomes | {name: attempt(deed) for name, deed in FACTS.items()}


if os.environ.get("PROBES_AT_IMPORT"):
    AT_IMPORT = attempt_all()


def handler(event: object, _context: object) -> object:
    """Lambda's entry point: what was found at import, or what is found now."""
    return AT_IMPORT if event == "import" else attempt_all()


def main() -> None:
    """Try all of it here, and print what came of it."""
    sys.stdout.write(json.dumps(attempt_all()))
