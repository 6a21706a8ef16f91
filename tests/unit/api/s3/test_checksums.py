"""Checksums: known sums, combined sums, and what cannot be promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.api.message import Headers
from mayfly.api.s3 import checksums
from mayfly.api.s3.checksums import COMPOSITE, FULL_OBJECT, LENGTHS, Promise
from mayfly.api.s3.refusals import BadDigest, InvalidRequest

# Of b"123456789"; the CRCs' check values are in "Catalogue of parametrised CRC algorithms".
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


def sum_of(algorithm: str, *pieces: bytes) -> bytes:
    under_way = checksums.start(algorithm)
    for piece in pieces:
        under_way.update(piece)
    return under_way.digest()


def headers(named: dict[str, str]) -> Headers:
    return Headers((name.encode(), text.encode()) for name, text in named.items())


@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_sum_is_the_known_one(algorithm: str) -> None:
    assert sum_of(algorithm, b"1234", b"56789").hex() == KNOWN[algorithm]
    assert len(sum_of(algorithm)) == LENGTHS[algorithm]


@given(st.sampled_from(["CRC32", "CRC32C", "CRC64NVME"]), st.lists(st.binary(), min_size=1))
def test_the_parts_crcs_make_the_whole_s(algorithm: str, parts: list[bytes]) -> None:
    sums = [(sum_of(algorithm, part), len(part)) for part in parts]
    whole = checksums.written(sum_of(algorithm, *parts))
    assert checksums.combine(algorithm, FULL_OBJECT, sums) == whole


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_a_composite_sum_is_of_the_parts_sums(algorithm: str) -> None:
    sums = [(sum_of(algorithm, part), len(part)) for part in (b"a", b"bc")]
    of_sums = checksums.written(sum_of(algorithm, *(digest for digest, _ in sums)))
    assert checksums.combine(algorithm, COMPOSITE, sums) == f"{of_sums}-2"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, Promise()),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, Promise("CRC32", "AAAAAA==")),
        ({"x-amz-trailer": "x-amz-checksum-sha1"}, Promise("SHA1", trailing=True)),
        ({"x-amz-sdk-checksum-algorithm": "crc64nvme"}, Promise("CRC64NVME")),
        ({"x-amz-sdk-checksum-algorithm": "MD5"}, Promise()),
    ],
)
def test_a_promise_is_read(named: dict[str, str], expected: Promise) -> None:
    assert checksums.read_promise(headers(named)) == expected


@pytest.mark.parametrize(
    "named",
    [
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-checksum-crc32": "not base64"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32"},
        {"x-amz-trailer": "x-amz-meta-a"},
    ],
)
def test_a_promise_that_cannot_be_is_refused(named: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        checksums.read_promise(headers(named))


def test_an_algorithm_has_its_types() -> None:
    checksums.require_type("CRC32", COMPOSITE)
    checksums.require_type("CRC32", FULL_OBJECT)
    for algorithm, kind in (("SHA256", FULL_OBJECT), ("CRC64NVME", COMPOSITE), ("CRC32", "X")):
        with pytest.raises(InvalidRequest):
            checksums.require_type(algorithm, kind)
    with pytest.raises(BadDigest):
        checksums.require_match("CRC32", "AAAAAA==", "AAAAAQ==")
