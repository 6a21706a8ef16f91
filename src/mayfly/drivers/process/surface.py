"""The driver's own word on what its isolates could do, from the plan that it seals them by.

Nothing is built and nothing is started for it. What is said here is checked from inside by
tests/parity/test_audit.py.
"""

from __future__ import annotations

import os
from pathlib import Path

from mayfly.drivers.inventory import take_inventory
from mayfly.drivers.process import mounts, seccomp, syscalls
from mayfly.drivers.process.kernel_calls import kernel_calls
from mayfly.drivers.process.plan import ISOLATE_UID, Plan
from mayfly.model import limits
from mayfly.ports.surface import AllowedCall, Surface, Tree, WritablePlace

# A user namespace of the isolate's own, or its snapshot's: in both it is nobody outside.
_NAMESPACES = ("user", "mount", "pid", "network", "ipc", "uts", "cgroup")

_TMP = "/tmp"  # noqa: S108  the isolate's own


def describe(plan: Plan) -> Surface:
    """What an isolate sealed by `plan` could do. Blocking: its file trees are walked.

    Raises:
        OSError: A tree cannot be read.
    """
    kernel = os.uname()
    architecture = syscalls.ARCHITECTURE
    return Surface(
        driver="process",
        kernel=f"{kernel.sysname} {kernel.release}",
        architecture=architecture,
        trees=_trees(plan),
        writable=(WritablePlace(_TMP, plan.tmp_bytes, executable=False, lasting=False),),
        devices=mounts.device_names(),
        calls=_calls(plan, architecture),
        kernel_calls=len(kernel_calls(architecture, kernel.release)),
        capabilities=(),
        uid=ISOLATE_UID,
        outside="the platform's user" if plan.rootless else "nobody",
        namespaces=_NAMESPACES,
        landlock_abi=plan.abi,
        limits_by=f"cgroup v{plan.cgroup.version}" if plan.cgroup.version else "rlimits",
        limits={
            "memory_bytes": plan.memory_bytes,
            "processes": plan.pids_max,
            "open_files": plan.open_files_max,
            "tmp_bytes": plan.tmp_bytes,
            "cpu_shares": plan.cpu_shares,
            "log_bytes_per_call": limits.LOG_BYTES_PER_CALL_MAX,
            "answer_bytes": limits.RESPONSE_BYTES_MAX,
        },
    )


def _trees(plan: Plan) -> tuple[Tree, ...]:
    binds = [(Path(source), place) for source, place in plan.binds]
    return tuple(
        take_inventory(folder, place) for folder, place in [(Path(plan.root), "/"), *binds]
    )


def _calls(plan: Plan, architecture: str) -> tuple[AllowedCall, ...]:
    rules = seccomp.load_policy(architecture, own_user=plan.own_user, doors=bool(plan.doors))
    return tuple(
        AllowedCall(rule.name, rule.why, conditional=bool(rule.when or rule.every))
        for rule in sorted(rules, key=lambda rule: rule.name)
        if not rule.errno
    )
