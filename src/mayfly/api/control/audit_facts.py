"""An audit's facts: what `mayfly audit --json` holds, and what two versions are compared by.

Keys stay as they are: the form gains members and loses none. Lists are sorted, so that two audits
differ only where the functions do. Names of secrets and variables, never values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mayfly.api.credentials import PLATFORM_KINDS, VARIABLES
from mayfly.model import granting
from mayfly.model.function import Function, FunctionUrl
from mayfly.model.grant import GrantKind
from mayfly.ports import Surroundings
from mayfly.ports.surface import Surface, Tree, WritablePlace

Facts = Mapping[str, object]


def audit_facts(
    function: Function,
    surface: Surface,
    given: Surroundings,
    *,
    url: FunctionUrl | None,
    triggers: Sequence[Mapping[str, object]],
) -> Facts:
    """Everything that can be said of a function's surface without running it."""
    settings = function.settings
    grants = settings.grants
    has_key = any(one.kind in PLATFORM_KINDS for one in grants)
    return {
        "driver": surface.driver,
        "kernel": surface.kernel,
        "architecture": surface.architecture,
        "runtime": settings.runtime,
        "handler": settings.handler,
        "code": function.code.digest,
        "dependencies": function.code.dependencies,
        "url_auth": url.auth.value if url else None,
        "triggers": sorted(_trigger(one) for one in triggers),
        "image": _image(surface.trees),
        "writable": [_place(one) for one in surface.writable],
        "devices": sorted(surface.devices),
        "hosts": sorted(one.target for one in grants if one.kind is GrantKind.NET),
        "grants": sorted(granting.written(one) for one in grants),
        "secrets": sorted(one.target for one in grants if one.kind is GrantKind.SECRETS),
        "credentials": list(VARIABLES) if has_key else [],
        "environment": sorted(given.environment),
        "syscalls": sorted(one.name for one in surface.calls),
        "syscalls_conditional": sorted(one.name for one in surface.calls if one.conditional),
        "syscalls_of_kernel": surface.kernel_calls,
        "capabilities": sorted(surface.capabilities),
        "uid": surface.uid,
        "uid_outside": surface.outside,
        "namespaces": sorted(surface.namespaces),
        "landlock_abi": surface.landlock_abi,
        "limits_by": surface.limits_by,
        "limits": {**surface.limits, "timeout_s": settings.timeout_s},
        "concurrency": settings.concurrency,
        "reuse": settings.reuse.value,
    }


def _trigger(trigger: Mapping[str, object]) -> str:
    told = [f"{key}={value}" for key, value in sorted(trigger.items()) if key != "type"]
    return " ".join([str(trigger.get("type")), *told])


def _image(trees: Sequence[Tree]) -> Facts:
    return {
        "files": sum(one.files for one in trees),
        "links": sum(one.links for one in trees),
        "bytes": sum(one.size_bytes for one in trees),
        "programs": sorted(path for one in trees for path in one.programs),
        "scripts": sum(one.scripts for one in trees),
        "setuid": sorted(path for one in trees for path in one.setuid),
        "shells": sorted(path for one in trees for path in one.shells),
        "trees": {one.place: {"files": one.files, "bytes": one.size_bytes} for one in trees},
    }


def _place(place: WritablePlace) -> Facts:
    return {
        "path": place.path,
        "bytes": place.size_bytes,
        "executable": place.executable,
        "lasting": place.lasting,
    }
