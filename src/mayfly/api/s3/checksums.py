"""Checksums as S3 has them: what a writer states, what is computed, what is combined of parts.

    header       x-amz-checksum-<name>: base64 of the big-endian sum
    FULL_OBJECT  over all bytes; the CRCs of parts combine into it without reading them again
    COMPOSITE    over the binary sums of the parts, then "-" and how many

The compiled CRCs come from awscrt, which is imported at the first use.

Source: "Checking object integrity", Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mayfly.api.message import Headers
from mayfly.api.s3.refusals import BadDigest, InvalidRequest

HEADER_PREFIX = "x-amz-checksum-"
FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"
# Bytes of a sum, by algorithm; the order is S3's in documents.
LENGTHS = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
_BY_HEADER = {f"{HEADER_PREFIX}{name.lower()}": name for name in LENGTHS}
_CRCS = frozenset({"CRC32", "CRC32C", "CRC64NVME"})
DEFAULT = "CRC64NVME"


class Sum(Protocol):
    """A checksum under way."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """The sum of all, big-endian."""
        ...


class _Crc:
    def __init__(self, name: str) -> None:
        # 5 MB of memory and tens of ms that a platform without buckets does not need.
        from awscrt import checksums  # noqa: PLC0415

        self._advance = getattr(checksums, name.lower())
        self._length = LENGTHS[name]
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._advance(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


def start(algorithm: str) -> Sum:
    """A new sum of "CRC32", "CRC32C", "CRC64NVME", "SHA1" or "SHA256"."""
    match algorithm:
        case "SHA1":
            return hashlib.sha1(usedforsecurity=False)
        case "SHA256":
            return hashlib.sha256()
        case _:
            return _Crc(algorithm)


@dataclass(frozen=True, slots=True)
class Promise:
    """What a writer says about its body's checksum.

    Args:
        algorithm: "" where it says nothing.
        value: Base64; "" where the value follows as a trailer, or is for us to compute.
        trailing: The trailer's value is expected.
    """

    algorithm: str = ""
    value: str = ""
    trailing: bool = False


def read_promise(headers: Headers) -> Promise:
    """The checksum that a request's headers promise.

    Raises:
        InvalidRequest: Two of them, or one that cannot be.
    """
    found = [
        (algorithm, value)
        for header, algorithm in _BY_HEADER.items()
        if (value := headers.find(header)) is not None
    ]
    trailer = headers.get("x-amz-trailer").lower()
    trailing = _BY_HEADER.get(trailer, "")
    if trailer and not trailing:
        raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    if len(found) + bool(trailing) > 1:
        raise InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if trailing:
        return Promise(trailing, trailing=True)
    for algorithm, value in found:
        require_value(algorithm, value)
        return Promise(algorithm, value)
    wanted = headers.get("x-amz-sdk-checksum-algorithm").upper()
    return Promise(wanted if wanted in LENGTHS else "")


def require_value(algorithm: str, value: str) -> bytes:
    """The bytes of a stated checksum.

    Raises:
        InvalidRequest: It is not base64 of the right length.
    """
    try:
        # A composite one of a whole upload may say how many parts it is of: "...-3".
        raw = base64.b64decode(value.partition("-")[0], validate=True)
    except ValueError:  # No base64, or no ASCII.
        raw = b""
    if len(raw) != LENGTHS[algorithm]:
        name = HEADER_PREFIX + algorithm.lower()
        raise InvalidRequest(f"Value for {name} header is invalid.")
    return raw


def require_match(algorithm: str, stated: str, computed: str) -> None:
    """Refuse a body whose checksum is another than was stated.

    Raises:
        BadDigest: It is.
    """
    if stated and stated != computed:
        raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")


def written(digest: bytes) -> str:
    """A sum as headers and documents have it."""
    return base64.b64encode(digest).decode("ascii")


def usual_type(algorithm: str) -> str:
    """The type that a multipart upload's checksum has where none is asked for."""
    return FULL_OBJECT if algorithm == "CRC64NVME" else COMPOSITE


def require_type(algorithm: str, kind: str) -> None:
    """Refuse a type that the algorithm cannot have.

    Raises:
        InvalidRequest: A full sum of SHAs cannot be combined; CRC64NVME is never composite.
    """
    possible = {FULL_OBJECT} if algorithm == "CRC64NVME" else {COMPOSITE}
    if algorithm in _CRCS:
        possible.add(FULL_OBJECT)
    if kind not in possible:
        raise InvalidRequest(
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum "
            "algorithm."
        )


def combine(algorithm: str, kind: str, parts: Sequence[tuple[bytes, int]]) -> str:
    """The checksum of an object of parts.

    Args:
        kind: FULL_OBJECT, for CRCs only, or COMPOSITE.
        parts: Each one's sum and its size in bytes, in order.
    """
    if kind == COMPOSITE:
        whole = start(algorithm)
        for digest, _ in parts:
            whole.update(digest)
        return f"{written(whole.digest())}-{len(parts)}"
    from awscrt import checksums  # noqa: PLC0415  as above

    joined = getattr(checksums, f"combine_{algorithm.lower()}")
    value = 0
    for digest, size in parts:
        value = joined(value, int.from_bytes(digest, "big"), size)
    return written(value.to_bytes(LENGTHS[algorithm], "big"))
