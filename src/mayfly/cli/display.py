"""How values are shown: JSON for programs, quantities with their unit for people."""

from __future__ import annotations

import json

_KIB_PER_MIB = 1024
_S_PER_MINUTE, _S_PER_HOUR, _S_PER_DAY = 60, 3_600, 86_400


def print_json(value: object) -> None:
    """One JSON document on stdout, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def milliseconds(value: float | None) -> str:
    """A duration: "0.41 ms", "12 ms", "3.2 s", or "-" when it is not known."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.2f} ms"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def age(seconds: float) -> str:
    """How long ago: "12s", "5m", "3h", "2d"."""
    whole = max(0, int(seconds))
    if whole < _S_PER_MINUTE:
        return f"{whole}s"
    if whole < _S_PER_HOUR:
        return f"{whole // _S_PER_MINUTE}m"
    if whole < _S_PER_DAY:
        return f"{whole // _S_PER_HOUR}h"
    return f"{whole // _S_PER_DAY}d"


def size(count: float) -> str:
    """A number of bytes: "811 B", "1.9 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def kibibytes(count: float) -> str:
    """A memory size given in KiB: "640 KiB", "23.4 MiB"."""
    return f"{count:.0f} KiB" if count < _KIB_PER_MIB else f"{count / _KIB_PER_MIB:.1f} MiB"
