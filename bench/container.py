"""(h) A container for each call: crun, the host's own Python mounted read-only, nothing pulled.

crun is the lightest of the common runtimes; what an engine above it adds (image, network, daemon)
is left out, and so are cgroups, both in the container's favour. crun 1.8 refuses to start where v1
and v2 cgroups are mixed: the series then runs in a mount namespace without the v2 mount.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.new_python import PYTHON, SCRIPT
from bench.series import EVENT, Effort, Measured, run_alone, timed

WHAT = "a crun container for each call"
HYBRID = Path("/sys/fs/cgroup/unified")


def measure(effort: Effort) -> list[Measured]:
    """The series, or why not."""
    if shutil.which("crun") is None:
        return [Measured("h", WHAT, missing="crun is not installed (make bench-setup)")]
    if os.geteuid() != 0 or not Path(PYTHON).exists():
        return [Measured("h", WHAT, missing=f"needs root and {PYTHON}")]
    command: list[str | Path] = [sys.executable, "-m", "bench.container", "--samples"]
    command += [str(effort.seconds), str(effort.calls)]
    if HYBRID.is_mount():
        command = ["unshare", "--mount", "sh", "-c", f'umount {HYBRID}; exec "$@"', "sh", *command]
    ended = subprocess.run(command, capture_output=True, check=False)
    if ended.returncode != 0:
        return [Measured("h", WHAT, missing=ended.stderr.decode().strip()[-300:])]
    return [Measured("h", WHAT, json.loads(ended.stdout))]


def samples(effort: Effort) -> list[int]:
    """Microseconds of each container's life, from asking to its exit.

    Raises:
        RuntimeError: crun refused; with its words.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder)
        _write_bundle(bundle)
        numbers = itertools.count()
        prefix = ["crun", "--cgroup-manager=disabled", f"--root={bundle / 'state'}", "run"]

        def call() -> bytes:
            name = f"mayfly-bench-{os.getpid()}-{next(numbers)}"
            command = [*prefix, "--bundle", str(bundle), name]
            ended = subprocess.run(command, input=EVENT, capture_output=True, check=False)
            if ended.returncode != 0:
                raise RuntimeError(f"crun: {ended.stderr.decode().strip()}")
            return ended.stdout

        assert json.loads(call()) == json.loads(EVENT)
        return timed(call, effort, warm_up=5)


def _write_bundle(bundle: Path) -> None:
    """An OCI bundle (runtime-spec config.md) whose root is the host's /usr, read-only."""
    root = bundle / "rootfs"
    for name in ("usr", "proc", "dev", "tmp", "task", "etc"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
    task = bundle / "task"
    task.mkdir()
    (task / "handler.py").write_text(SCRIPT)
    bind = {"type": "bind", "options": ["rbind", "ro", "nosuid", "nodev"]}
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=64m"]},
        {"destination": "/usr", "source": "/usr", **bind},
        {"destination": "/task", "source": str(task), **bind},
    ]
    kinds = ("pid", "network", "ipc", "uts", "mount")
    process = {
        "terminal": False,
        "user": {"uid": 1000, "gid": 1000},
        "args": [PYTHON, "/task/handler.py"],
        "env": ["PATH=/usr/bin"],
        "cwd": "/task",
        "noNewPrivileges": True,
    }
    config = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "bench",
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in kinds]},
    }
    (bundle / "config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--samples"]:
        effort = Effort(seconds=float(sys.argv[2]), calls=int(sys.argv[3]))
        json.dump(samples(effort), sys.stdout)
    else:
        run_alone(measure)
