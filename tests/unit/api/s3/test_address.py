"""Whose a request is, and which bucket and key it names."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.api.asgi import Message
from mayfly.api.exchange import Exchange
from mayfly.api.s3.address import Addresses
from mayfly.api.s3.refusals import InvalidBucketName, InvalidUri, KeyTooLong

ADDRESSES = Addresses("box.example.com")
SIGNED = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{}/aws4_request, SignedHeaders=host"


async def _receive() -> Message:
    raise AssertionError("an address is in the head")


async def _send(_: Message) -> None:
    raise AssertionError("an address has no answer")


def exchange(
    path: str, *, method: str = "GET", query: str = "", host: str = "127.0.0.1:9", **headers: str
) -> Exchange:
    named = {"host": host, **{name.replace("_", "-"): text for name, text in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), text.encode()) for name, text in named.items()],
    }
    return Exchange(scope, _receive, _send, "id")


@pytest.mark.parametrize(
    ("path", "host", "expected"),
    [
        ("/", "127.0.0.1:9000", ("", "")),
        ("/photos", "127.0.0.1:9000", ("photos", "")),
        ("/photos/", "127.0.0.1:9000", ("photos", "")),
        ("/photos/a/../b", "127.0.0.1:9000", ("photos", "a/../b")),
        ("/photos//a//b/", "127.0.0.1:9000", ("photos", "/a//b/")),
        ("/photos/a%20b+c%2Bd%25", "127.0.0.1:9000", ("photos", "a b+c+d%")),
        ("/a/b", "photos.s3.anything.at.all", ("photos", "a/b")),
        ("/a/b", "photos.s3-us-west-2.amazonaws.com", ("photos", "a/b")),
        ("/a/b", "my.dotted.s3.bucket.s3.localhost:1", ("my.dotted.s3.bucket", "a/b")),
        ("/a/b", "Photos.localhost:9000", ("photos", "a/b")),
        ("/a/b", "photos.box.example.com", ("photos", "a/b")),
        ("/photos/b", "box.example.com", ("photos", "b")),
        ("/photos/b", "s3.localhost:9000", ("photos", "b")),
        ("/photos/b", "[::1]:9000", ("photos", "b")),
    ],
)
def test_bucket_and_key_are_found(path: str, host: str, expected: tuple[str, str]) -> None:
    assert tuple(ADDRESSES.read(exchange(path, host=host))) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250))
def test_any_key_survives(key: str) -> None:
    path = f"/photos/{quote(key, safe='')}"
    assert ADDRESSES.read(exchange(path)).key == key


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/photos/%FF", InvalidUri),
        ("/UPPER/k", InvalidBucketName),
        ("/a/k", InvalidBucketName),
        ("/10.0.0.1/k", InvalidBucketName),
        (f"/photos/{'k' * 1_025}", KeyTooLong),
        (f"/photos/{'%C3%A9' * 513}", KeyTooLong),
    ],
)
def test_what_names_nothing_is_refused(path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ADDRESSES.read(exchange(path))


def test_a_request_is_claimed_by_scope_host_or_form() -> None:
    claims = ADDRESSES.claims
    assert claims(exchange("/b/k", authorization=SIGNED.format("s3")))
    assert not claims(exchange("/b/k", authorization=SIGNED.format("lambda")))
    assert claims(exchange("/b/k", query="X-Amz-Credential=k%2F20260101%2Fr%2Fs3%2Faws4_request"))
    assert not claims(exchange("/b", query="X-Amz-Credential=k%2Fd%2Fr%2Fsqs%2Faws4_request"))
    assert claims(exchange("/b/k", query="AWSAccessKeyId=k&Signature=s&Expires=1"))
    assert claims(exchange("/k", host="photos.s3.localhost"))
    assert claims(exchange("/b", method="POST", content_type="multipart/form-data; boundary=x"))
    assert claims(exchange("/b/k", method="OPTIONS", access_control_request_method="PUT"))
    assert not claims(exchange("/"))
    assert not claims(exchange("/b/k", method="POST", content_type="application/json"))
    assert not claims(exchange("/_mayfly/health", host="mayfly.localhost"))
