"""A body on its way in: decoded, counted, and held to every digest that its sender stated.

    HTTP body --(aws-chunked)--> the object's bytes --> Upload (MD5, and our sums, as they pass)
                                                  `--> `check`: only then may it be shown

What is checked: its length, Content-MD5, x-amz-content-sha256, the checksum in a header or trailer,
and the signature of each chunk.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Protocol

from mayfly.api.message import Headers
from mayfly.api.s3 import checksums
from mayfly.api.s3.call import Call
from mayfly.api.s3.chunked import ChunkedBody
from mayfly.api.s3.identity import chunk_signatures
from mayfly.api.s3.refusals import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MalformedXml,
    MissingContentLength,
    NotImplementedInS3,
    XAmzContentSHA256Mismatch,
)
from mayfly.stores.objects.record import Checksum
from mayfly.stores.objects.upload import BODY_BYTES_MAX, Hash

_UNSIGNED = "UNSIGNED-PAYLOAD"
_STREAMS = {
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
}
_MD5_BYTES, _SHA256_DIGITS = 16, 64


class Sink(Protocol):
    """Where the bytes go; an `Upload` is one."""

    async def write(self, chunk: bytes) -> None:
        """Take more."""
        ...


class Payload:
    """The body of one request.

    Args:
        algorithm: The checksum to compute where the sender names none; "" for no sum then.
        summed: Whether a checksum of the headers is the body's.

    Attributes:
        size: How many bytes the object has, as stated.
        hashes: To be updated with every byte, by whoever takes them in.

    Raises:
        S3Error: What the headers say cannot be.
    """

    def __init__(
        self, call: Call, *, algorithm: str = checksums.DEFAULT, summed: bool = True
    ) -> None:
        headers = call.headers
        stated = headers.find("x-amz-content-sha256") or _UNSIGNED
        self._call = call
        self._md5 = _stated_md5(headers)
        self._sha256: str = ""
        self._decoder: ChunkedBody | None = None
        self.promise = checksums.read_promise(headers) if summed else checksums.Promise()
        self.hashes: list[Hash] = []
        if stated in _STREAMS:
            self.size = _length(headers, "x-amz-decoded-content-length")
            self._decoder = _decoder(call, stated, self.size)
        else:
            self.size = _length(headers, "content-length")
            self._sha256 = _stated_sha256(stated)
        if self.promise.trailing and self._decoder is None:
            raise InvalidRequest("A trailing checksum needs a body in aws-chunked.")
        if self._sha256:
            self._digest = hashlib.sha256()
            self.hashes.append(self._digest)
        self.algorithm = self.promise.algorithm or algorithm
        if self.algorithm:
            self._sum = checksums.start(self.algorithm)
            self.hashes.append(self._sum)

    async def pour(self, sink: Sink) -> None:
        """Take the whole body in.

        Raises:
            S3Error: Its form or length is wrong, or a chunk's signature is.
            Disconnected: The client broke off.
        """
        if self.size > BODY_BYTES_MAX:
            raise EntityTooLarge(ProposedSize=str(self.size), MaxSizeAllowed=str(BODY_BYTES_MAX))
        next_part, decoder = self._call.exchange.next_part, self._decoder
        size, more = 0, True
        while more:
            data, more = await next_part()
            if decoder is not None:
                for piece in decoder.feed(data):
                    await sink.write(piece)
            elif data:
                size += len(data)
                await sink.write(data)
        if decoder is not None:
            decoder.finish()
        elif size != self.size:
            raise IncompleteBody

    def check(self, md5_hex: str) -> tuple[Checksum, ...]:
        """Hold the body to what was stated about it, when all hashes are final.

        Returns:
            The checksum to keep with the object; none where none was computed.

        Raises:
            BadDigest, XAmzContentSHA256Mismatch, InvalidDigest, InvalidRequest.
        """
        if self._md5 and self._md5 != md5_hex:
            raise BadDigest
        if self._sha256 and self._digest.hexdigest() != self._sha256:
            raise XAmzContentSHA256Mismatch(
                ClientComputedContentSHA256=self._sha256,
                S3ComputedContentSHA256=self._digest.hexdigest(),
            )
        if not self.algorithm:
            return ()
        computed = checksums.written(self._sum.digest())
        stated = self.promise.value
        if self.promise.trailing and self._decoder is not None:
            stated = self._decoder.trailers.get(
                checksums.HEADER_PREFIX + self.algorithm.lower(), ""
            )
            checksums.require_value(self.algorithm, stated)
        checksums.require_match(self.algorithm, stated, computed)
        return (Checksum(self.algorithm, computed),)


async def read_document(call: Call, *, bytes_max: int, summed: bool = True) -> bytes:
    """A body that is a document, read whole and checked.

    Args:
        summed: Whether a checksum of the headers is the document's.

    Raises:
        MalformedXml: It is empty or over `bytes_max`.
        S3Error: As `Payload`.
    """
    payload = Payload(call, algorithm="", summed=summed)
    if payload.size > bytes_max:
        raise MalformedXml(f"The document is larger than {bytes_max} bytes.")
    held = _Held()
    await payload.pour(held)
    body = b"".join(held.chunks)
    for one in payload.hashes:
        one.update(body)
    payload.check(hashlib.md5(body, usedforsecurity=False).hexdigest())
    return body


class _Held:
    """A small body in memory."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        self.chunks.append(chunk)


def _decoder(call: Call, stated: str, size: int) -> ChunkedBody:
    signed, trailing = _STREAMS[stated]
    signatures = chunk_signatures(call.exchange, call.principal, call.room.keys) if signed else None
    return ChunkedBody(signatures=signatures, trailing=trailing, decoded_bytes=size)


def _length(headers: Headers, name: str) -> int:
    text = headers.find(name)
    if text is None:
        if name == "content-length" and "transfer-encoding" not in headers:
            return 0
        raise MissingContentLength
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidArgument(f"{name} is no length", ArgumentName=name, ArgumentValue=text[:40])
    return int(text)


def _stated_md5(headers: Headers) -> str:
    stated = headers.find("content-md5")
    if stated is None:
        return ""
    try:
        raw = base64.b64decode(stated, validate=True)
    except ValueError:  # No base64, or no ASCII.
        raw = b""
    if len(raw) != _MD5_BYTES:
        raise InvalidDigest
    return raw.hex()


def _stated_sha256(stated: str) -> str:
    if stated == _UNSIGNED:
        return ""
    if stated.startswith("STREAMING-"):
        raise NotImplementedInS3(f"The payload option {stated[:64]} is not implemented.")
    if len(stated) != _SHA256_DIGITS:
        raise InvalidArgument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
        )
    return stated.lower()
