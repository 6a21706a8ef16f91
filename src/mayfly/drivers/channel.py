"""Frames between the daemon and what it holds, and the hub that waits for all of them at once.

A frame, little-endian (`guest.bootstrap` documents each kind and holds the other end):

    0      2      3       4          8
    | "MF" | kind | flags | length   | body (length bytes) ...

The hub is an epoll inside the event loop's: a channel is registered once, when its isolate parks,
so that a call costs a write and a read and no registration. What comes from an isolate is
untrusted: magic, kind and length are checked, and memory is taken only as bytes arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
from collections.abc import Callable

MAGIC = 0x464D
CONFIG, IMPORTED, GO, READY, INVOKE, ANSWER, FAILURE = range(1, 8)
HEADER = struct.Struct("<HBBI")
U32 = struct.Struct("<I")
FAILURE_HEAD = struct.Struct("<IH")
READ_BYTES = 65_536
_REST_S = 0.02
_CREDENTIALS = struct.Struct("<iII")


class BadFrame(Exception):
    """What arrived is no frame, or one that may not stand here."""


class Hub:
    """Readiness of many descriptors through one registration in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, fd: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` whenever `fd` is readable or closed."""
        self._callbacks[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def watch_writing(self, fd: int, *, wanted: bool) -> None:
        """Also (or no longer) when `fd` can be written."""
        self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def rest(self, fd: int) -> None:
        """Look at `fd` again after a little while: who fills it must not fill our time as well."""
        callback = self._callbacks.get(fd)
        if callback is not None:
            self._epoll.modify(fd, 0)
            self._loop.call_later(_REST_S, self._wake, fd, callback)

    def _wake(self, fd: int, callback: Callable[[int], None]) -> None:
        if self._callbacks.get(fd) is callback:
            self._epoll.modify(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Watch no more; call before closing `fd`. Harmless when it is not watched."""
        if self._callbacks.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def close(self) -> None:
        """Let go of the event loop."""
        self._loop.remove_reader(self._epoll.fileno())
        self._callbacks.clear()
        self._epoll.close()

    def _ready(self) -> None:
        callbacks = self._callbacks
        for fd, events in self._epoll.poll(0, 256):
            callback = callbacks.get(fd)
            if callback is not None:
                callback(events)


class FrameReader:
    """Puts the frames of one stream together again, from a non-blocking descriptor.

    Args:
        length_max: A longer body is a BadFrame.
    """

    __slots__ = ("_buffer", "_fd", "_length_max")

    def __init__(self, fd: int, length_max: int) -> None:
        self._fd = fd
        self._length_max = length_max
        self._buffer = bytearray()

    @property
    def holds_more(self) -> bool:
        """Whether something came behind the frame that was returned last."""
        return bool(self._buffer)

    def read(self) -> tuple[int, bytes] | None:
        """Take what has arrived.

        Returns:
            (kind, body) of one whole frame; (0, b"") when the other side has closed; None when more
            must come first.

        Raises:
            BadFrame: It can never become a frame.
        """
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return 0, b""
        return self.feed(data)

    def feed(self, data: bytes) -> tuple[int, bytes] | None:
        """Like `read`, with bytes that the caller has received; b"" is the end of the stream."""
        if not data:
            return 0, b""
        if not self._buffer and len(data) >= HEADER.size:
            # The usual case: one whole frame in one read, no copy into the buffer.
            magic, kind, _flags, length = HEADER.unpack_from(data)
            self._check(magic, length)
            if len(data) == HEADER.size + length:
                return kind, data[HEADER.size :]
        self._buffer += data
        return self._take()

    def _take(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < HEADER.size:
            return None
        magic, kind, _flags, length = HEADER.unpack_from(buffer)
        self._check(magic, length)
        end = HEADER.size + length
        if len(buffer) < end:
            return None
        body = bytes(buffer[HEADER.size : end])
        del buffer[:end]
        return kind, body

    def _check(self, magic: int, length: int) -> None:
        if magic != MAGIC or length > self._length_max:
            raise BadFrame(f"magic {magic:#x}, length {length}")


def frame(kind: int, *parts: bytes) -> bytes:
    """One frame as bytes."""
    length = sum(map(len, parts))
    return b"".join((HEADER.pack(MAGIC, kind, 0, length), *parts))


def receive_with_pid(sock: socket.socket) -> tuple[bytes, int]:
    """Receive once, with the sender's pid as this node sees it, told by the kernel (unix(7)).

    The socket must have SO_PASSCRED set. The pid is 0 where the kernel tells none.

    Raises:
        BlockingIOError: Nothing has arrived.
    """
    room = socket.CMSG_SPACE(_CREDENTIALS.size)
    data, ancillary, _flags, _address = sock.recvmsg(READ_BYTES, room)
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return data, int(_CREDENTIALS.unpack(value[: _CREDENTIALS.size])[0])
    return data, 0
