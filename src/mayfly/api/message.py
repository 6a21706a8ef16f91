"""What passes between the server and the APIs: a request that is read whole, and its answer.

The server makes a `Request` after authentication; `dispatch.answer` gives back a `Response`.
Nothing here parses bodies, matches routes or does I/O. Text of headers is Latin-1, as HTTP has
it; a path and a query string stay as they came, percent-encoded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, ItemsView, Iterable, Iterator
from dataclasses import dataclass, field

from mayfly.model.grant import Grant, GrantKind


class Headers:
    """Request headers by name, case-insensitive, small and read-only.

    A name that came several times has its values joined by a comma, in order (RFC 9110, 5.2).

    Args:
        raw: (name, value) pairs of bytes, as ASGI's `scope["headers"]` has them.
    """

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        values: dict[str, str] = {}
        for raw_name, raw_value in raw:
            name = raw_name.decode("latin-1").lower()
            value = raw_value.decode("latin-1").strip(" \t")
            values[name] = f"{values[name]},{value}" if name in values else value
        self._values = values

    def get(self, name: str, default: str = "") -> str:
        """The value, or `default`."""
        return self._values.get(name.lower(), default)

    def find(self, lower_name: str) -> str | None:
        """The value or None, for a name that is lower-case already; the fast way."""
        return self._values.get(lower_name)

    def items(self) -> ItemsView[str, str]:
        """Lower-case names with their values."""
        return self._values.items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed a request.

    Args:
        access_key_id: The key that signed.
        account_id: Twelve digits.
        arn: The identity's ARN.
        service: The service that the signature's scope names ("lambda", "mayfly", ...).
        region: The region that the signature's scope names.
        function_name: The function whose isolate signed, or "".
        grants: All that it may do, or None: the owner, who may do everything.
        on_missing: Told of each grant that was missing for what it tried, or None.
        on_used: Told which grant allowed what it asked for, and what that was, or None.
    """

    access_key_id: str
    account_id: str
    arn: str
    service: str
    region: str
    function_name: str = ""
    grants: tuple[Grant, ...] | None = None
    on_missing: Callable[[Grant], None] | None = None
    on_used: Callable[[Grant, Grant], None] | None = None

    def may(self, kind: GrantKind, target: str, verb: str = "") -> bool:
        """Whether it may do `verb` on `target` (see `Grant.allows`)."""
        if self.grants is None:
            return True
        for grant in self.grants:
            if grant.allows(kind, target, verb):
                if self.on_used is not None:
                    self.on_used(grant, Grant(kind, target, verb))
                return True
        return False


@dataclass(frozen=True, slots=True)
class Request:
    """An authenticated request, its body read whole.

    Args:
        method: Upper-case.
        raw_path: Percent-encoded as received, without the query ("/2015-03-31/functions/").
        query_string: As received, without the question mark.
        request_id: A UUID; the caller sees it as X-Amzn-RequestId.
        disconnected: Returns when the caller has gone away; None where nobody can tell.
        scheme: "http" or "https", as the connection is.
    """

    method: str
    raw_path: str
    query_string: str
    headers: Headers
    body: bytes
    principal: Principal
    request_id: str
    disconnected: Callable[[], Awaitable[None]] | None = None
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `Content-Length` is the server's to add.

    Args:
        is_head: It answers a HEAD: `headers` say how long the body would be.
    """

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_head: bool = False
