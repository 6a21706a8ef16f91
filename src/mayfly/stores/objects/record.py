"""An object: what is known about it, what a write gives, and what a write tells.

    Placement --put--> Placed          and, inside the same transaction,
    ObjectMeta         as it is read    ObjectChange --notify--> parcels

A key is text of at most 1,024 bytes in UTF-8; keys are ordered by those bytes. An ETag has no
quotes here. Times are Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

NULL_VERSION = "null"
STANDARD = "STANDARD"


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that the client gave or that was computed as the bytes passed.

    Args:
        algorithm: "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256".
        value: Base64, as S3 writes it ("...-3" for a composite one).
        kind: "FULL_OBJECT" or "COMPOSITE".
    """

    algorithm: str
    value: str
    kind: str = "FULL_OBJECT"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a writer says about an object; kept as it is.

    Args:
        headers: Content headers by lower-case name: "content-type", "cache-control",
            "content-encoding", "content-disposition", "content-language", "expires".
        metadata: The user's own, by lower-case name without "x-amz-meta-".
        checksums: Usually one.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: tuple[Checksum, ...] = ()
    storage_class: str = STANDARD


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """One version of an object, without its body.

    Args:
        etag: Hex MD5; of a multipart object the MD5 of its parts' MD5s, and "-N". "" of a marker.
        version_id: NULL_VERSION where the bucket was not versioned when it was written.
        parts_count: Of a multipart object; 0 of any other.
        is_marker: A delete marker: no body, no facts.
    """

    key: str
    size: int
    etag: str
    modified_ms: int
    version_id: str
    facts: Facts
    is_latest: bool = True
    is_marker: bool = False
    parts_count: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold of the key's latest version for a write or a delete to be done.

    Args:
        if_absent: If-None-Match: *.
        if_match: This ETag, without quotes; "*" is any; "" asks nothing.
        if_size: The size in bytes (deletes only).
        if_modified_ms: The time of last modification, to the second (deletes only).
    """

    if_absent: bool = False
    if_match: str = ""
    if_size: int | None = None
    if_modified_ms: int | None = None


ALWAYS = Conditions()


class ChangeKind(StrEnum):
    """What happened to a key."""

    PUT = "put"
    POST = "post"
    COPY = "copy"
    COMPLETE = "complete"
    DELETE = "delete"
    MARKER = "marker"


@dataclass(frozen=True, slots=True)
class Cause:
    """Who makes a change, for those who are told of it."""

    principal: str = ""
    source_ip: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a body goes, and with what."""

    bucket: str
    key: str
    facts: Facts = Facts()
    conditions: Conditions = ALWAYS
    kind: ChangeKind = ChangeKind.PUT


@dataclass(frozen=True, slots=True)
class Placed:
    """A write that is durable.

    Args:
        version_id: "" where the bucket was never versioned; NULL_VERSION where it is suspended.
    """

    etag: str
    size: int
    modified_ms: int
    version_id: str


@dataclass(frozen=True, slots=True)
class DeleteTarget:
    """One of several keys to delete; "" as version is the latest."""

    key: str
    version_id: str = ""
    conditions: Conditions = ALWAYS


@dataclass(frozen=True, slots=True)
class Deleted:
    """A delete that is durable; deleting what is not there is one too.

    Args:
        version_id: The version that was deleted for good, or the marker that was made; "" if
            the bucket was never versioned.
        is_marker: A marker was made, or the version that was deleted was one.
        marker_made: A marker was made.
    """

    key: str
    version_id: str = ""
    is_marker: bool = False
    marker_made: bool = False


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """A change of a key, as `notify` sees it inside the transaction.

    Args:
        change_id: Unique, made before the transaction; parcels' ids are derived from it.
        version_id: "" where the bucket was never versioned.
        sequencer: 16 hex digits; a later change has a larger one.
    """

    change_id: str
    bucket: str
    key: str
    kind: ChangeKind
    size: int
    etag: str
    version_id: str
    sequencer: str
    time_ms: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart object, or of an upload under way.

    Args:
        etag: Hex MD5 of the part.
    """

    number: int
    size: int
    etag: str
    modified_ms: int
    checksums: tuple[Checksum, ...] = ()


@dataclass(frozen=True, slots=True)
class PartClaim:
    """A part as the client names it when it completes an upload; checksums only if it gave any."""

    number: int
    etag: str
    checksums: tuple[Checksum, ...] = ()


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """An upload in parts that is neither completed nor aborted.

    Args:
        checksum_algorithm: What the client announced, or "".
        checksum_kind: "FULL_OBJECT", "COMPOSITE" or "".
    """

    upload_id: str
    bucket: str
    key: str
    started_ms: int
    facts: Facts
    checksum_algorithm: str = ""
    checksum_kind: str = ""
    initiator: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """Which keys to list.

    Args:
        delimiter: Keys that share a beginning up to it, after `prefix`, become one common prefix.
        after: Only keys after this one. A common prefix that was listed (it ends with the
            delimiter) stands for all its keys.
        after_id: With `after`: go on inside that key, after this version or upload.
        count_max: Keys and common prefixes together.
    """

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    after_id: str = ""
    count_max: int = 1_000


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Objects, or versions and markers; by key, of one key the newest first.

    Args:
        prefixes: Common prefixes, in order.
        next_after: Hand it to the next query as `after`; "" on the last page.
        next_after_id: Likewise, of a listing of versions.
    """

    objects: Sequence[ObjectMeta]
    prefixes: Sequence[str]
    next_after: str = ""
    next_after_id: str = ""


@dataclass(frozen=True, slots=True)
class UploadPage:
    """Uploads under way, by key, of one key the oldest first; otherwise as `ObjectPage`."""

    uploads: Sequence[MultipartUpload]
    prefixes: Sequence[str]
    next_after: str = ""
    next_after_id: str = ""


@dataclass(frozen=True, slots=True)
class PartPage:
    """Parts of an upload, by number.

    Args:
        next_after: The number to go on after; 0 on the last page.
    """

    upload: MultipartUpload
    parts: Sequence[Part]
    next_after: int = 0
