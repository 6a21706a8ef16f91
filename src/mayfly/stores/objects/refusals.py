"""What the object store refuses, with S3's names for it.

CallerError
|-- NoSuchBucket, NoSuchKey, NoSuchVersion, NoSuchUpload    404
|-- BucketTaken, BucketNotEmpty                             409
|-- MarkerFound                                             405  a marker, asked for by its id
|-- ConditionFailed                                         412
`-- EntityTooLarge, EntityTooSmall, KeyTooLong, InvalidPart, InvalidPartOrder,
    InvalidPartNumber, TooManyBuckets                       400
"""

from __future__ import annotations

from mayfly.model.errors import CallerError, Conflict, NotFound, PreconditionFailed


class NoSuchBucket(NotFound):
    """There is no bucket of this name."""

    code = "NoSuchBucket"


class NoSuchKey(NotFound):
    """The key has no latest version, or that is a delete marker.

    Args:
        marker_version_id: The marker's version, or "" where there is none.
    """

    code = "NoSuchKey"

    def __init__(self, message: str, *, marker_version_id: str = "") -> None:
        super().__init__(message)
        self.marker_version_id = marker_version_id


class NoSuchVersion(NotFound):
    """The key has no such version."""

    code = "NoSuchVersion"


class NoSuchUpload(NotFound):
    """The multipart upload does not exist, or was completed or aborted."""

    code = "NoSuchUpload"


class BucketTaken(Conflict):
    """The caller has a bucket of this name already."""

    code = "BucketAlreadyOwnedByYou"


class BucketNotEmpty(Conflict):
    """A bucket with objects, versions or markers is not deleted."""

    code = "BucketNotEmpty"


class MarkerFound(CallerError):
    """A delete marker was asked for by its version: it has nothing to give.

    Args:
        modified_ms: When the marker was made.
    """

    code = "MethodNotAllowed"
    status = 405

    def __init__(self, message: str, *, version_id: str, modified_ms: int) -> None:
        super().__init__(message)
        self.version_id = version_id
        self.modified_ms = modified_ms


class ConditionFailed(PreconditionFailed):
    """If-Match or If-None-Match did not hold at the moment of the write."""

    code = "PreconditionFailed"


class EntityTooLarge(CallerError):
    """A body over its bound."""

    code = "EntityTooLarge"


class EntityTooSmall(CallerError):
    """A part other than the last that is under 5 MiB."""

    code = "EntityTooSmall"


class KeyTooLong(CallerError):
    """A key over 1,024 bytes."""

    code = "KeyTooLongError"


class InvalidPart(CallerError):
    """A part that was not uploaded, or whose ETag or checksum is another."""

    code = "InvalidPart"


class InvalidPartOrder(CallerError):
    """Parts must be named in ascending order."""

    code = "InvalidPartOrder"


class InvalidPartNumber(CallerError):
    """A part's number must be 1 to 10,000."""

    code = "InvalidArgument"


class TooManyBuckets(CallerError):
    """The bound of buckets is reached."""

    code = "TooManyBuckets"
