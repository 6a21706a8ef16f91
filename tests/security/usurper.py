"""What a daemon that was taken over would try; run as any user, it says what went well.

    python usurper.py '{"processes": {"warden": 4711, ...}, "files": {"tree": "/..."}}'

Prints a JSON object: the name of each attempt, and "done" or the error's name.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17
_libc = ctypes.CDLL(None, use_errno=True)


def _become_root() -> None:
    os.setresuid(0, 0, 0)


def _take_a_capability() -> None:
    # PR_CAPBSET_READ of CAP_SYS_ADMIN: 1 where an exec could still give it.
    if _libc.prctl(23, 21, 0, 0, 0) != 1:
        raise OSError(errno.EPERM, "bounding set")


def _mount() -> None:
    if _libc.unshare(0x0002_0000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _trace(pid: int) -> None:
    if _libc.ptrace(_PTRACE_SEIZE, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def _memory(pid: int) -> None:
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def _environment(pid: int) -> None:
    with open(f"/proc/{pid}/environ", "rb") as file:
        file.read()


def _descriptors(pid: int) -> None:
    os.listdir(f"/proc/{pid}/fd")


def _signal(pid: int) -> None:
    # The control must leave it alive: whoever may send nothing may send everything.
    os.kill(pid, 0)
    if os.geteuid() != 0:
        os.kill(pid, signal.SIGKILL)


def _write(path: str) -> None:
    probe = f"{path}/usurper"
    os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600))
    os.unlink(probe)


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def main() -> None:
    """Try everything."""
    given = json.loads(sys.argv[1])
    attempts: dict[str, Callable[[], None]] = {
        "become root": _become_root,
        "keep a capability": _take_a_capability,
        "mount namespace": _mount,
    }
    per_process = {
        "trace": _trace,
        "memory": _memory,
        "environment": _environment,
        "descriptors": _descriptors,
        "signal": _signal,
    }
    for name, pid in given["processes"].items():
        for what, act in per_process.items():
            if (what, name) == ("signal", "daemon"):
                # It may end itself, and so its like.
                continue
            attempts[f"{what} of the {name}"] = partial(act, pid)
    for name, path in given["folders"].items():
        attempts[f"write {name}"] = partial(_write, path)
    for name, path in given["files"].items():
        attempts[f"read {name}"] = partial(_read, path)
    said = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError as error:
            said[name] = errno.errorcode.get(error.errno or 0, "?")
        else:
            said[name] = "done"
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
