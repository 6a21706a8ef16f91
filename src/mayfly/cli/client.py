"""Signed HTTP to the running platform: a request and its reply, or a stream of JSON lines.

One connection per request, for a command makes one or two. It never retries: what failed is told
to the person in one line, with the platform's own words where it gave any.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.sax.saxutils import unescape

from mayfly.cli import clock, document, running
from mayfly.cli.failure import Failed, Refused
from mayfly.cli.signer import sign

CONTROL, LAMBDA = "mayfly", "lambda"
_TIMEOUT_S = 60.0
_ERRORS_FROM = 400
_XML_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_XML_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> document.Document:
        """The body as a JSON object.

        Raises:
            Failed: It is none.
        """
        try:
            return document.parse(self.body)
        except ValueError:
            raise Failed(
                "the platform's answer was no JSON; do `mayfly version` and the daemon's agree?"
            ) from None


class Client:
    """Requests to the platform of one data folder, one connection each."""

    def __init__(self, data: Path) -> None:
        self._platform = running.require(data)
        self._key = self._platform.key()

    @property
    def platform(self) -> running.Platform:
        """Whom this talks to."""
        return self._platform

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_HEADERS,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
        service: str = CONTROL,
        timeout_s: float = _TIMEOUT_S,
    ) -> Reply:
        """Send a request and read the whole reply.

        Args:
            path: Percent-encoded; see `segment`.
            headers: By lower-case name.

        Raises:
            Failed: Nobody answers, or the answer is an error; the message is the platform's.
        """
        with closing(self._connect(timeout_s)) as line:
            response = self._send(line, method, path, query, headers, body, service)
            with self._translated():
                content = response.read()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, content)

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
        timeout_s: float | None = _TIMEOUT_S,
    ) -> Iterator[document.Document]:
        """Send a request and yield each JSON line of the reply as it comes.

        Args:
            timeout_s: The longest silence between two lines; None is for ever.

        Raises:
            Failed: As `call`; also a line that carries an error.
        """
        with closing(self._connect(timeout_s)) as line:
            response = self._send(line, method, path, query, _NO_HEADERS, body, CONTROL)
            while True:
                with self._translated():
                    one = response.readline()
                if not one:
                    return
                if one.strip():
                    yield _parse_line(one)

    def _connect(self, timeout_s: float | None) -> http.client.HTTPConnection:
        with self._translated():
            line = self._platform.line(timeout_s)
            line.connect()
        return line

    def _send(
        self,
        line: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        service: str,
    ) -> http.client.HTTPResponse:
        """Send, and return the response with its body unread; an error's is read and raised."""
        wire_query = urlencode(query, quote_via=quote)
        signed = sign(
            method=method,
            path=path,
            query=wire_query,
            headers={"host": self._platform.endpoint.partition("://")[2], **headers},
            body=body,
            key=self._key,
            service=service,
            amazon_date=clock.amazon_date(clock.now_ms()),
        )
        target = f"{path}?{wire_query}" if wire_query else path
        with self._translated():
            with suppress(BrokenPipeError, ConnectionResetError):
                # A refusal may come before the whole body went out; it is there to be read.
                line.request(method, target, body=body, headers=signed)
            response = line.getresponse()
            if response.status >= _ERRORS_FROM:
                content = response.read()
                raise Refused(
                    error_message(response.status, content),
                    status=response.status,
                    code=_error_code(response.getheader("x-amzn-errortype"), content),
                )
        return response

    def _translated(self) -> _Translated:
        return _Translated(self._platform)


class _Translated:
    """Turns a broken connection into a sentence."""

    def __init__(self, platform: running.Platform) -> None:
        self._platform = platform

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        where = self._platform.endpoint
        match error:
            case ConnectionRefusedError():
                raise Failed(
                    f"nothing answers at {where}; the platform on {self._platform.data} is down: "
                    "start it with `mayfly up -d`"
                ) from error
            case TimeoutError():
                raise Failed(
                    f"{where} did not answer in time; `mayfly ps` shows what it is busy with"
                ) from error
            case OSError() | http.client.HTTPException():
                raise Failed(
                    f"the connection to {where} broke ({str(error) or type(error).__name__}); "
                    f"the daemon's log is {self._platform.data / 'daemon.log'}"
                ) from error
            case _:
                return


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def error_message(status: int, body: bytes) -> str:
    """What an error reply says to a person: our form, AWS's forms, or just the status."""
    try:
        told = document.parse(body)
    except ValueError:
        said = _XML_MESSAGE.search(body)
        if said is not None:
            return unescape(said[1].decode(errors="replace"))
        return f"the platform answered {status}; its log says more"
    inner = document.part(told, "error") or told
    message = document.text(inner, "message") or document.text(inner, "Message")
    return message or f"the platform answered {status} {document.text(inner, 'code')}".rstrip()


def _error_code(told: str | None, body: bytes) -> str:
    """The error's name: in a header, in JSON, or in S3's XML."""
    if told is not None:
        return told.partition(":")[0]
    try:
        found = document.parse(body)
    except ValueError:
        code = _XML_CODE.search(body)
        return code[1].decode(errors="replace") if code else ""
    inner = document.part(found, "error") or found
    name = document.text(inner, "code") or document.text(inner, "__type")
    return name.rpartition("#")[2]


def _parse_line(line: bytes) -> document.Document:
    try:
        told = document.parse(line)
    except ValueError:
        raise Failed("the platform's answer broke off; its log says more") from None
    error = document.part(told, "error")
    if error:
        raise Failed(document.text(error, "message", "the platform failed"))
    return told
