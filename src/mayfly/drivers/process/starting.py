"""How a launcher, or the warden, is started: an interpreter, nothing around it, and one socket."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

_GUEST = Path(__file__).parents[2] / "guest" / "bootstrap.py"
_PACKAGE_ROOT = str(Path(__file__).parents[3])
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[3]);"
    "from mayfly.drivers.process.launcher import main;"
    "sys.path.remove(sys.argv[3]); main()"
)
_GUARD = (
    "import sys; sys.path.insert(0, sys.argv[2]);"
    "from mayfly.drivers.process.warden import main; main()"
)


def start_launcher(
    executable: str, theirs: socket.socket, *arguments: str
) -> subprocess.Popen[bytes]:
    """Start a launcher on its end of a socket pair; nothing else of this process reaches it."""
    number = str(theirs.fileno())
    return _start([executable, "-I", "-S", "-c", LAUNCH, number, str(_GUEST)], theirs, *arguments)


def start_warden(executable: str, theirs: socket.socket) -> subprocess.Popen[bytes]:
    """Start the warden on its end of a socket pair."""
    return _start([executable, "-I", "-S", "-c", _GUARD, str(theirs.fileno())], theirs)


def _start(command: list[str], theirs: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    os.set_inheritable(theirs.fileno(), True)
    return subprocess.Popen(  # noqa: S603 - our code, a configured interpreter
        [*command, _PACKAGE_ROOT, *arguments],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
