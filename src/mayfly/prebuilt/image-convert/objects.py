"""Pictures from a bucket to a bucket: by way of /tmp, under templated keys.

Done twice it is done once: what was made says in its metadata of which object, and of what wishes,
and is not made again; and nothing that this function made is ever its input, so that source and
target may be the same bucket.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from convert import Picture, Unusable, Wish, convert

SOURCE_BYTES_MAX = int(os.environ.get("SOURCE_BYTES_MAX", "100000000"))
KEY_DEFAULT = "{dir}{name}-{size}.{format}"
_NAME = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "image-convert")
# Metadata of what was made. Values must be ASCII, so the source goes in as a digest.
_MADE_BY, _MADE_OF = "made-by", "made-of"
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_UNKNOWN = ("403", "404", "AccessDenied", "NoSuchKey", "NotFound")

# One client for all calls: it is in the snapshot, with its service model read and its pool empty.
S3 = boto3.client(
    "s3",
    region_name=os.environ.get("AWS_REGION", "us-east-1"),
    config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
)


@dataclass(frozen=True)
class Source:
    """An object to convert; `version` is None for the present one."""

    bucket: str
    key: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Target:
    """Where the pictures go; `key` is a template."""

    bucket: str
    key: str = KEY_DEFAULT


@dataclass(frozen=True)
class Put:
    """One picture in its bucket; `made` is False where it had been there already."""

    bucket: str
    key: str
    picture: Picture | None
    size_bytes: int
    made: bool


def sources_of(event: dict[str, Any]) -> Iterator[Source]:
    """The objects that an S3 notification says were created; none for its test event."""
    for record in event.get("Records", []):
        if not str(record.get("eventName", "")).startswith("ObjectCreated"):
            continue
        told = record["s3"]
        entry = told["object"]
        # Keys come as in a query: a blank is "+" (S3, "Event message structure").
        key = unquote_plus(entry["key"])
        yield Source(told["bucket"]["name"], key, entry.get("versionId"))


def convert_object(source: Source, wishes: list[Wish], target: Target) -> list[Put]:
    """Convert one object into every picture that is wished for.

    Returns:
        What is in the target now; empty when the source is gone or is this function's own work.

    Raises:
        Unusable: The object is no picture that can be read, or too large.
        ClientError: The store refused.
    """
    with tempfile.NamedTemporaryFile() as file:
        etag = _fetch(source, file)
        if etag is None:
            return []
        done = []
        for wish in wishes:
            made_of = _fingerprint(source, etag, wish)
            done.append(_one(source, file, wish, target, made_of))
        return done


def _fetch(source: Source, file: BinaryIO) -> str | None:
    """Write the object into `file`; its ETag, or None where there is nothing to do."""
    wanted = {"VersionId": source.version} if source.version else {}
    try:
        got = S3.get_object(Bucket=source.bucket, Key=source.key, **wanted)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion"):
            print(f"{source} is gone; nothing to do")
            return None
        raise
    with closing(got["Body"]) as body:
        if got.get("Metadata", {}).get(_MADE_BY) == _NAME:
            print(f"{source} was made by this function; left alone")
            return None
        if got["ContentLength"] > SOURCE_BYTES_MAX:
            raise Unusable(
                f"{source} has {got['ContentLength']:,} bytes, over SOURCE_BYTES_MAX, which is "
                f"{SOURCE_BYTES_MAX:,}"
            )
        file.writelines(body.iter_chunks(1 << 20))
    return str(got["ETag"])


def _one(source: Source, file: BinaryIO, wish: Wish, target: Target, made_of: str) -> Put:
    early = _key(target.key, source.key, wish, None)
    if early is not None and (size := _there(target.bucket, early, made_of)) is not None:
        print(f"{target.bucket}/{early} is there already")
        return Put(target.bucket, early, None, size, made=False)
    with tempfile.NamedTemporaryFile() as made:
        picture = convert(file, wish, made)
        key = _key(target.key, source.key, wish, picture)
        assert key is not None
        if (target.bucket, key) == (source.bucket, source.key):
            raise Unusable(f"{source} would be overwritten; let TARGET_KEY hold {{size}}")
        size_bytes = made.seek(0, os.SEEK_END)  # some encoders write past the buffer
        made.seek(0)
        S3.put_object(
            Bucket=target.bucket,
            Key=key,
            Body=made,
            ContentType=f"image/{picture.format}",
            Metadata={_MADE_BY: _NAME, _MADE_OF: made_of},
        )
    print(f"{source} -> {target.bucket}/{key}, {picture.width}x{picture.height}, {size_bytes} B")
    return Put(target.bucket, key, picture, size_bytes, made=True)


def _there(bucket: str, key: str, made_of: str) -> int | None:
    """The size of the target when it is of this very source and wish; None: make it.

    A function that may only write there cannot look, and makes it again: the same bytes.
    """
    try:
        head = S3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNKNOWN:
            return None
        raise
    return int(head["ContentLength"]) if head["Metadata"].get(_MADE_OF) == made_of else None


def _fingerprint(source: Source, etag: str, wish: Wish) -> str:
    return hashlib.sha256(f"{source}\0{etag}\0{wish}".encode()).hexdigest()


def _key(template: str, key: str, wish: Wish, picture: Picture | None) -> str | None:
    """The target's key, or None while it depends on a picture that is not made yet."""
    folder, slash, file_name = key.rpartition("/")
    name, dot, extension = file_name.rpartition(".")
    known: dict[str, object] = {
        "dir": folder + slash,
        "name": name if dot else file_name,
        "ext": extension if dot else "",
        "size": _size_name(wish),
        "format": picture.format if picture else wish.format or None,
        "width": picture.width if picture else None,
        "height": picture.height if picture else None,
    }
    names = _PLACEHOLDER.findall(template)
    for one in names:
        if one not in known:
            raise Unusable(f"TARGET_KEY has {{{one}}}; there is {', '.join(known)}")
    if any(known[one] is None for one in names):
        return None
    return _PLACEHOLDER.sub(lambda match: str(known[match[1]]), template)


def _size_name(wish: Wish) -> str:
    """Of a wish: 800, 800x600, x600, or full."""
    if wish.height is None:
        return "full" if wish.width is None else str(wish.width)
    return f"{wish.width or ''}x{wish.height}"
