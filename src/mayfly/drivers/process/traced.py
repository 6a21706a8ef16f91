"""The daemon's end of a trace: a tracer's message becomes a `Trace` with the kernel's own names."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from mayfly.drivers.process import seccomp, syscalls
from mayfly.ports import Trace


class _Message(msgspec.Struct):
    files: list[str] = msgspec.field(default_factory=list)
    calls: list[int] = msgspec.field(default_factory=list)
    tasks: int = 0
    tmp: int = 0
    unavailable: str = ""


def read_trace(data: bytes) -> Trace | None:
    """One message, or None where it is none. A call that the policy has no row for is "#NUMBER"."""
    try:
        found = msgspec.json.decode(data, type=_Message)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    names = _names()
    return Trace(
        files=frozenset(found.files),
        calls=frozenset(names.get(one, f"#{one}") for one in found.calls),
        tasks_max=found.tasks,
        tmp_bytes_max=found.tmp,
        unavailable=found.unavailable,
    )


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    rules = seccomp.load_policy(syscalls.ARCHITECTURE, doors=True)
    return {rule.number: rule.name for rule in rules}
