"""Uploads in parts: each part is a body of its own; completing one moves no bytes."""

from __future__ import annotations

from collections.abc import Sequence

from mayfly.stores.objects.record import (
    ALWAYS,
    Cause,
    Checksum,
    Conditions,
    MultipartUpload,
    Part,
    PartClaim,
    PartPage,
    Placed,
    Placement,
    Query,
    UploadPage,
)
from mayfly.stores.objects.upload import Upload

PART_NUMBER_MAX = 10_000
PART_BYTES_MIN = 5 * 1024 * 1024


class Multipart:
    """The multipart uploads of an `ObjectStore`."""

    async def create(
        self,
        placement: Placement,
        *,
        checksum_algorithm: str = "",
        checksum_kind: str = "",
        initiator: str = "",
    ) -> MultipartUpload:
        """Begin an upload; its facts are the object's later. Raises NoSuchBucket, KeyTooLong."""
        raise NotImplementedError

    def find_nowait(self, bucket: str, key: str, upload_id: str) -> MultipartUpload:
        """An upload under way. Raises NoSuchBucket, NoSuchUpload."""
        raise NotImplementedError

    async def put_part(
        self,
        upload: Upload,
        pending: MultipartUpload,
        number: int,
        checksums: tuple[Checksum, ...] = (),
    ) -> Part:
        """Keep a part, in the place of an earlier one of this number; concurrent ones are welcome.

        Raises:
            NoSuchUpload: It was completed or aborted meanwhile.
            InvalidPartNumber.
        """
        raise NotImplementedError

    async def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, count_max: int = 1_000
    ) -> PartPage:
        """Parts with numbers above `after`. Raises NoSuchBucket, NoSuchUpload."""
        raise NotImplementedError

    async def list_uploads(self, query: Query) -> UploadPage:
        """Uploads under way, by key, of one key the oldest first. Raises NoSuchBucket."""
        raise NotImplementedError

    async def complete(
        self,
        pending: MultipartUpload,
        claims: Sequence[PartClaim],
        cause: Cause,
        *,
        checksums: tuple[Checksum, ...] = (),
        conditions: Conditions = ALWAYS,
        size: int | None = None,
    ) -> Placed:
        """Make the named parts an object, in this order; the others are dropped.

        Args:
            checksums: The object's, as the caller computed them from the parts'.
            size: What the client says the object's size is, or None.

        Raises:
            NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, ConditionFailed: The
                upload stays as it was.
        """
        raise NotImplementedError

    async def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload and its parts. Raises NoSuchBucket, NoSuchUpload."""
        raise NotImplementedError
