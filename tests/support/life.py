"""A data folder and the daemons that live and die on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support import leaks, unprivileged
from tests.support.functions import Functions
from tests.support.needs import need
from tests.support.platform import Platform, platform_folder, start_daemon, stop_daemon


class Life:
    """One data folder and the daemons that live on it, one after the other."""

    def __init__(self, folder: Path, *, ordinary_user: bool) -> None:
        self.folder = folder
        self.ordinary_user = ordinary_user
        self.platform: Platform | None = None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def up(self) -> Functions:
        """Start, or start again."""
        self.platform = start_daemon(self.folder, ordinary_user=self.ordinary_user)
        return Functions(self.platform)

    def kill(self) -> None:
        """End the daemon as a power cut would, and wait until the process is gone."""
        assert self.platform is not None
        self.platform.process.kill()
        self.platform.process.wait()

    def survives(self) -> bool:
        """Whether the daemon still runs a moment later."""
        assert self.platform is not None
        try:
            self.platform.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return True
        return False

    def end(self) -> None:
        """Stop what still runs."""
        if self.platform is not None and self.platform.process.poll() is None:
            stop_daemon(self.platform)

    def refused(self, *, listen: str = "127.0.0.1:0") -> str:
        """Start a daemon that must refuse to run; what it says."""
        if os.geteuid() == 0 and self.ordinary_user:
            for one in (self.folder, *self.folder.glob("data")):
                os.chown(one, unprivileged.UID, unprivileged.UID)
        python = str(unprivileged.interpreter())
        command = [python, "-m", "mayfly.daemon", "--data", str(self.data), "--listen", listen]
        ended = subprocess.run(
            unprivileged.as_user(command) if self.ordinary_user else command,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.folder),
                "MAYFLY_SUITE": os.environ["MAYFLY_SUITE"],
                "PYTHONPATH": unprivileged.search_path(self.folder.parent),
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ended.returncode != 0, ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.stderr


@contextlib.contextmanager
def new_life(*, ordinary_user: bool) -> Iterator[Life]:
    """A data folder of its own; what runs on it is stopped and the folder removed."""
    if ordinary_user:
        need(unprivileged.user_namespaces(), "user namespaces for ordinary users")
    life = Life(platform_folder(), ordinary_user=ordinary_user)
    try:
        yield life
    finally:
        life.end()
        shutil.rmtree(life.folder, ignore_errors=True)


def descendants(pid: int) -> frozenset[leaks.Process]:
    """Every process below `pid`, whatever namespace it lives in."""
    return frozenset(one for one in leaks.take_census().processes if pid in leaks.lineage(one.pid))
