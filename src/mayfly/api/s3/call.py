"""One S3 request that is authenticated and addressed, and what it takes to serve it.

    Call  = Room (store, clock, ids: shared by all) + exchange, address, query, principal

An operation is a coroutine from a `Call` to a `Response`, or to a `Download`, whose body is
streamed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl
from wsgiref.handlers import format_date_time

from mayfly.api.exchange import Exchange
from mayfly.api.keys import Keys
from mayfly.api.message import Headers, Principal, Response
from mayfly.api.platform import ServerBounds
from mayfly.api.s3.address import Address, Addresses
from mayfly.api.s3.refusals import InvalidArgument
from mayfly.ports import Clock, Ids
from mayfly.stores.objects.reader import ObjectReader
from mayfly.stores.objects.record import Cause
from mayfly.stores.objects.store import ObjectStore

FIELDS_MAX = 200
HeaderList = list[tuple[bytes, bytes]]
Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Room:
    """What every call works with.

    Args:
        missing: Of these functions and queues, by ARN, those that do not exist.
        endpoint: `http://HOST:PORT`, no slash at the end.
    """

    store: ObjectStore
    keys: Keys
    clock: Clock
    ids: Ids
    addresses: Addresses
    missing: Callable[[Sequence[str]], Sequence[str]]
    endpoint: str
    limits: ServerBounds = field(default_factory=ServerBounds)


@dataclass(slots=True)
class Call:
    """A request, ready to be served.

    Args:
        query: Decoded; of a name that came twice, the first.
    """

    room: Room
    exchange: Exchange
    address: Address
    query: Query
    principal: Principal

    @property
    def store(self) -> ObjectStore:
        """The objects."""
        return self.room.store

    @property
    def headers(self) -> Headers:
        """The request's."""
        return self.exchange.headers

    @property
    def bucket(self) -> str:
        """The bucket's name, or ""."""
        return self.address.bucket

    @property
    def key(self) -> str:
        """The object's key, or ""."""
        return self.address.key

    @property
    def target(self) -> str:
        """What a grant of objects is about."""
        return f"{self.address.bucket}/{self.address.key}"

    @property
    def version_id(self) -> str:
        """The version that is asked for, or ""."""
        version_id = self.query.get("versionId")
        if version_id == "":
            raise InvalidArgument("Version id cannot be the empty string", ArgumentName="versionId")
        if version_id and not (version_id.isascii() and version_id.isprintable()):
            # It comes back in a header, of which a line break would make two.
            raise InvalidArgument("Invalid version id specified", ArgumentName="versionId")
        return version_id or ""

    @property
    def cause(self) -> Cause:
        """Who makes the change."""
        exchange = self.exchange
        return Cause(self.principal.access_key_id, exchange.source_ip, exchange.request_id)

    def number(self, name: str, default: int, *, maximum: int = 2**31 - 1) -> int:
        """A number of the query, at most `maximum`.

        Raises:
            InvalidArgument: It is none.
        """
        text = self.query.get(name, "")
        if not text:
            return default
        # Ten digits hold 2^31 and more; longer ones are not worth parsing.
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise InvalidArgument(
                f"Provided {name} not an integer or within integer range",
                ArgumentName=name,
                ArgumentValue=text[:40],
            )
        return min(int(text), maximum)


@dataclass(frozen=True, slots=True)
class Download:
    """An answer whose body comes from the store; whoever sends it closes the reader.

    Args:
        first: The first byte to send.
        size: How many bytes to send.
    """

    status: int
    headers: HeaderList
    reader: ObjectReader
    first: int
    size: int


Operation = Callable[[Call], Awaitable[Response | Download]]


def read_query(text: str) -> Query:
    """A query string, decoded; of a name that comes twice, the first counts.

    Raises:
        InvalidArgument: It cannot be read.
    """
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise InvalidArgument("The query string cannot be read.") from error
    return dict(reversed(pairs))


def http_date(unix_ms: int) -> bytes:
    """A time as headers have it, "Mon, 23 Nov 2026 10:00:00 GMT"."""
    return _http_date(unix_ms // 1_000)


@lru_cache(maxsize=1_024)
def _http_date(unix_s: int) -> bytes:
    return format_date_time(unix_s).encode()


def header(text: str) -> bytes:
    """A header's bytes; what a caller says must not begin another header."""
    raw = text.encode("latin-1", "replace")
    return raw.translate(_SPACES) if not raw.isascii() or not text.isprintable() else raw


_SPACES = bytes(32 if one in b"\r\n\0" else one for one in range(256))
