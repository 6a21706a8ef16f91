"""Which bucket and key a request names, in both of S3's styles.

    path style           GET /photos/in/a.jpg        Host: 127.0.0.1:9000
    virtual-host style   GET /in/a.jpg               Host: photos.s3.anything, photos.localhost:9000

A key is taken as it stands: `..`, empty segments and a plus sign are parts of it, so nothing is
normalised. Only the percent-encoding is undone, and what comes out must be UTF-8.

Source: "Virtual hosting of general purpose buckets", Amazon S3 User Guide.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mayfly.api.exchange import Exchange
from mayfly.api.s3.refusals import InvalidBucketName, InvalidUri, KeyTooLong

KEY_BYTES_MAX = 1_024
_LOCAL = "localhost"
_MARKS = (".s3.", ".s3-")
_BUCKET_NAME = re.compile(
    r"(?=.{3,63}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII
)
_FOUR_NUMBERS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_SCOPE, _SCOPE_ENCODED = "/s3/aws4_request", "%2fs3%2faws4_request"
_OLD_SIGNATURE = "AWS "


class Address(NamedTuple):
    """What a request is about: the platform (both ""), a bucket (key ""), or an object."""

    bucket: str
    key: str


class Addresses:
    """Reads addresses.

    Args:
        host: The endpoint's host name or address, without the port: its subdomains are buckets.
    """

    def __init__(self, host: str) -> None:
        self._suffixes = tuple(f".{one}" for one in dict.fromkeys((host.lower(), _LOCAL)))

    def claims(self, exchange: Exchange) -> bool:
        """Whether the request is S3's: by its signature's scope, its host, or its form."""
        headers = exchange.headers
        authorization = headers.find("authorization")
        if authorization is not None:
            return _SCOPE in authorization or authorization.startswith(_OLD_SIGNATURE)
        query = exchange.query_string.lower()
        if "x-amz-credential=" in query:
            return _SCOPE_ENCODED in query or _SCOPE in query
        host = headers.get("host")
        if any(mark in host for mark in _MARKS) or "awsaccesskeyid=" in query:
            return True
        match exchange.method:
            case "POST":
                return headers.get("content-type").lower().startswith("multipart/form-data")
            case "OPTIONS":
                return "access-control-request-method" in headers
            case _:
                return False

    def read(self, exchange: Exchange) -> Address:
        """The bucket and key.

        Raises:
            InvalidUri: The path is no UTF-8.
            KeyTooLong: The key is.
            InvalidBucketName: No bucket can have this name.
        """
        path = exchange.raw_path[1:]
        bucket = self.bucket_of_host(exchange.headers.get("host"))
        if bucket:
            raw_key = path
        else:
            raw_bucket, _, raw_key = path.partition(b"/")
            bucket = decoded(raw_bucket)
        if bucket:
            require_bucket_name(bucket)
        key = decoded(raw_key)
        require_key_length(key)
        return Address(bucket, key)

    def bucket_of_host(self, host: str) -> str:
        """The bucket that a Host header names, or ""."""
        name = host.lower()
        if not name.endswith("]"):
            name = name.rpartition(":")[0] if ":" in name else name
        for mark in _MARKS:
            bucket, found, _ = name.rpartition(mark)
            if found:
                return bucket
        for suffix in self._suffixes:
            if name.endswith(suffix):
                bucket = name.removesuffix(suffix)
                return "" if bucket == "s3" else bucket
        return ""


def decoded(raw: bytes) -> str:
    """Text of a percent-encoded path."""
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError as error:
        raise InvalidUri from error


def require_key_length(key: str) -> None:
    """Refuse a key of over 1,024 bytes."""
    if len(key) > KEY_BYTES_MAX // 4 and len(key.encode()) > KEY_BYTES_MAX:
        raise KeyTooLong(Size=str(len(key.encode())), MaxSizeAllowed=str(KEY_BYTES_MAX))


def require_bucket_name(bucket: str) -> None:
    """Refuse what cannot be a bucket's name ("Bucket naming rules", Amazon S3 User Guide)."""
    if not _BUCKET_NAME.fullmatch(bucket) or _FOUR_NUMBERS.fullmatch(bucket):
        raise InvalidBucketName(BucketName=bucket)
