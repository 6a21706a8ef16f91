"""The first words of a TLS client, read to learn which host it wants (RFC 8446; RFC 6066, 3).

    record     22, version, length, fragment        one or more, until the message is whole
    handshake  1, length (24 bits), ClientHello: version, random, session id, cipher suites,
               compression methods, extensions: type, length, data; 0 is server_name

Nothing is answered and nothing is changed: the bytes are passed on as they came. What a hello hides
(Encrypted ClientHello) is not read; the name outside is the one that is connected to.
"""

from __future__ import annotations

import asyncio
import struct

from mayfly.model.grant import is_host

HELLO_BYTES_MAX = 65_536
_HANDSHAKE, _CLIENT_HELLO, _MAJOR_VERSION = 22, 1, 3
_SERVER_NAME, _HOST_NAME = 0, 0
_FRAGMENT_BYTES_MAX = 16_384
_RECORD = struct.Struct("!BBBH")
_VERSION_AND_RANDOM = 34


class BadHello(ValueError):
    """What came is no ClientHello of TLS that names a host."""


async def read_hello(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """Read as much as a whole ClientHello; its bytes, and the host's name, lower-case.

    Raises:
        BadHello: It is none, too long, or names no host.
        EOFError: It broke off.
    """
    raw, message = bytearray(), bytearray()
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4]):
        head = await reader.readexactly(_RECORD.size)
        kind, major, _minor, length = _RECORD.unpack(head)
        if kind != _HANDSHAKE or major != _MAJOR_VERSION or not 0 < length <= _FRAGMENT_BYTES_MAX:
            raise BadHello("no TLS")
        fragment = await reader.readexactly(length)
        raw += head + fragment
        message += fragment
        if message[0] != _CLIENT_HELLO or len(raw) > HELLO_BYTES_MAX:
            raise BadHello("no ClientHello, or one that is too long")
    return bytes(raw), server_name(bytes(message[4 : 4 + int.from_bytes(message[1:4])]))


def server_name(hello: bytes) -> str:
    """The host that a ClientHello names. Pure.

    Args:
        hello: Without the handshake's header.

    Raises:
        BadHello: It is broken off, or names none.
    """
    rest = _Bytes(hello)
    rest.take(_VERSION_AND_RANDOM)
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        rest.vector(size)
    extensions = _Bytes(rest.vector(2))
    while extensions.left:
        kind, data = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            return _first_name(_Bytes(_Bytes(data).vector(2)))
    raise BadHello("it names no host")


def _first_name(names: _Bytes) -> str:
    while names.left:
        kind, name = names.number(1), names.vector(2)
        text = name.decode("ascii", "replace").lower()
        if kind == _HOST_NAME and is_host(text):
            return text
    raise BadHello("it names no host")


class _Bytes:
    """Takes bytes from the front, never more than are there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise BadHello("it breaks off")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """What stands behind its length, which has `size` bytes."""
        return self.take(self.number(size))
