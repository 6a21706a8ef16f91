"""What this machine's kernel gives the seal: tried, not guessed.

`python -m mayfly.drivers.process.probe --json` prints it; `mayfly doctor` explains it to people.
Each trial is made in a child process, so that nothing of this one changes.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mayfly.drivers.process import cgroups, syscalls
from mayfly.drivers.process.plan import CgroupPlan

_NO_NAMESPACES = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "AppArmor restricts them: install packaging/apparmor/mayfly (docs/reference/service.md)",
    ),
    "/proc/sys/kernel/unprivileged_userns_clone": (
        "0",
        "they are switched off: sysctl kernel.unprivileged_userns_clone=1",
    ),
    "/proc/sys/user/max_user_namespaces": (
        "0",
        "their number is 0: sysctl user.max_user_namespaces=65536",
    ),
}
_SECCOMP_NOTHING = b"\x06\x00\x00\x00\x00\x00\xff\x7f"  # return ALLOW


def survey() -> dict[str, object]:
    """Everything, as `mayfly doctor` reads it."""
    return {
        "root": os.geteuid() == 0,
        "kernel": platform.release(),
        "architecture": syscalls.ARCHITECTURE,
        "user_namespaces": _user_namespaces(),
        "cgroup": _cgroup(),
        "landlock": {"abi": syscalls.landlock_abi()},
        "seccomp": _seccomp(),
        "kvm": _kvm(),
        "qemu": {"path": shutil.which(f"qemu-system-{syscalls.ARCHITECTURE}")},
    }


def _in_child(trial: Callable[[], None]) -> str:
    """Run `trial` in a child; "" when it went well, else what the kernel said."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            trial()
        except OSError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        text = said.read()
    os.waitpid(pid, 0)
    return text


def _user_namespaces() -> dict[str, object]:
    def trial() -> None:
        uid = os.geteuid()
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        cgroups.write("/proc/self/setgroups", "deny")
        cgroups.write("/proc/self/uid_map", f"{uid} {uid} 1")
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET)
        syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)

    why = _in_child(trial)
    if why:
        for path, (value, explanation) in _NO_NAMESPACES.items():
            if Path(path).exists() and Path(path).read_text().strip() == value:
                why = f"{why}; {explanation}"
    return {"ok": not why, "why": why}


def _cgroup() -> dict[str, object]:
    try:
        plan = cgroups.find(f"probe{os.getpid()}")
    except OSError as error:
        plan, why = CgroupPlan(), str(error)
    else:
        why = (
            "none that this user may write; `systemd-run --user --scope -p Delegate=yes` gives one"
        )
    try:
        if plan.version == 2:
            listed = Path(plan.folders[""], "cgroup.controllers").read_text().split()
        else:
            listed = list(plan.folders)
    finally:
        for folder in plan.folders.values():
            cgroups.remove(folder)
    controllers = {
        name: {"ok": name in listed, "why": "" if name in listed else why}
        for name in ("memory", "pids", "cpu")
    }
    return {"version": plan.version, "controllers": controllers}


def _seccomp() -> dict[str, object]:
    def trial() -> None:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.install_filter(_SECCOMP_NOTHING)

    why = _in_child(trial)
    return {"ok": not why, "why": why}


def _kvm() -> dict[str, object]:
    """A device file says little: a trial machine must start (here: KVM_CREATE_VM answers)."""
    if not Path("/dev/kvm").exists():
        return {"ok": False, "why": "there is no /dev/kvm"}
    qemu = shutil.which(f"qemu-system-{syscalls.ARCHITECTURE}")
    if qemu is None:
        return {"ok": False, "why": "not tried: there is no QEMU to try it with"}
    command = [qemu, "-accel", "kvm", "-M", "none", "-display", "none", "-monitor", "stdio"]
    try:
        tried = subprocess.run(  # noqa: S603 - a fixed program of the system
            command, input=b"quit\n", capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"ok": False, "why": str(error)}
    why = tried.stderr.decode(errors="replace").strip()
    return {"ok": tried.returncode == 0, "why": why}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(survey(), indent=2) + "\n")
