"""Parsed expressions: what was written, with names and values still as placeholders.

Immutable, so that one parsed text serves every request that sends it.
"""

from __future__ import annotations

from dataclasses import dataclass

# A step is a name, a placeholder of one (it starts with "#"), or a list's index.
Step = str | int


@dataclass(frozen=True, slots=True)
class Path:
    """A document path, as written."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A placeholder of a value, with its colon."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its operands."""

    function: str
    operands: tuple[Operand, ...]


Operand = Path | Value | Call


@dataclass(frozen=True, slots=True)
class Compare:
    """`left` = < <= > >= or <> `right`."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """`operand` BETWEEN `low` AND `high`."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """`operand` IN (`options`)."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more."""

    parts: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more."""

    parts: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    part: Test


Test = Compare | Between | In | And | Or | Not | Call


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left` + or - `right`."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Assign:
    """SET `path` = `source`."""

    path: Path
    source: Operand | Arithmetic


@dataclass(frozen=True, slots=True)
class Remove:
    """REMOVE `path`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Merge:
    """ADD `path` `value`, or DELETE `path` `value`; `verb` says which."""

    verb: str
    path: Path
    value: Value


Action = Assign | Remove | Merge
