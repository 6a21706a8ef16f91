"""A DNS question and its answer, as far as a names door needs them (RFC 1035, section 4). Pure.

    header   id, flags, counts of questions, answers, authorities, additions      6 x 16 bits
    question labels, each behind its length, to an empty one; type, class
    answer   a pointer to the question's name, type, class, ttl, length, address

Of a query only the header and its one question are read; EDNS and other additions are passed over,
which the answer says by having none.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

TYPE_A, TYPE_AAAA = 1, 28
_CLASS_IN = 1
_HEADER = struct.Struct("!6H")
_TAIL = struct.Struct("!2H")
_ANSWER = struct.Struct("!3HLH4s")
_POINTER_TO_NAME = 0xC00C
_NAME_LENGTH_MAX = 253
_LABEL_LENGTH_MAX = 63
# QR, RA; RD is given back as it came.
_RESPONSE, _RECURSION_WANTED, _RECURSION_THERE = 0x8000, 0x0100, 0x0080
_OPCODE = 0x7800
_NOT_THERE = 3
_TTL_S = 60


class BadQuestion(ValueError):
    """These bytes are no query with one question."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Args:
        name: Lower-case, no dot at the end.
        wanted: The record type; `TYPE_A` or another.
        asked: Id and flags of the query, and its question as it came.
    """

    name: str
    wanted: int
    asked: tuple[int, int, bytes]


def read_question(message: bytes) -> Question:
    """Read a query.

    Raises:
        BadQuestion: It is none, or asks more than one thing, or something beside the internet.
    """
    if len(message) < _HEADER.size:
        raise BadQuestion("shorter than a header")
    query_id, flags, questions, answers, authorities, _additions = _HEADER.unpack_from(message)
    if flags & (_RESPONSE | _OPCODE) or (questions, answers, authorities) != (1, 0, 0):
        raise BadQuestion("not a query with one question")
    labels, end = _read_labels(message, _HEADER.size)
    if len(message) < end + _TAIL.size:
        raise BadQuestion("ends within its question")
    wanted, kind = _TAIL.unpack_from(message, end)
    if kind != _CLASS_IN:
        raise BadQuestion("not of the internet's class")
    question = message[_HEADER.size : end + _TAIL.size]
    return Question(".".join(labels).lower(), wanted, (query_id, flags, question))


def _read_labels(message: bytes, at: int) -> tuple[list[str], int]:
    labels: list[str] = []
    begin = at
    while at < len(message):
        length = message[at]
        if length == 0:
            return labels, at + 1
        label = message[at + 1 : at + 1 + length]
        # A pointer cannot be in a first name, and would begin with two bits set.
        if length > _LABEL_LENGTH_MAX or len(label) < length or at - begin > _NAME_LENGTH_MAX:
            break
        # A dot within a label would read as two labels.
        if not label.isascii() or b"." in label or not label.decode("ascii").isprintable():
            break
        labels.append(label.decode("ascii"))
        at += 1 + length
    raise BadQuestion("its name is none")


def answer(question: Question, address: str | None) -> bytes:
    """The answer's message: that there is no such name, or what it has of the wanted type.

    Args:
        address: IPv4; None says that the name is not there. A name has nothing but an address.
    """
    query_id, flags, asked = question.asked
    flags = _RESPONSE | _RECURSION_THERE | (flags & _RECURSION_WANTED)
    if address is None:
        return _HEADER.pack(query_id, flags | _NOT_THERE, 1, 0, 0, 0) + asked
    if question.wanted != TYPE_A:
        return _HEADER.pack(query_id, flags, 1, 0, 0, 0) + asked
    record = (_POINTER_TO_NAME, TYPE_A, _CLASS_IN, _TTL_S, 4, socket.inet_aton(address))
    return _HEADER.pack(query_id, flags, 1, 1, 0, 0) + asked + _ANSWER.pack(*record)
