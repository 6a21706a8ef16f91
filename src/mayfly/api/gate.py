"""Who may come in: bodies that are read only as far as it is worth, and signatures.

A signature covers the body, so the body is read first; one over a mebibyte only for a request
that names a key which exists, only a few at a time, and hashed in a thread. Where the request
states its body's digest (x-amz-content-sha256), its signature is checked before the body is read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager

from mayfly.api.auth import verify
from mayfly.api.exchange import Exchange
from mayfly.api.keys import Keys
from mayfly.api.message import Principal
from mayfly.api.permits import AccessDenied
from mayfly.api.platform import Platform
from mayfly.api.refusals import MissingAuthenticationToken, UnrecognizedClient
from mayfly.model import limits
from mayfly.model.errors import MayflyError

LARGE_BYTES = limits.MIB
_DIGEST_LENGTH = 64


class Gate:
    """Reads and authenticates requests.

    Args:
        threads: Where large bodies are hashed.
    """

    def __init__(self, platform: Platform, threads: Executor) -> None:
        self._keys: Keys = platform.keys
        self._clock = platform.clock
        self._limits = platform.limits
        self._uploads = asyncio.Semaphore(platform.limits.uploads_max)
        self._threads = threads

    @asynccontextmanager
    async def admitted(
        self, exchange: Exchange, *, bytes_max: int
    ) -> AsyncIterator[tuple[bytes, Principal]]:
        """The body and who signed it. A large body's place is held until the block ends.

        Raises:
            RequestTooLarge: The body is over `bytes_max`.
            CallerError: The signature is missing or wrong.
            Disconnected: The client broke off.
        """
        announced = exchange.announced_bytes()
        chunked = announced is None and "transfer-encoding" in exchange.headers
        if not chunked and (announced or 0) <= LARGE_BYTES:
            body = await self._read(exchange, bytes_max)
            yield body, self.authenticate(exchange, body)
            return
        self._require_promise(exchange)
        async with self._uploads:
            body = await self._read(exchange, bytes_max)
            loop = asyncio.get_running_loop()
            digest = await loop.run_in_executor(self._threads, _sha256, body)
            yield body, self.authenticate(exchange, body, digest)

    def authenticate(self, exchange: Exchange, body: bytes, body_sha256: str = "") -> Principal:
        """Who signed the request.

        Raises:
            CallerError: Nobody, or not rightly.
        """
        return verify(
            self._keys,
            method=exchange.method,
            raw_path=exchange.raw_path.decode("latin-1"),
            query_string=exchange.query_string,
            headers=exchange.headers,
            body=body,
            body_sha256=body_sha256,
            now_ms=self._clock.now_ms(),
        )

    def require_owner(self, principal: Principal, service: str) -> None:
        """Refuse all but the owner's key, and signatures that were made for another service.

        Raises:
            AccessDenied: With what would be needed.
        """
        if principal.service != service:
            raise AccessDenied(
                f'this path takes signatures for the service "{service}", got one for '
                f'"{principal.service[:64]}"'
            )
        if principal.access_key_id != self._keys.root.access_key_id:
            raise AccessDenied(
                f"the key {principal.access_key_id[:32]} may not control the platform; only the "
                "owner's key in the data folder may"
            )

    async def _read(self, exchange: Exchange, bytes_max: int) -> bytes:
        return await exchange.read_body(
            bytes_max=bytes_max, discard_bytes_max=self._limits.discard_bytes_max
        )

    def _require_promise(self, exchange: Exchange) -> None:
        """Before a large body is read: as much of the signature as can be checked without it."""
        try:
            stated = exchange.headers.get("x-amz-content-sha256")
            if len(stated) == _DIGEST_LENGTH:
                self.authenticate(exchange, b"", stated)
            else:
                self._require_known_key(exchange)
        except MayflyError:
            # The body stays unread, so the connection is of no further use.
            exchange.closing = True
            raise

    def _require_known_key(self, exchange: Exchange) -> None:
        stated = exchange.headers.get("authorization")
        if not stated:
            raise MissingAuthenticationToken
        if self._keys.find(stated.partition("Credential=")[2].partition("/")[0]) is None:
            raise UnrecognizedClient


def stated_service(exchange: Exchange) -> str:
    """The service that the request's signature names, unchecked, or ""."""
    credential = exchange.headers.get("authorization").partition("Credential=")[2]
    parts = credential.partition(",")[0].rsplit("/", 2)
    return parts[1] if len(parts) == 3 else ""


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
