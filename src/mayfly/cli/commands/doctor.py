"""`mayfly doctor`: what this machine supports, what is lost without it, how to get it.

The looking is done by the driver's own probe, run as a program: it tries things (a namespace in
a child, a write into a cgroup) instead of guessing from versions. This file knows what each
finding means for a person.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from mayfly.cli import document
from mayfly.cli.display import print_json
from mayfly.cli.failure import FAILED, Failed
from mayfly.cli.options import json_option
from mayfly.cli.progress import Progress

_PROBE = ("-m", "mayfly.drivers.process.probe", "--json")
# Runtimes are found by the configuration's own search, so that doctor and daemon agree.
_LIST_RUNTIMES = """
import json
from mayfly.config import find_runtimes
print(json.dumps({name: str(one.executable) for name, one in find_runtimes().items()}))
"""
_RUNTIMES = ("-c", _LIST_RUNTIMES)
_SEPARATION = ("-m", "mayfly.daemon.separation")
_PROBE_TIMEOUT_S = 60
_KERNEL_MIN = (5, 13)
_LANDLOCK_NETWORK_ABI = 4
_LANDLOCK_SCOPES_ABI = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the machine has or lacks.

    Args:
        ok: Whether it is there, in full.
        found: What was found, or why it is not there.
        lost: What does not work without it; "" when `ok`.
        remedy: How to get it; "" when `ok`.
        vital: Without it no function can run.
    """

    name: str
    ok: bool
    found: str
    lost: str = ""
    remedy: str = ""
    vital: bool = False


@click.command()
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Say what this machine supports, what is lost without it, and how to get it.

    Ends with 0 when functions can run here at all.
    """
    with Progress("looking at this machine"):
        probed = _ask(_PROBE)
        if "runtimes" not in probed:
            probed = {**probed, "runtimes": _ask(_RUNTIMES)}
        if probed.get("root") is True and "separation" not in probed:
            probed = {**probed, "separation": _ask(_SEPARATION)}
    findings = (*examine(probed), _tls())
    stops = [one.name for one in findings if one.vital and not one.ok]
    if as_json:
        shown = {"runs": not stops, "findings": [asdict(one) for one in findings], "probe": probed}
        print_json(shown)
    else:
        _show(findings, stops)
    if stops:
        ctx.exit(FAILED)


def examine(probed: document.Document) -> Sequence[Finding]:
    """What the probe's document means, most vital first."""
    return (
        _kernel(probed),
        _namespaces(probed),
        _seccomp(probed),
        _runtimes(probed),
        _landlock(probed),
        *_cgroups(probed),
        *_separation(probed),
        _microvm(probed),
    )


def _kernel(probed: document.Document) -> Finding:
    told = document.text(probed, "kernel", "unknown")
    numbers = [int(part) for part in told.split("-")[0].split(".")[:2] if part.isdigit()]
    return _finding(
        "Linux kernel",
        ok=tuple(numbers) >= _KERNEL_MIN,
        found=told,
        lost="Landlock, and calls that the seal is made of",
        remedy="Linux 5.13 or newer",
        vital=True,
    )


def _namespaces(probed: document.Document) -> Finding:
    told = document.part(probed, "user_namespaces")
    root = probed.get("root") is True
    ok = told.get("ok") is True
    by_root = ", not needed by root" if root and not ok else ""
    return _finding(
        "user namespaces",
        ok=ok or root,
        found="yes" if ok else (document.text(told, "why") or "refused") + by_root,
        lost="an ordinary user cannot seal a function",
        remedy="`sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`, on "
        "Ubuntu install packaging/apparmor/mayfly (docs/reference/service.md); or run as root",
        vital=True,
    )


def _seccomp(probed: document.Document) -> Finding:
    told = document.part(probed, "seccomp")
    return _finding(
        "seccomp",
        ok=told.get("ok") is True,
        found="yes" if told.get("ok") is True else document.text(told, "why", "refused"),
        lost="no filter on system calls, so nothing is run",
        remedy="a kernel with CONFIG_SECCOMP_FILTER; in a container, a profile that allows seccomp",
        vital=True,
    )


def _runtimes(probed: document.Document) -> Finding:
    told = document.part(probed, "runtimes")
    return _finding(
        "runtimes",
        ok=bool(told),
        found=", ".join(f"{name} ({path})" for name, path in told.items()) or "none",
        lost="no language to run a function in",
        remedy="`apt-get install python3`, 3.11 or newer",
        vital=True,
    )


def _landlock(probed: document.Document) -> Finding:
    abi = int(document.number(document.part(probed, "landlock"), "abi"))
    if abi >= _LANDLOCK_SCOPES_ABI:
        lost = ""
    elif abi >= _LANDLOCK_NETWORK_ABI:
        lost = "the third wall around signals and abstract sockets (namespaces hold them too)"
    elif abi > 0:
        lost = "the second wall around TCP (the network namespace holds it too)"
    else:
        lost = "the second wall around files (the new root holds them too)"
    return _finding(
        "Landlock",
        ok=not lost,
        found=f"ABI {abi}" if abi else "not there",
        lost=lost,
        remedy='Linux 6.12 or newer, booted with "landlock" in lsm=',
    )


def _cgroups(probed: document.Document) -> Sequence[Finding]:
    told = document.part(probed, "cgroup")
    version = int(document.number(told, "version"))
    remedy = (
        "run as root, or have systemd delegate: `systemd-run --user --scope -p Delegate=yes "
        "mayfly up`"
        if version
        else "mount cgroup v2 at /sys/fs/cgroup"
    )
    lost = {
        "memory": "the memory bound is an address-space limit per process, less exact",
        "cpu": "functions get equal shares instead of shares by their memory",
        "pids": "the bound on processes is the per-user limit, shared by all functions",
    }
    controllers = document.part(told, "controllers")
    return [
        _finding(
            f"cgroup {name}",
            ok=document.part(controllers, name).get("ok") is True,
            found=_controller(document.part(controllers, name), version),
            lost=what,
            remedy=remedy,
        )
        for name, what in lost.items()
    ]


def _controller(told: document.Document, version: int) -> str:
    if told.get("ok") is True:
        return f"yes, v{version}"
    return document.text(told, "why") or ("not writable" if version else "no cgroups")


def _separation(probed: document.Document) -> Sequence[Finding]:
    """For root alone: whether a daemon that it starts gives its rights up."""
    told = document.part(probed, "separation")
    if not told:
        return ()
    why, user = document.text(told, "root_because"), document.text(told, "user")
    found = f"a daemon becomes the user {user}" if not why else f"a daemon stays root: {why}"
    return (
        _finding(
            "privilege separation",
            ok=not why,
            found=found,
            lost="what parses HTTP is root",
            remedy="docs/reference/service.md tells where to install and where to keep the data",
        ),
    )


def _microvm(probed: document.Document) -> Finding:
    kvm = document.part(probed, "kvm")
    qemu = document.text(document.part(probed, "qemu"), "path")
    has_kvm = kvm.get("ok") is True
    found = f"KVM {'yes' if has_kvm else document.text(kvm, 'why') or 'no'}, QEMU {qemu or 'no'}"
    return _finding(
        "KVM and QEMU",
        ok=has_kvm and bool(qemu),
        found=found,
        lost='isolate = "microvm"; isolate = "process" does not need them',
        remedy="a machine with /dev/kvm that this user may open, and `apt-get install qemu-system`",
    )


def _tls() -> Finding:
    return _finding(
        "TLS",
        ok=ssl.HAS_TLSv1_2,
        found=f"{ssl.OPENSSL_VERSION}; on for every listener but loopback's",
        lost='nothing but loopback can be listened on, or tls = "off" behind a proxy',
        remedy="a Python whose ssl module has TLS 1.2",
    )


def _finding(
    name: str, *, ok: bool, found: str, lost: str, remedy: str, vital: bool = False
) -> Finding:
    return Finding(name, ok, found, "" if ok else lost, "" if ok else remedy, vital)


def _show(findings: Sequence[Finding], stops: Sequence[str]) -> None:
    for one in findings:
        mark = "ok  " if one.ok else "NO  " if one.vital else "less"
        print(f"{mark}  {one.name:16} {one.found}")
        if not one.ok:
            print(f"      lost without:    {one.lost}")
            print(f"      how to get it:   {one.remedy}")
    if stops:
        print(f"\nFunctions cannot run here: {', '.join(stops)} is missing.")
    else:
        print("\nFunctions can run here.")


def _ask(program: Sequence[str]) -> document.Document:
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, *program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
            cwd=Path("/"),
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"the probe did not end within {_PROBE_TIMEOUT_S} s; try it again") from None
    try:
        return document.parse(done.stdout)
    except ValueError:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Failed(
            f"the probe failed with exit code {done.returncode}; is Mayfly installed whole?",
            detail="\n".join(f"  {line}" for line in said[-3:]),
        ) from None
