"""The compiled filter says of every call what the policy says of it.

A small interpreter runs the program, as the kernel does, on the kernel's `struct seccomp_data`.
"""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.drivers.process import seccomp
from mayfly.drivers.process.seccomp import Condition, Rule
from mayfly.drivers.process.snapshot import ISOLATE_FLAGS
from mayfly.drivers.process.syscalls import CLONE_NEWUSER

ALLOW, KILL, ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
X32 = 0x4000_0000
ARCHITECTURES = tuple(AUDIT)
U64 = st.integers(0, 2**64 - 1)


def run(program: bytes, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """The filter's verdict on one call."""
    words = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<iIQ6Q", number - (number >> 31 << 32), arch, 0, *words)
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    for _ in range(len(code) + 1):
        operation, if_true, if_false, k = code[at]
        at += 1
        if operation == 0x20:  # ld [k]
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif operation == 0x15:  # jeq #k
            at += if_true if accumulator == k else if_false
        elif operation == 0x35:  # jge #k
            at += if_true if accumulator >= k else if_false
        elif operation == 0x05:  # ja #k
            at += k
        elif operation == 0x54:  # and #k
            accumulator &= k
        elif operation == 0x06:  # ret #k
            return int(k)
        else:
            raise AssertionError(f"no instruction of ours: {operation:#x}")
    raise AssertionError("a classic BPF program only goes forward")


def expected(rules: dict[int, Rule], number: int, arguments: tuple[int, ...]) -> int:
    """What the policy's row says, worked out without the compiler."""
    rule = rules.get(number)
    if rule is None:
        return ERRNO | errno.EPERM
    if rule.errno:
        return ERRNO | rule.errno
    words = (*arguments, *[0] * 6)
    holds = (words[c.arg] & c.mask & 0xFFFF_FFFF in c.values for c in rule.when)
    return ALLOW if not rule.when or any(holds) else ERRNO | errno.EPERM


@pytest.mark.parametrize("own_user", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_call_meets_its_own_row(architecture: str, own_user: bool) -> None:
    rules = seccomp.load_policy(architecture, own_user=own_user)
    program = seccomp.compile_filter(rules, architecture)
    by_number = {rule.number: rule for rule in rules}
    assert len(by_number) == len(rules), "two rows of one number"
    for number in range(1024):
        verdict = run(program, number, AUDIT[architecture])
        assert verdict == expected(by_number, number, ()), number


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_numbers_outside_the_table_are_refused(architecture: str) -> None:
    program = seccomp.compile_filter(seccomp.load_policy(architecture), architecture)
    allowed = [rule.number for rule in seccomp.load_policy(architecture)]
    for number in (*(X32 + n for n in allowed), 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF):
        assert run(program, number, AUDIT[architecture]) == ERRNO | errno.EPERM, number


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_call_of_another_architecture_kills(architecture: str) -> None:
    program = seccomp.compile_filter(seccomp.load_policy(architecture), architecture)
    i386 = 0x4000_0003
    for other in (i386, 0, *(arch for name, arch in AUDIT.items() if name != architecture)):
        assert all(run(program, number, other) == KILL for number in range(512))


@given(number=st.integers(0, 600), arguments=st.tuples(U64, U64, U64, U64, U64, U64))
def test_conditions_look_at_the_arguments(number: int, arguments: tuple[int, ...]) -> None:
    rules = seccomp.load_policy("x86_64")
    program = seccomp.compile_filter(rules, "x86_64")
    by_number = {rule.number: rule for rule in rules}
    conditional = [rule for rule in rules if rule.when]
    for one in (number, *(rule.number for rule in conditional)):
        assert run(program, one, AUDIT["x86_64"], arguments) == expected(by_number, one, arguments)


def test_clone_makes_threads_processes_and_isolates_and_nothing_else() -> None:
    clone = 56
    verdicts = {}
    for own_user in (False, True):
        rules = seccomp.load_policy("x86_64", own_user=own_user)
        program = seccomp.compile_filter(rules, "x86_64")
        for flags in (17, 0x3D0F00, ISOLATE_FLAGS, ISOLATE_FLAGS | CLONE_NEWUSER):
            verdicts[flags, own_user] = run(program, clone, AUDIT["x86_64"], (flags,)) == ALLOW
        for bit in range(32):
            namespace = (1 << bit) & 0x7E02_0080
            if namespace:
                refused = run(program, clone, AUDIT["x86_64"], (namespace | 17,))
                assert refused == ERRNO | errno.EPERM
    assert verdicts == {
        (17, False): True,
        (17, True): True,
        (0x3D0F00, False): True,
        (0x3D0F00, True): True,
        (ISOLATE_FLAGS, False): True,
        (ISOLATE_FLAGS, True): False,
        (ISOLATE_FLAGS | CLONE_NEWUSER, False): False,
        (ISOLATE_FLAGS | CLONE_NEWUSER, True): True,
    }


@given(
    st.dictionaries(
        st.integers(0, 2000),
        st.tuples(
            st.sampled_from([0, errno.ENOSYS, errno.EACCES]),
            st.lists(
                st.builds(
                    Condition,
                    arg=st.integers(0, 5),
                    mask=st.integers(0, 2**32 - 1),
                    values=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3).map(tuple),
                ),
                max_size=2,
            ),
        ),
        max_size=300,
    ),
    st.lists(st.integers(0, 2001), max_size=50),
    st.tuples(U64, U64, U64, U64, U64, U64),
)
def test_any_policy_compiles_to_what_it_says(
    rows: dict[int, tuple[int, list[Condition]]], numbers: list[int], arguments: tuple[int, ...]
) -> None:
    rules = {
        number: Rule(str(number), number, "tried", code, tuple(when))
        for number, (code, when) in rows.items()
    }
    ordered = tuple(rules[number] for number in sorted(rules))
    program = seccomp.compile_filter(ordered, "x86_64")
    for number in (*numbers, *rules):
        found = run(program, number, AUDIT["x86_64"], arguments)
        assert found == expected(rules, number, arguments)


def test_every_row_says_why() -> None:
    for architecture in ARCHITECTURES:
        assert all(rule.why.strip() for rule in seccomp.load_policy(architecture))


@pytest.mark.parametrize(
    ("architecture", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_are_the_kernels(architecture: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"needs {header}")
    text = Path(header).read_text()
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", text))
    wrong = {
        rule.name: (rule.number, known[rule.name])
        for rule in seccomp.load_policy(architecture)
        if rule.name in known and int(known[rule.name]) != rule.number
    }
    assert not wrong
    named = [rule.name for rule in seccomp.load_policy(architecture) if rule.name in known]
    assert len(named) > 100


def test_what_must_never_be_allowed_is_not() -> None:
    never = (
        *("mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "setns"),
        *("unshare", "chroot", "ptrace", "process_vm_readv", "process_vm_writev", "bpf"),
        *("perf_event_open", "userfaultfd", "keyctl", "add_key", "kexec_load", "init_module"),
        *("reboot", "swapon", "io_uring_setup", "socket", "clone3", "open_by_handle_at"),
    )
    for architecture in ARCHITECTURES:
        rules = {rule.name: rule for rule in seccomp.load_policy(architecture)}
        assert all(name not in rules or rules[name].errno for name in never)
