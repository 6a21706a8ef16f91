"""A real platform for tests: a daemon of its own on a free port, real clients to speak to it.

    with run_platform(Folders(suite)) as platform:
        platform.client("lambda").list_functions()

Nothing is faked and nothing is shared with the person's own platform: data folder, key and port
are the platform's alone and are gone with it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from tests.support import unprivileged

START_S = 30.0
STOP_S = 20.0
# Where the suite's own interpreter is closed to others, root's platforms are not separated unless
# they are asked to be.
SEPARATED = os.environ.get("MAYFLY_TEST_SEPARATED") == "1" and os.geteuid() == 0
REGION = "us-east-1"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ROLE = "arn:aws:iam::000000000000:role/any"

_CLIENT_CONFIG = Config(
    retries={"total_max_attempts": 1},
    read_timeout=60,
    connect_timeout=5,
    max_pool_connections=64,
    parameter_validation=False,
)


@dataclass(frozen=True)
class HttpAnswer:
    """An answer to a plain HTTP request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Platform:
    """A running daemon and the key that opens it."""

    data: Path
    process: subprocess.Popen[bytes]
    endpoint: str
    access_key_id: str
    secret_access_key: str
    uid: int
    _clients: dict[str, BaseClient] = field(default_factory=dict)
    _names: int = 0

    @cached_property
    def session(self) -> boto3.Session:
        """A boto3 session with this platform's key."""
        return boto3.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=REGION,
        )

    def client(self, service: str = "lambda") -> BaseClient:
        """An unmodified boto3 client; parameters are checked by the platform, not by boto3."""
        if service not in self._clients:
            self._clients[service] = self.session.client(
                service, endpoint_url=self.endpoint, config=_CLIENT_CONFIG
            )
        return self._clients[service]

    @property
    def environment(self) -> dict[str, str]:
        """What `mayfly env` prints, as an environment for other programs."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "MAYFLY_DATA": str(self.data),
        }

    def new_name(self, stem: str = "f") -> str:
        """A function name that this data folder has not seen, whoever lived on it before."""
        self._names += 1
        return f"{stem}-{self.process.pid}-{self._names}"

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """An unsigned GET; an error status is an answer, not an exception."""
        return fetch(self.endpoint + path, headers=headers)

    def log(self) -> str:
        """What the daemon has said so far."""
        return (self.data.parent / "daemon.log").read_text(errors="replace")


def fetch(
    url: str,
    *,
    data: bytes | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """One plain HTTP request, past any proxy; an error status is an answer."""
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return HttpAnswer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return HttpAnswer(refused.code, dict(refused.headers), refused.read())


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A code archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def start_daemon(
    folder: Path,
    *,
    ordinary_user: bool = False,
    separated: bool = SEPARATED,
    settings: Mapping[str, str] | None = None,
    listen: str = "127.0.0.1:0",
) -> Platform:
    """Start a daemon with its data in `folder`/data and wait until it answers.

    The caller owns it: `stop_daemon` ends it.

    Args:
        folder: Made for this platform; the ordinary user must be able to enter it.
        separated: Root starts it from a place that every user may read: it gives its rights up.
        settings: MAYFLY_* variables.
    """
    data = folder / "data"
    open_to_all = ordinary_user or separated
    command = [str(unprivileged.interpreter() if open_to_all else sys.executable)]
    command += ["-m", "mayfly.daemon"]
    runtimes = Path(command[0]).resolve().parent
    environment = {"PATH": f"/usr/bin:/bin:{runtimes}", "HOME": str(folder), **(settings or {})}
    environment |= {name: os.environ[name] for name in ("MAYFLY_SUITE", "TMPDIR")}
    if open_to_all:
        environment["PYTHONPATH"] = unprivileged.search_path(folder.parent)
    if ordinary_user:
        if os.geteuid() == 0:
            os.chown(folder, unprivileged.UID, unprivileged.UID)
        command = unprivileged.as_user(command)
    command += ["--data", str(data), "--listen", listen]
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return _introduced(data, process)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _introduced(data: Path, process: subprocess.Popen[bytes]) -> Platform:
    """Wait until the daemon has written where it listens, and read its key."""
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError, ValueError, KeyError):
            place = json.loads((data / "endpoint.json").read_text())
            key = json.loads((data / "key.json").read_text())
            # A file of an earlier life does not count.
            if place["pid"] in (process.pid, *_children(process.pid)):
                return Platform(
                    data=data,
                    process=process,
                    endpoint=place["endpoint"].rstrip("/"),
                    access_key_id=key["access_key_id"],
                    secret_access_key=key["secret_access_key"],
                    uid=_uid_of(place["pid"]),
                )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
        if process.poll() is not None or time.monotonic() > deadline:
            said = (data.parent / "daemon.log").read_text(errors="replace")
            raise AssertionError(f"the daemon did not come up (exit {process.poll()}):\n{said}")


def _uid_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nUid:")[2].split()[0])


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stop_daemon(platform: Platform) -> int:
    """Ask the daemon to stop and wait; its exit code. A daemon that hangs is an error."""
    platform.process.send_signal(signal.SIGTERM)
    try:
        return platform.process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        platform.process.kill()
        platform.process.wait()
        raise AssertionError(
            f"the daemon did not stop within {STOP_S:g} s of SIGTERM:\n{platform.log()[-4000:]}"
        ) from None


def platform_folder() -> Path:
    """A new folder that other users can enter, in the suite's own."""
    suite = Path(os.environ["MAYFLY_SUITE"])
    folder = Path(tempfile.mkdtemp(prefix="p-", dir=suite))
    folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def run_platform(
    *,
    ordinary_user: bool = False,
    separated: bool = SEPARATED,
    settings: Mapping[str, str] | None = None,
    listen: str = "127.0.0.1:0",
) -> Iterator[Platform]:
    """A platform for as long as the block runs; it must stop with exit code 0."""
    folder = platform_folder()
    try:
        platform = start_daemon(
            folder,
            ordinary_user=ordinary_user,
            separated=separated,
            settings=settings,
            listen=listen,
        )
        try:
            yield platform
        finally:
            code = stop_daemon(platform)
        assert code == 0, f"the daemon ended with {code}:\n{platform.log()[-4000:]}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
