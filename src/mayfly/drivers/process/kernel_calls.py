"""Which system calls a kernel has: what an allow-list is to be measured by.

A kernel does not tell; the table `kernel_calls.toml` says which version brought which, from the
kernel's own headers. Pure but for reading that file, once.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path

_TABLE = Path(__file__).with_name("kernel_calls.toml")


def kernel_calls(architecture: str, release: str) -> frozenset[str]:
    """The calls that a kernel has.

    Args:
        architecture: "x86_64" or "aarch64".
        release: As uname(2) gives it: "6.18.44-generic".
    """
    version = _version(release)
    names: set[str] = set()
    for since, listed in _table()[architecture].items():
        if _version(since) <= version:
            names |= set(listed.split())
    return frozenset(names)


def known_until(architecture: str) -> str:
    """The newest version that the table has calls of."""
    return max(_table()[architecture], key=_version)


def _version(written: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", written)
    assert found, written
    return int(found[1]), int(found[2])


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, str]]:
    return tomllib.loads(_TABLE.read_text())
