"""What a writer says about an object in headers, and the same said to its readers.

    request headers --read_facts--> Facts --fact_headers--> response headers

A header that asks for something that Mayfly does not do is refused, never dropped: who asks for
encryption must not be left to think that it was done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from mayfly.api.message import Headers
from mayfly.api.s3 import checksums
from mayfly.api.s3.call import HeaderList, Query, header, http_date
from mayfly.api.s3.refusals import (
    InvalidArgument,
    InvalidTag,
    MetadataTooLarge,
    NotImplementedInS3,
    S3Error,
)
from mayfly.stores.objects.record import STANDARD, Facts, ObjectMeta

METADATA_BYTES_MAX = 2_048
OBJECT_TAGS_MAX = 10
TAG_KEY_LENGTH_MAX, TAG_VALUE_LENGTH_MAX = 128, 256
_META = "x-amz-meta-"
_CONTENT = frozenset(
    ("content-type", "cache-control", "content-encoding", "content-disposition")
) | {"content-language", "expires"}
_STORAGE_CLASSES = frozenset(
    (STANDARD, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING")
) | {"GLACIER_IR"}
_REFUSED_PREFIXES = (
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock-",
    "x-amz-website-",
    "x-amz-write-offset-",
    "x-amz-grant-",
)
_PRIVATE_ACLS = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})
_DEFAULT_TYPE = "binary/octet-stream"
_OVERRIDES = {
    f"response-{name}": name.encode() for name in (*sorted(_CONTENT - {"expires"}), "expires")
}


class AccessControlListNotSupported(S3Error):
    """A list that would let others in."""

    code, usual = "AccessControlListNotSupported", "The bucket does not allow ACLs"


class InvalidStorageClass(S3Error):
    """Not a class that objects can be read from at once."""

    code, usual = "InvalidStorageClass", "The storage class you specified is not valid"


def read_facts(headers: Headers) -> Facts:
    """All that the headers say about the object, but for its checksum.

    Raises:
        S3Error: A header that cannot be honoured.
    """
    content: dict[str, str] = {}
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    storage_class = STANDARD
    for name, value in headers.items():
        if name in _CONTENT:
            content[name] = value
        elif name.startswith(_META):
            metadata[name.removeprefix(_META)] = value
        elif name == "x-amz-tagging":
            tags = read_tags(value)
        elif name == "x-amz-storage-class":
            storage_class = value
        elif name.startswith("x-amz-"):
            require_honoured(name, value)
    if "content-encoding" in content:
        _drop_transfer_encoding(content)
    if metadata:
        _require_room(metadata)
    if storage_class not in _STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=storage_class[:40])
    return Facts(content, metadata, tags, storage_class=storage_class)


def require_honoured(name: str, value: str) -> None:
    """Refuse a header that asks for what Mayfly does not do.

    Raises:
        NotImplementedInS3, AccessControlListNotSupported: It does.
    """
    if name.startswith(_REFUSED_PREFIXES):
        raise NotImplementedInS3(
            f"The header {name[:80]} asks for what Mayfly does not implement.", Header=name[:80]
        )
    if name == "x-amz-acl" and value not in _PRIVATE_ACLS:
        raise AccessControlListNotSupported


def read_tags(text: str) -> dict[str, str]:
    """Tags of a header, "a=1&b=2".

    Raises:
        InvalidArgument, InvalidTag: They cannot be read, or cannot be.
    """
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=100
        )
    except ValueError as error:
        raise InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            ArgumentName="x-amz-tagging",
        ) from error
    return checked_tags(pairs, count_max=OBJECT_TAGS_MAX)


def checked_tags(pairs: Iterable[tuple[str, str]], *, count_max: int) -> dict[str, str]:
    """Tags that may be.

    Raises:
        InvalidTag: A key comes twice, or something is too long.
        BadRequest: Too many.
    """
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        if not 0 < len(key) <= TAG_KEY_LENGTH_MAX or key.startswith("aws:"):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key[:200])
        if len(value) > TAG_VALUE_LENGTH_MAX:
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=key)
        tags[key] = value
    if len(tags) > count_max:
        raise BadRequest(f"Object tags cannot be greater than {count_max}")
    return tags


class BadRequest(S3Error):
    """Too many tags."""

    code = "BadRequest"


def fact_headers(meta: ObjectMeta, overrides: Query) -> HeaderList:
    """What a reader is told: all but the length, the range and the checksum.

    Args:
        overrides: The query; its `response-...` replace what was written with the object.
    """
    facts = meta.facts
    headers: HeaderList = [
        (b"etag", b'"%b"' % meta.etag.encode()),
        (b"last-modified", http_date(meta.modified_ms)),
        (b"accept-ranges", b"bytes"),
    ]
    content = facts.headers
    if overrides:
        given = {_OVERRIDES[name]: overrides[name] for name in overrides if name in _OVERRIDES}
        headers.extend((name, header(value)) for name, value in given.items())
        content = {name: text for name, text in content.items() if name.encode() not in given}
        if b"content-type" not in given and "content-type" not in content:
            content = {"content-type": _DEFAULT_TYPE, **content}
    elif "content-type" not in content:
        headers.append((b"content-type", _DEFAULT_TYPE.encode()))
    for name, text in content.items():
        headers.append((name.encode(), header(text)))
    for name, text in facts.metadata.items():
        headers.append((header(_META + name), header(text)))
    if facts.tags:
        headers.append((b"x-amz-tagging-count", b"%d" % len(facts.tags)))
    if facts.storage_class != STANDARD:
        headers.append((b"x-amz-storage-class", header(facts.storage_class)))
    return headers


def checksum_headers(facts: Facts) -> HeaderList:
    """The object's checksums and their type."""
    headers: HeaderList = []
    for one in facts.checksums[:1]:
        name = checksums.HEADER_PREFIX + one.algorithm.lower()
        headers.append((name.encode(), one.value.encode()))
        headers.append((b"x-amz-checksum-type", one.kind.encode()))
    return headers


def version_headers(version_id: str) -> HeaderList:
    """The version, where the bucket has versions."""
    return [(b"x-amz-version-id", version_id.encode())] if version_id else []


def _drop_transfer_encoding(content: dict[str, str]) -> None:
    """Forget "aws-chunked": it is how the body travels, not what the object is."""
    kept = [
        one
        for part in content["content-encoding"].split(",")
        if (one := part.strip()) != "aws-chunked"
    ]
    if any(kept):
        content["content-encoding"] = ",".join(filter(None, kept))
    else:
        del content["content-encoding"]


def _require_room(metadata: Mapping[str, str]) -> None:
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(METADATA_BYTES_MAX))
