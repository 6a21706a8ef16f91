"""The platform under measurement: a real daemon of any source tree, in a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.http_client import KeepAlive
from bench.series import EVENT, HANDLER

SOURCE = Path(__file__).parents[1] / "src"
RUNTIME = f"python3.{sys.version_info.minor}"
START_S = 30.0


@dataclass(frozen=True)
class Daemon:
    """A running platform and its key."""

    pid: int
    endpoint: str
    key: Credentials

    def signed(
        self, method: str, path: str, body: bytes, service: str = "lambda"
    ) -> dict[str, str]:
        """Headers of a signed request; good for five minutes, as often as it is sent."""
        request = AWSRequest(method=method, url=self.endpoint + path, data=body)
        SigV4Auth(self.key, service, "us-east-1").add_auth(request)
        return {key: val for key, val in request.headers.items() if key.lower() != "host"}

    def ask(self, method: str, path: str, body: bytes = b"", service: str = "mayfly") -> bytes:
        """One signed request; raises on any status but 2xx."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.endpoint).netloc)
        with contextlib.closing(connection):
            connection.request(method, path, body, self.signed(method, path, body, service))
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {content[:500]!r}")
        return content

    def deploy(self, name: str, code: str = HANDLER, **settings: object) -> None:
        """Deploy a function as `mayfly deploy` does; its snapshot is made."""
        wanted: dict[str, object] = {"name": name, "handler": "app.handler", "runtime": RUNTIME}
        lines = [f"{key} = {json.dumps(value)}" for key, value in (wanted | settings).items()]
        manifest = "\n".join(["[function]", *lines, ""])
        answer = self.ask(
            "PUT", "/_mayfly/v1/deploy", zipped({"mayfly.toml": manifest, "app.py": code})
        )
        last = json.loads(answer.splitlines()[-1])
        if "error" in last:
            raise RuntimeError(f"deploy failed: {last['error']}")

    def client(self, name: str, body: bytes = EVENT) -> KeepAlive:
        """A kept connection that invokes a function through AWS's API, signed."""
        path = invoke_path(name)
        return KeepAlive(self.endpoint + path, body, self.signed("POST", path, body))

    def residents(self) -> list[dict[str, Any]]:
        """Snapshots and isolates now alive."""
        found: list[dict[str, Any]] = json.loads(self.ask("GET", "/_mayfly/v1/ps"))["residents"]
        return found

    def parked(self) -> int:
        """How many isolates are parked now."""
        node: dict[str, Any] = json.loads(self.ask("GET", "/_mayfly/v1/stats"))["node"]
        return int(node["isolates_parked"])


def invoke_path(name: str) -> str:
    """Where a function is invoked in AWS's API."""
    return f"/2015-03-31/functions/{name}/invocations"


def zipped(files: Mapping[str, str]) -> bytes:
    """A zip archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@contextlib.contextmanager
def daemon(*, source: Path = SOURCE, settings: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A platform for as long as the block runs.

    Args:
        source: The src folder of the revision to measure.
        settings: MAYFLY_* variables.

    Raises:
        RuntimeError: It did not come up; with what it said.
    """
    folder = Path(tempfile.mkdtemp(prefix="mayfly-bench-"))
    data = folder / "data"
    log = folder / "daemon.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "mayfly.daemon", "--data", str(data), "--listen", "127.0.0.1:0"],
            env={**os.environ, "PYTHONPATH": str(source), **(settings or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield _introduced(process, data, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _introduced(process: subprocess.Popen[bytes], data: Path, log: Path) -> Daemon:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            place = json.loads((data / "endpoint.json").read_text())
            key = json.loads((data / "key.json").read_text())
            pair = Credentials(key["access_key_id"], key["secret_access_key"])
            return Daemon(process.pid, place["endpoint"].rstrip("/"), pair)
        time.sleep(0.02)
    raise RuntimeError(f"the daemon did not come up:\n{log.read_text()[-2000:]}")
