"""The stage of the demo: its folder, its programs, what it says, and that nothing stays.

`require_gone` looks at every process that came of the platform; `mayfly` and `run` raise `Wrong`
when a program fails, with what it said.
"""

from __future__ import annotations

import json
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
DATA, OUT = FOLDER / "data", FOLDER / "out"
MAYFLY = (sys.executable, "-m", "mayfly.cli")
END_TIMEOUT_S = 10.0


class Wrong(Exception):
    """Something is not as it must be."""


def client(service: str) -> Any:
    """A client of boto3, told by `mayfly env` where the platform is."""
    variables = json.loads(mayfly("env", "--json", show=False))
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def require_gone(family: list[int]) -> None:
    """Every process of the platform must have ended."""
    deadline_s = time.monotonic() + END_TIMEOUT_S
    left = family
    while (left := [pid for pid in left if alive(pid)]) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    chapter("7. Nothing is left running")
    if left or not family:
        raise Wrong(f"processes of the platform are still alive: {left}")
    say(f"  all {len(family)} processes of the platform have ended")


def descendants(pid: int) -> list[int]:
    """A process and all that came of it, as /proc has it now."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            parents[int(folder.name)] = parent(folder)
    family = [pid]
    for one in family:  # grows while it is walked
        family += [child for child, its_parent in parents.items() if its_parent == one]
    return family


def parent(folder: Path) -> int:
    """The parent of a process by its folder in /proc; 0 when it ended meanwhile."""
    try:
        return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def mayfly(*words: str, show: bool = True, data: bool = True) -> str:
    """Run the command line; what it printed."""
    command = [*words, *(("--data", shown(DATA)) if data else ())]
    if show:
        say(f"$ mayfly {shlex.join(command)}")
    output = run([*MAYFLY, *command])
    if show:
        say("\n".join(f"  {line}".rstrip() for line in output.splitlines()))
    return output


def run(command: list[str]) -> str:
    """Run a program in the repository's folder; what it printed.

    Raises:
        Wrong: It failed.
    """
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        raise Wrong(f"{shlex.join(command[:5])} ... ended with {done.returncode}:\n{said}")
    return done.stdout


def clean() -> None:
    """Begin anew: stop what an interrupted demo left, and empty its folder."""
    if (DATA / "endpoint.json").exists():
        mayfly("down", show=False)
    if FOLDER.exists():
        for folder in [FOLDER, *(one for one in FOLDER.rglob("*") if one.is_dir())]:
            folder.chmod(folder.stat().st_mode | stat.S_IRWXU)  # trees are read-only
        shutil.rmtree(FOLDER)
    OUT.mkdir(parents=True)


def complain(error: Exception) -> int:
    """Say what went wrong, with the daemon's last words."""
    print(f"\nthe demo failed: {error}", file=sys.stderr)
    log = DATA / "daemon.log"
    if log.exists():
        print(f"the last lines of {shown(log)}:", file=sys.stderr)
        for line in log.read_text(errors="replace").splitlines()[-15:]:
            print(f"  {line}", file=sys.stderr)
    return 1


def wait_for(what: str, look: Callable[[], Any], *, timeout_s: float = 30.0) -> Any:
    """Look until there is something; it.

    Raises:
        Wrong: It did not come in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise Wrong(f"{what} did not come within {timeout_s:g} s")


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """An action's result, and how many milliseconds it took."""
    started_s = time.perf_counter()
    result = action()
    return result, (time.perf_counter() - started_s) * 1000


def shown(path: Path) -> str:
    """A path as seen from the repository's folder."""
    return str(path.relative_to(ROOT))


def chapter(title: str) -> None:
    """A heading."""
    say(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}")


def say(text: str) -> None:
    """One or more lines for the person who watches."""
    print(text, flush=True)
