"""The seccomp filter, compiled from `policy.toml` (seccomp(2), the kernel's seccomp_filter.rst).

The program looks the call's number up in a balanced tree of ranges, so that no call pays for the
length of the list:

    arch right? -- no --> kill
    number < x ?  ...tree...  --> ALLOW | ERRNO(EPERM) | ERRNO(other) | conditions on an argument

Compiling is pure; `syscalls.install_filter` installs the bytes.
"""

from __future__ import annotations

import errno
import struct
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY_PATH = Path(__file__).with_name("policy.toml")

_AUDIT_ARCH = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _AND, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x54, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16

_REFUSED = errno.EPERM

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Condition:
    """The low 32 bits of argument `arg`, after `mask`, are one of `values`."""

    arg: int
    mask: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to one system call.

    Args:
        number: On this architecture.
        errno: 0 allows it; otherwise it is refused with this error.
        otherwise: The error where the conditions do not hold.
        when: Allowed only when one of these holds; empty is always.
        every: Allowed only when all of these hold.
    """

    name: str
    number: int
    why: str
    errno: int = 0
    when: tuple[Condition, ...] = ()
    every: tuple[Condition, ...] = ()
    otherwise: int = _REFUSED


def load_policy(
    architecture: str,
    path: Path = POLICY_PATH,
    *,
    own_user: bool = False,
    doors: bool = False,
) -> tuple[Rule, ...]:
    """Read the policy's rows for one architecture ("x86_64", "aarch64"), by number.

    Args:
        architecture: Rows without a number for it are left out.
        path: The policy.
        own_user: Take the rows of `[own_user]` in place of those of the same name.
        doors: Take the rows of `[doors]` as well: something was granted that is reached by TCP.
    """
    sections = tomllib.loads(path.read_text())
    instead, connecting = sections.pop("own_user"), sections.pop("doors")
    rows = {name: row for section in sections.values() for name, row in section.items()}
    if own_user:
        rows |= instead
    if doors:
        rows |= connecting
    rules = [_rule(name, row, architecture) for name, row in rows.items() if architecture in row]
    return tuple(sorted(rules, key=lambda rule: rule.number))


def programs(architecture: str, *, own_user: bool) -> dict[bool, str]:
    """The compiled programs in hex, by whether the function has doors."""
    return {
        doors: compile_filter(
            load_policy(architecture, own_user=own_user, doors=doors), architecture
        ).hex()
        for doors in (False, True)
    }


def _rule(name: str, row: dict[str, Any], architecture: str) -> Rule:
    return Rule(
        name=name,
        number=row[architecture],
        why=row["why"],
        errno=getattr(errno, row["errno"]) if "errno" in row else 0,
        when=_conditions(row, "when"),
        every=_conditions(row, "every"),
        otherwise=getattr(errno, row.get("otherwise", "EPERM")),
    )


def _conditions(row: dict[str, Any], key: str) -> tuple[Condition, ...]:
    return tuple(Condition(c["arg"], c["mask"], tuple(c["values"])) for c in row.get(key, ()))


def compile_filter(rules: tuple[Rule, ...], architecture: str) -> bytes:
    """Compile rules into a classic BPF program, 8 bytes an instruction, at most 4096 of them."""
    refuse = [(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    leaves: list[tuple[int, list[_Instruction]]] = [(0, refuse)]
    for rule in rules:
        leaves.append((rule.number, _leaf(rule)))
        leaves.append((rule.number + 1, refuse))
    tree = _tree(_merge(leaves))
    program = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[architecture]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        *tree,
    ]
    assert len(program) <= 4096, "the kernel takes no longer filter"
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _leaf(rule: Rule) -> list[_Instruction]:
    if rule.errno:
        return [(_RETURN, 0, 0, _ERRNO | rule.errno)]
    refuse, allow = (_RETURN, 0, 0, _ERRNO | rule.otherwise), (_RETURN, 0, 0, _ALLOW)
    code: list[_Instruction] = []
    for condition in rule.every:
        # A value that fits jumps over those after it and the refusal.
        after = range(len(condition.values), 0, -1)
        compared = zip(after, condition.values, strict=True)
        code += [*_load(condition), *((_JUMP_EQUAL, n, 0, v) for n, v in compared), refuse]
    if not rule.when:
        return [*code, allow]
    for condition in rule.when:
        code += _load(condition)
        for value in condition.values:
            code += [(_JUMP_EQUAL, 0, 1, value), allow]
    return [*code, refuse]


def _load(condition: Condition) -> list[_Instruction]:
    """Put the argument's bits into the accumulator."""
    offset = _ARGUMENTS_OFFSET + 8 * condition.arg
    return [(_LOAD, 0, 0, offset), (_AND, 0, 0, condition.mask)]


def _merge(
    leaves: list[tuple[int, list[_Instruction]]],
) -> list[tuple[int, list[_Instruction]]]:
    """Later leaves replace earlier ones at the same number; neighbours that agree become one."""
    by_number = dict(leaves)
    merged: list[tuple[int, list[_Instruction]]] = []
    for number in sorted(by_number):
        if not merged or merged[-1][1] != by_number[number]:
            merged.append((number, by_number[number]))
    return merged


def _tree(leaves: list[tuple[int, list[_Instruction]]]) -> list[_Instruction]:
    if len(leaves) == 1:
        return leaves[0][1]
    middle = len(leaves) // 2
    lower, upper = _tree(leaves[:middle]), _tree(leaves[middle:])
    boundary = leaves[middle][0]
    if len(lower) <= 255:
        return [(_JUMP_GREATER_EQUAL, len(lower), 0, boundary), *lower, *upper]
    # A conditional jump reaches 255 instructions; a plain one reaches all.
    far = (_JUMP, 0, 0, len(lower))
    return [(_JUMP_GREATER_EQUAL, 0, 1, boundary), far, *lower, *upper]
