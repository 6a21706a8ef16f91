"""An audit's page: a row for each side of the surface, with its reason, beside Docker's default.

A row is {"name", "says", "why", "docker"}. What Docker's container has is data with its sources, in
docker.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from mayfly.api.control.audit_facts import Facts
from mayfly.model import limits
from mayfly.model.function import Function, Reuse
from mayfly.ports.surface import Surface

DOCKER_PATH = Path(__file__).with_name("docker.toml")
_PROGRAMS_SHOWN_MAX = 4
_NAMED_MAX = 8


def audit_rows(function: Function, surface: Surface, facts: Facts) -> list[dict[str, str]]:
    """The page, top to bottom."""
    docker = _docker()
    told = [
        *_ways_in(facts),
        *_inside(function, surface, facts),
        *_ways_out(facts),
        *_kernel(surface),
        *_bounds(function, surface),
    ]
    return [
        {"name": name, "says": says, "why": why, "docker": docker[name]} for name, says, why in told
    ]


_Told = tuple[str, str, str]


def _ways_in(facts: Facts) -> Sequence[_Told]:
    auth = facts["url_auth"]
    url = "no URL" if auth is None else f"a URL, auth {'none' if auth == 'NONE' else 'iam'}"
    triggers = _texts(facts["triggers"])
    says = f"{url}; {_counted(len(triggers), 'trigger')}; invoke by the owner's key"
    return [("entries", says, "what it is called by; a URL with auth none is open to all")]


def _inside(function: Function, surface: Surface, facts: Facts) -> Sequence[_Told]:
    trees = surface.trees
    programs = [path for one in trees for path in one.programs]
    count, size = sum(one.files for one in trees), sum(one.size_bytes for one in trees)
    files = (
        f"{count} files, {_bytes(size)}, read-only; {_counted(len(programs), 'program')}"
        f"{_some(programs)}; shells {_none(path for one in trees for path in one.shells)}; "
        f"setuid {_none(path for one in trees for path in one.setuid)}"
    )
    places = "; ".join(
        f"{one.path}, {_bytes(one.size_bytes)}, {'executable' if one.executable else 'noexec'}, "
        f"{'lasting' if one.lasting else 'gone with the isolate'}"
        for one in surface.writable
    )
    warm = function.settings.reuse is Reuse.WARM
    environment = _texts(facts["environment"])
    return [
        ("files", files, "the interpreter and what it loads, the code, its requirements; no more"),
        ("writable", places or "nothing", "an isolate's own; nothing that is written can be run"),
        (
            "devices",
            " ".join(surface.devices) or "none",
            "what programs expect; no disk, no terminal",
        ),
        (
            "environment",
            f"{_counted(len(environment), 'variable')}: {' '.join(environment)}",
            "Lambda's own and the function's; nothing of the machine's",
        ),
        (
            "reuse",
            "warm: an isolate serves further calls" if warm else "never: each call has its own",
            "the owner chose it: faster, and calls can see each other's leavings"
            if warm
            else "nothing of one call is there in the next",
        ),
    ]


def _ways_out(facts: Facts) -> Sequence[_Told]:
    hosts, secrets = _texts(facts["hosts"]), _texts(facts["secrets"])
    others = [one for one in _texts(facts["grants"]) if not one.startswith(("net=", "secrets="))]
    key = "a key of its own, good for its grants, gone with its snapshot"
    return [
        (
            "network",
            " ".join(hosts) or "none: it cannot even make a socket",
            "granted, host by host",
        ),
        ("grants", " ".join(others) or "none", "what its key opens on this platform"),
        (
            "credentials",
            key if _texts(facts["credentials"]) else "none",
            "only a function that was granted something has a key",
        ),
        ("secrets", " ".join(secrets) or "none", "granted by name; a value is never shown"),
    ]


def _kernel(surface: Surface) -> Sequence[_Told]:
    calls = surface.calls
    conditional = sum(one.conditional for one in calls)
    says = (
        f"{len(calls)} of the {surface.kernel_calls} of {surface.kernel}, {conditional} of them "
        "for some arguments only"
    )
    return [
        ("syscalls", says, "each with its reason, with --verbose; everything else is refused"),
        ("capabilities", _none(surface.capabilities), "nothing it does needs one"),
        (
            "identity",
            f"uid {surface.uid} inside, {surface.outside} outside; no new privileges",
            "a user namespace: there is no root to become",
        ),
        (
            "namespaces",
            " ".join(surface.namespaces) or "none",
            "it sees its own processes, mounts, network, names and users only",
        ),
        (
            "landlock",
            f"ABI {surface.landlock_abi}" if surface.landlock_abi else "none: the kernel lacks it",
            "a second wall: no device nodes, no signal or socket out, TCP to its doors only",
        ),
    ]


def _bounds(function: Function, surface: Surface) -> Sequence[_Told]:
    bounds = surface.limits
    words = [
        f"memory {_bytes(bounds['memory_bytes'])}",
        f"{bounds['processes']} processes",
        f"{function.settings.timeout_s} s a call",
        f"/tmp {_bytes(bounds['tmp_bytes'])}",  # noqa: S108  a label
    ]
    if "open_files" in bounds:
        words.append(f"{bounds['open_files']} descriptors a process")
    words.append(f"log {_bytes(limits.LOG_BYTES_PER_CALL_MAX)} a call")
    why = f"kept by {surface.limits_by}, the deadline by the platform"
    return [("limits", ", ".join(words), why)]


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _some(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    names = [one.rpartition("/")[2] for one in sorted(paths)][:_PROGRAMS_SHOWN_MAX]
    more = ", ..." if len(paths) > len(names) else ""
    return f" ({', '.join(names)}{more})"


def _none(names: Iterable[str]) -> str:
    found = list(names)
    more = " ..." if len(found) > _NAMED_MAX else ""
    return " ".join(found[:_NAMED_MAX]) + more if found else "none"


def _bytes(count: int) -> str:
    if count >= limits.MIB:
        whole, rest = divmod(count, limits.MIB)
        return f"{whole} MiB" if not rest else f"{count / limits.MIB:.1f} MiB"
    return f"{count / limits.KIB:.0f} KiB"


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


@lru_cache(maxsize=1)
def _docker() -> Mapping[str, str]:
    rows = tomllib.loads(DOCKER_PATH.read_text())["rows"]
    return {name: str(says) for name, says in rows.items()}
