"""The names door: an isolate's resolver, which knows the names that were granted and no other.

    isolate --> 127.0.0.53:53/tcp --> granted: the address of its door      else: no such name

It asks nobody outside: a name stands for a door, and is looked up when somebody connects there. So
names carry nothing out. What is asked for in vain is told, as it is what a function lacks.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping

from mayfly.drivers.egress.accepting import serve_clients
from mayfly.drivers.egress.allowance import Allowance
from mayfly.drivers.egress.question import (
    TYPE_A,
    TYPE_AAAA,
    BadQuestion,
    Question,
    answer,
    read_question,
)
from mayfly.model.grant import covers_host, is_host

_CLIENTS_MAX = 64
_QUESTION_BYTES_MAX = 1_024
_IDLE_S = 10.0
# After so many on one connection a client has to come again.
_QUESTIONS_MAX = 32
_LENGTH = struct.Struct("!H")


class NamesDoor:
    """Answers the questions of one snapshot's isolates.

    Args:
        addresses: Each granted name, or "*.example.com", and its doors' address.
        allowance: The function's; its rate of connections holds here as well.
        on_unknown: Told each name that was asked for in vain, and could be one of a host.
        decoy: Gives a host's name that is not granted an address with nobody behind (`mayfly
            learn`), or None.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        allowance: Allowance,
        on_unknown: Callable[[str], None],
        decoy: Callable[[str], str | None] | None = None,
    ) -> None:
        self._addresses = addresses
        self._allowance = allowance
        self._on_unknown = on_unknown
        self._decoy = decoy
        self._clients = 0

    async def attend(self, listener: socket.socket) -> None:
        """Serve the listener until cancelled."""
        await serve_clients(listener, self._serve)

    def address(self, name: str) -> str | None:
        """The address of a name's doors, if it was granted: itself, or by a wildcard."""
        found = self._addresses.get(name)
        if found is not None or not is_host(name):
            return found
        pattern = "*." + name.partition(".")[2]
        return self._addresses.get(pattern) if covers_host(pattern, name) else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= _CLIENTS_MAX:
            return
        self._clients += 1
        told: set[str] = set()
        try:
            await self._allowance.admit()
            for _ in range(_QUESTIONS_MAX):
                async with asyncio.timeout(_IDLE_S):
                    message = await _read_message(reader)
                    reply = self._answer(read_question(message), told)
                    writer.write(_LENGTH.pack(len(reply)) + reply)
                    await writer.drain()
        except (OSError, EOFError, BadQuestion, TimeoutError):
            pass  # Gone, silent or no client of DNS: it is cut off.
        finally:
            self._clients -= 1

    def _answer(self, question: Question, told: set[str]) -> bytes:
        address = self.address(question.name)
        if address is None and self._decoy is not None and is_host(question.name):
            address = self._decoy(question.name)
        # A client asks for both kinds of address at once, and that is one attempt.
        asks_for_host = question.wanted in (TYPE_A, TYPE_AAAA) and is_host(question.name)
        if address is None and asks_for_host and question.name not in told:
            told.add(question.name)
            self._on_unknown(question.name)
        return answer(question, address)


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > _QUESTION_BYTES_MAX:
        raise BadQuestion("longer than a question is")
    return await reader.readexactly(length)
