"""How the suite becomes an ordinary user: another uid, an interpreter and a code that it may read.

The suite may run as root from folders that others cannot enter (a home of mode 0700). The
ordinary user then takes the system's interpreter of the same version, and a copy of what it
cannot reach.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path

from tests.support.needs import need, need_command

# Neither in /etc/passwd nor in a range that distributions hand out.
UID = 64_321

SOURCE = Path(__file__).resolve().parents[2] / "src"


def as_user(command: list[str]) -> list[str]:
    """`command`, run as the ordinary user; as it stands when the suite is one already."""
    if os.geteuid() != 0:
        return command
    setpriv = need_command("setpriv")
    identity = [f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"]
    return [setpriv, *identity, "--", *command]


def reachable(path: Path) -> bool:
    """Whether others may enter every folder on the way to `path`, and read it."""
    real = path.resolve()
    return all(one.stat().st_mode & 0o001 for one in real.parents) and bool(
        real.stat().st_mode & 0o004
    )


@lru_cache(maxsize=1)
def interpreter() -> Path:
    """An interpreter that the ordinary user can run, of the suite's own minor version."""
    if os.geteuid() != 0:
        return Path(sys.executable)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    wanted = Path(sys.executable).resolve()
    folders = ("/usr/bin", "/usr/local/bin", "/opt/bin")
    for candidate in (wanted, *(Path(folder, name) for folder in folders)):
        if candidate.exists() and reachable(candidate):
            return candidate
    need(False, f"a {name} that other users can run (apt install {name})")
    raise AssertionError


def search_path(shelf: Path) -> str:
    """PYTHONPATH for the ordinary user: our source and what it imports.

    Args:
        shelf: A folder that others can enter; copies go there when they are needed.
    """
    packages = Path(sysconfig.get_path("purelib"))
    return os.pathsep.join(str(_within_reach(one, shelf)) for one in (SOURCE, packages))


def _within_reach(path: Path, shelf: Path) -> Path:
    if os.geteuid() != 0 or reachable(path):
        return path
    copy = shelf / path.name
    if not copy.exists():
        half = shelf / f"{path.name}.{os.getpid()}"
        copier = shutil.copytree if path.is_dir() else shutil.copyfile
        copier(path, half)
        subprocess.run(["chmod", "-R", "a+rX", half], check=True)
        try:
            half.rename(copy)
        except OSError:
            # Another worker was first.
            shutil.rmtree(half)
    return copy


def run_suite(*paths: str, only: str) -> subprocess.CompletedProcess[str]:
    """Run a part of this suite as the ordinary user.

    One at a time: each looks at what it leaves on the machine.

    Args:
        paths: Relative to the project.
        only: A word that the tests' names or folders have (pytest's -k).
    """
    shelf = Path(os.environ["MAYFLY_SUITE"])
    project = SOURCE.parent
    tests = _within_reach(project / "tests", shelf)
    command = [str(interpreter()), "-m", "pytest", "-q", "-x", "-k", only, "-p", "no:cacheprovider"]
    command += ["-c", str(_within_reach(project / "pyproject.toml", shelf))]
    command += [f"--rootdir={tests.parent}", *(str(tests.parent / one) for one in paths)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{search_path(shelf)}{os.pathsep}{tests.parent}",
    }
    if "CI" in os.environ:
        environment["CI"] = os.environ["CI"]
    return subprocess.run(
        as_user(command),
        env=environment,
        cwd=tests.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@lru_cache(maxsize=1)
def user_namespaces() -> bool:
    """Whether the ordinary user may make a user namespace, which the seal then stands on."""
    probe = as_user([need_command("unshare"), "--user", "--map-root-user", "--mount", "true"])
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
