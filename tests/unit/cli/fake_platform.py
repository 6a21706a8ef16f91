"""A small stand-in for the daemon: the control API's shapes, its answers chosen by the test.

Every request's signature is verified by botocore, not by our own code, so that the command
line's signer cannot agree with itself on a mistake.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY_ID = "AKIDMAYFLY"
SECRET = "a/secret+of=forty"


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(document: object, status: int = 200) -> Answer:
    """One JSON document."""
    return Answer(status, json.dumps(document).encode())


def lines(*documents: object) -> Answer:
    """JSON lines."""
    return Answer(200, b"".join(json.dumps(one).encode() + b"\n" for one in documents))


@dataclass
class FakePlatform:
    """A platform that runs on `data` as far as the command line can see."""

    data: Path
    endpoint: str
    requests: list[Request] = field(default_factory=list)
    answers: dict[tuple[str, str], Answer | Callable[[Request], Answer]] = field(
        default_factory=dict
    )

    def answer(self, method: str, path: str, answer: Answer | Callable[[Request], Answer]) -> None:
        """Say what is answered to a method and path (percent-encoded, without query)."""
        self.answers[method, path] = answer

    @property
    def last(self) -> Request:
        """The latest signed request."""
        return self.requests[-1]

    def arguments(self, *words: str) -> list[str]:
        """A command line that is directed to this platform."""
        return [*words, "--data", str(self.data)]


@contextmanager
def run_fake_platform(data: Path) -> Iterator[FakePlatform]:
    """A fake platform, up until the block is left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Line)
    fake = FakePlatform(data, f"http://127.0.0.1:{server.server_address[1]}")
    server.fake = fake  # type: ignore[attr-defined]
    write_description(data, fake.endpoint, os.getpid())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_description(data: Path, endpoint: str, pid: int) -> None:
    """The two files by which a data folder tells of its platform."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "endpoint.json").write_text(
        json.dumps({"endpoint": endpoint, "pid": pid, "started_ms": 0})
    )
    (data / "key.json").write_text(
        json.dumps({"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET})
    )


def is_signed(request: Request, endpoint: str) -> bool:
    """Whether botocore, given the same request and key, comes to the same signature."""
    told = request.headers.get("authorization", "")
    fields = dict(part.split("=", 1) for part in told.partition(" ")[2].split(", ") if "=" in part)
    scope = fields.get("Credential", "").split("/")
    if len(scope) != 5 or scope[0] != ACCESS_KEY_ID:
        return False
    names = fields["SignedHeaders"].split(";")
    query = "&".join(f"{k}={v}" for k, v in request.query.items())
    theirs = AWSRequest(
        method=request.method,
        url=endpoint + request.path,
        params=dict(request.query) if query else None,
        data=request.body,
        headers={name: request.headers[name] for name in names},
    )
    theirs.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET), scope[3], scope[2])
    to_sign = auth.string_to_sign(theirs, auth.canonical_request(theirs))
    expected: str = auth.signature(to_sign, theirs)
    return expected == fields["Signature"]


class _Line(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        fake: FakePlatform = self.server.fake  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("content-length") or 0)),
        )
        if parts.path == "/_mayfly/health":
            self._send(json_answer({"status": "ok", "version": "0", "data": str(fake.data)}))
            return
        if not is_signed(request, fake.endpoint):
            self._send(json_answer({"error": {"code": "X", "message": "bad signature"}}, 403))
            return
        fake.requests.append(request)
        missing = {"error": {"code": "ResourceNotFoundException", "message": "no such thing"}}
        found = fake.answers.get((self.command, parts.path), json_answer(missing, 404))
        self._send(found(request) if callable(found) else found)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Say nothing."""
