"""Load: one keep-alive connection for times, wrk (written in C) for calls a second.

The times' client is a raw socket that sends bytes made beforehand, so that little of what is
measured is the client: about 15 us a call against an echo of the same size.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self


class KeepAlive:
    """One connection that sends the same request again and again."""

    def __init__(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        place = urllib.parse.urlsplit(url)
        assert place.hostname is not None
        path = place.path + (f"?{place.query}" if place.query else "")
        lines = [f"POST {path or '/'} HTTP/1.1"]
        named = {"Host": place.netloc, "Content-Type": "application/json", **(headers or {})}
        lines += [f"{key}: {value}" for key, value in named.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._request = "\r\n".join(lines).encode() + body
        self._address = (place.hostname, place.port or 80)
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def call(self) -> bytes:
        """One request and its whole answer; raises on any status but 2xx."""
        self.send()
        return self.receive()

    def send(self) -> None:
        """Send the request; `receive` must follow."""
        self._socket.sendall(self._request)

    def receive(self) -> bytes:
        """The answer's body; raises on any status but 2xx."""
        head, _, body = self._read_head()
        if not re.match(rb"HTTP/1\.[01] 2\d\d", head):
            raise RuntimeError(f"answered {head[:200]!r} {body[:500]!r}")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is None:
            raise RuntimeError(f"an answer without Content-Length: {head[:300]!r}")
        while len(body) < int(length[1]):
            piece = self._socket.recv(65_536)
            if not piece:
                raise RuntimeError("the connection ended in the middle of an answer")
            body += piece
        if re.search(rb"(?i)\r\nconnection: *close", head):
            self._socket.close()
            self._socket = self._connected()
        return body

    def _read_head(self) -> tuple[bytes, bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self._socket.recv(65_536)
            if not piece:
                raise RuntimeError(f"the connection ended after {received[:200]!r}")
            received += piece
        return received.partition(b"\r\n\r\n")


def calls_per_second(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    clients: int,
    seconds: float,
) -> float | None:
    """Sustained calls a second by wrk, or None where wrk is not installed.

    Raises:
        RuntimeError: Some answers were not 2xx; such a rate would be of refusals.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    quoted = body.decode().replace("\\", "\\\\").replace("'", "\\'")
    lines = ["wrk.method = 'POST'", f"wrk.body = '{quoted}'"]
    named = {"Content-Type": "application/json", **(headers or {})}
    lines += [f"wrk.headers['{key}'] = '{value}'" for key, value in named.items()]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "request.lua")
        script.write_text("\n".join(lines))
        threads_clients_time = ("-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s")
        command = [wrk, *threads_clients_time, "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if refused:
        raise RuntimeError(f"{refused[1]} answers were not 2xx:\n{said}")
    found = re.search(r"Requests/sec: +([\d.]+)", said)
    assert found is not None, said
    return float(found[1])
