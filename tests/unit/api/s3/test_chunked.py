"""aws-chunked: AWS's own examples, every way to cut the bytes, and every way to break them."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.api.s3.chunked import ChunkedBody, ChunkSignatures
from mayfly.api.s3.refusals import IncompleteBody, S3Error, SignatureDoesNotMatch

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BODY = b"a" * 66_560
# "Example calculations" of the page that `chunked` names.
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
SIGNED = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
SEED_WITH_TRAILER = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
SIGNED_WITH_TRAILER = (
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)
TRAILER_SIGNATURE = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"


def signatures(seed: str) -> ChunkSignatures:
    key = f"AWS4{SECRET}".encode()
    for part in ("20130524", "us-east-1", "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return ChunkSignatures(key, "20130524T000000Z\n20130524/us-east-1/s3/aws4_request", seed)


def signed_body(marks: tuple[str, str, str], trailers: str = "") -> bytes:
    sizes = (65_536, 1_024, 0)
    chunks = [
        f"{size:x};chunk-signature={mark}\r\n{'a' * size}"
        for size, mark in zip(sizes, marks, strict=True)
    ]
    return ("\r\n".join(chunks) + trailers + "\r\n").encode()


def decode(decoder: ChunkedBody, data: bytes, step: int) -> bytes:
    found = [
        piece for at in range(0, len(data), step) for piece in decoder.feed(data[at : at + step])
    ]
    decoder.finish()
    return b"".join(found)


@pytest.mark.parametrize("step", [1_000_000, 4_096, 1])
def test_the_documented_signatures_are_right(step: int) -> None:
    decoder = ChunkedBody(signatures=signatures(SEED), trailing=False, decoded_bytes=len(BODY))
    assert decode(decoder, signed_body(SIGNED), step) == BODY


@pytest.mark.parametrize("step", [1_000_000, 4_096, 1])
def test_the_documented_trailer_is_right(step: int) -> None:
    decoder = ChunkedBody(
        signatures=signatures(SEED_WITH_TRAILER), trailing=True, decoded_bytes=len(BODY)
    )
    trailers = f"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{TRAILER_SIGNATURE}\r\n"
    assert decode(decoder, signed_body(SIGNED_WITH_TRAILER, trailers), step) == BODY
    assert decoder.trailers["x-amz-checksum-crc32c"] == "sOO8/Q=="


@pytest.mark.parametrize("at", [40, 100, 65_700, 66_700, len(signed_body(SIGNED)) - 10])
def test_a_changed_byte_is_noticed(at: int) -> None:
    body = bytearray(signed_body(SIGNED))
    body[at] ^= 1
    decoder = ChunkedBody(signatures=signatures(SEED), trailing=False, decoded_bytes=len(BODY))
    with pytest.raises(S3Error):
        decode(decoder, bytes(body), 10_000)


def test_a_changed_trailer_is_noticed() -> None:
    decoder = ChunkedBody(
        signatures=signatures(SEED_WITH_TRAILER), trailing=True, decoded_bytes=len(BODY)
    )
    trailers = f"x-amz-checksum-crc32c:sOO8/A==\r\nx-amz-trailer-signature:{TRAILER_SIGNATURE}\r\n"
    with pytest.raises(SignatureDoesNotMatch):
        decode(decoder, signed_body(SIGNED_WITH_TRAILER, trailers), 10_000)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 200))
def test_unsigned_chunks_of_any_size_in_any_pieces(bodies: list[bytes], step: int) -> None:
    whole = b"".join(bodies)
    data = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in bodies)
    data += b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    decoder = ChunkedBody(signatures=None, trailing=True, decoded_bytes=len(whole))
    assert decode(decoder, data, step) == whole
    assert decoder.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0\r\n\r\nmore",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"4\r\nhell\r\n0\r\n\r\n",
        b"6\r\nhello!\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"x" * 5_000,
        b"5\r\nhello\r\n0\r\nx-amz-unannounced: 1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [10_000, 1])
def test_a_broken_body_is_refused(data: bytes, step: int) -> None:
    decoder = ChunkedBody(signatures=None, trailing=False, decoded_bytes=5)
    with pytest.raises(S3Error):
        decode(decoder, data, step)


def test_a_body_may_leave_out_its_last_empty_line() -> None:
    decoder = ChunkedBody(signatures=None, trailing=False, decoded_bytes=5)
    assert decode(decoder, b"5\r\nhello\r\n0\r\n", 3) == b"hello"


def test_a_body_that_ends_inside_a_chunk_is_incomplete() -> None:
    decoder = ChunkedBody(signatures=None, trailing=False, decoded_bytes=5)
    decoder.feed(b"5\r\nhel")
    with pytest.raises(IncompleteBody):
        decoder.finish()
