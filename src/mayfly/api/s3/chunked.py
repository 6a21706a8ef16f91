"""aws-chunked: a body in chunks of its own, inside HTTP's, with trailers and perhaps signatures.

    <hex size>[;chunk-signature=<hex 64>]CRLF <bytes> CRLF
    ...
    0[;chunk-signature=<hex 64>]CRLF
    x-amz-checksum-crc32:<base64>CRLF          trailers, where the request announced them
    x-amz-trailer-signature:<hex 64>CRLF       where chunks are signed
    CRLF

A decoder without I/O: bytes in, as they come; the object's bytes out, uncopied where that is
possible. A signed chunk's bytes come out before its signature was seen, so nothing of the object
may be shown before `finish` has returned.

Source: "Signature calculations: transferring payload in multiple chunks", Amazon S3 API Reference.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from dataclasses import dataclass

from mayfly.api.s3.refusals import IncompleteBody, InvalidRequest, SignatureDoesNotMatch

_LINE_BYTES_MAX = 4_096
_TRAILERS_MAX = 16
_HEX_SIZE = re.compile(rb"[0-9a-fA-F]{1,12}")
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_NOTHING_LEFT = "The chunked body does not end where it says."


@dataclass(slots=True)
class ChunkSignatures:
    """The chain of a stream's signatures: each signs the one before it.

    Args:
        key: SigV4's signing key.
        scope: "<date>T<time>Z", a line break, "<date>/<region>/s3/aws4_request".
        previous: The request's own signature at first.
    """

    key: bytes
    scope: str
    previous: str

    def require_chunk(self, signature: str, sha256: str) -> None:
        """Check a chunk's signature.

        Raises:
            SignatureDoesNotMatch: It is wrong.
        """
        self._require("AWS4-HMAC-SHA256-PAYLOAD", signature, f"{_EMPTY_SHA256}\n{sha256}")

    def require_trailer(self, signature: str, trailers: bytes) -> None:
        """Check the trailers' signature.

        Raises:
            SignatureDoesNotMatch: It is wrong.
        """
        digest = hashlib.sha256(trailers).hexdigest()
        self._require("AWS4-HMAC-SHA256-TRAILER", signature, digest)

    def _require(self, algorithm: str, signature: str, digest: str) -> None:
        text = f"{algorithm}\n{self.scope}\n{self.previous}\n{digest}"
        expected = hmac.digest(self.key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise SignatureDoesNotMatch
        self.previous = expected


class _State(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILER = enum.auto()
    DONE = enum.auto()


class ChunkedBody:
    """One body under decoding.

    Args:
        signatures: None where chunks are not signed.
        trailing: Whether trailers are announced.
        decoded_bytes: How long the object is, as the request says.

    Attributes:
        trailers: Lower-case names with their values; whole after `finish`.
    """

    def __init__(
        self, *, signatures: ChunkSignatures | None, trailing: bool, decoded_bytes: int
    ) -> None:
        self.trailers: dict[str, str] = {}
        self._signatures = signatures
        self._trailing = trailing
        self._left_bytes = decoded_bytes
        self._state = _State.SIZE
        self._line = b""
        self._chunk_left = 0
        self._signature = ""
        self._sha256 = hashlib.sha256()
        self._trailer_text: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The object's bytes that these bytes hold.

        Raises:
            IncompleteBody, InvalidRequest: The form is wrong, or the object is longer than stated.
            SignatureDoesNotMatch: A chunk that ended here is not the signer's.
        """
        found: list[bytes] = []
        position, end = 0, len(data)
        while position < end:
            if self._state is _State.DATA:
                taken = min(self._chunk_left, end - position)
                piece = data if taken == end else data[position : position + taken]
                position += taken
                self._take(piece)
                found.append(piece)
                continue
            if self._state is _State.DONE:
                raise IncompleteBody(_NOTHING_LEFT)
            line_end = data.find(b"\n", position)
            if line_end < 0:
                self._line += data[position:]
                if len(self._line) > _LINE_BYTES_MAX:
                    raise InvalidRequest("A line of the chunked body is too long.")
                break
            line, self._line = self._line + data[position:line_end], b""
            if not line.endswith(b"\r"):
                raise IncompleteBody(_NOTHING_LEFT)
            self._read_line(line[:-1])
            position = line_end + 1
        return found

    def finish(self) -> None:
        """The HTTP body has ended: so must this one have.

        Raises:
            IncompleteBody: It has not.
        """
        if self._state is _State.TRAILER and not self._line and not self._trailer_text:
            # Some writers leave out the last empty line.
            self._end()
        if self._state is not _State.DONE or self._left_bytes:
            raise IncompleteBody(_NOTHING_LEFT)

    def _take(self, piece: bytes) -> None:
        if self._signatures is not None:
            self._sha256.update(piece)
        self._chunk_left -= len(piece)
        if not self._chunk_left:
            self._state = _State.DATA_END

    def _read_line(self, line: bytes) -> None:
        match self._state:
            case _State.SIZE:
                self._begin_chunk(line)
            case _State.DATA_END:
                if line:
                    raise IncompleteBody(_NOTHING_LEFT)
                self._end_chunk()
                self._state = _State.SIZE
            case _State.TRAILER if line:
                self._read_trailer(line)
            case _:
                self._end()

    def _begin_chunk(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        size = size.strip()
        if not _HEX_SIZE.fullmatch(size):
            raise InvalidRequest("A chunk of the body does not begin with its size.")
        self._chunk_left = int(size, 16)
        if self._chunk_left > self._left_bytes:
            raise IncompleteBody("The body is longer than x-amz-decoded-content-length says.")
        self._left_bytes -= self._chunk_left
        name, _, signature = extension.partition(b"=")
        self._signature = signature.decode("latin-1") if name == b"chunk-signature" else ""
        if self._chunk_left:
            self._state = _State.DATA
        else:
            self._end_chunk()
            self._state = _State.TRAILER

    def _end_chunk(self) -> None:
        if self._signatures is not None:
            self._signatures.require_chunk(self._signature, self._sha256.hexdigest())
            self._sha256 = hashlib.sha256()

    def _read_trailer(self, line: bytes) -> None:
        raw_name, _, raw_value = line.partition(b":")
        name = raw_name.decode("latin-1").strip().lower()
        value = raw_value.decode("latin-1").strip()
        if not self._trailing or len(self.trailers) >= _TRAILERS_MAX:
            raise InvalidRequest("The body has trailers that the request does not announce.")
        self.trailers[name] = value
        if name != "x-amz-trailer-signature":
            self._trailer_text.append(f"{name}:{value}\n".encode("latin-1"))

    def _end(self) -> None:
        self._state = _State.DONE
        if self._signatures is not None and self._trailing:
            signature = self.trailers.get("x-amz-trailer-signature", "")
            self._signatures.require_trailer(signature, b"".join(self._trailer_text))
