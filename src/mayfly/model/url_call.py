"""One HTTP request to a function URL, and the HTTP reply that its caller gets.

The server reads the request and sends the reply; the source `http` turns the one into an event
and an outcome into the other. Neither knows the other: they meet in these values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mayfly.model.function import FunctionUrl


@dataclass(frozen=True, slots=True)
class UrlCaller:
    """Who signed a request to a function URL whose AuthType is AWS_IAM."""

    access_key_id: str
    account_id: str
    arn: str


@dataclass(frozen=True, slots=True)
class UrlCall:
    """One HTTP request to a function URL, its body read whole.

    Args:
        raw_path: What stands after the URL's prefix, percent-encoded, with its leading slash.
        query_string: Percent-encoded as received, without the question mark.
        protocol: "HTTP/1.1".
        headers: By lower-case name, several values of one name joined by a comma.
        source_ip: The address at the other end of the connection.
        port: Where the server listens.
        now_ms: When it came, Unix milliseconds.
        caller: Who signed it, or None for a URL that is open.
        scheme: "http" or "https", as the connection is.
    """

    url: FunctionUrl
    method: str
    raw_path: str
    query_string: str
    protocol: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str
    port: int
    request_id: str
    now_ms: float
    caller: UrlCaller | None = None
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class UrlReply:
    """What the caller of a function URL gets; `Content-Length` is the server's to add.

    Args:
        problem: Why the function's answer could not be used, for the function's log, or "".
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    problem: str = ""
