"""The bucket's side: listing, reading as a stream or at any place, and writing in parts.

Memory does not grow with an object: a reader holds one window, a writer one part.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from orders import Gone, Refused

NAME = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "compress")
PART_BYTES = 8 << 20
WINDOW_BYTES = 1 << 20
_PARTS_MAX = 10_000
_MADE_BY = "made-by"

# One client for all calls: it is in the snapshot, with its service model read and its pool empty.
S3 = boto3.client(
    "s3",
    region_name=os.environ.get("AWS_REGION", "us-east-1"),
    config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
)


@dataclass(frozen=True)
class Found:
    """An object as it is now."""

    bucket: str
    key: str
    version: str | None
    etag: str
    size_bytes: int
    modified_s: int
    own: bool = False


def find(bucket: str, key: str, version: str | None = None) -> Found:
    """Look at one object.

    Raises:
        Gone: It is not there.
    """
    wanted = {"VersionId": version} if version else {}
    try:
        head = S3.head_object(Bucket=bucket, Key=key, **wanted)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
            raise Gone(f"{bucket}/{key} is not there") from None
        raise
    return Found(
        bucket,
        key,
        version,
        head["ETag"],
        head["ContentLength"],
        int(head["LastModified"].timestamp()),
        own=head.get("Metadata", {}).get(_MADE_BY) == NAME,
    )


def walk(bucket: str, prefix: str) -> Iterator[Found]:
    """The objects under a prefix, in the order of their keys; markers of folders are left out."""
    for page in S3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            if not one["Key"].endswith("/"):
                modified_s = int(one["LastModified"].timestamp())
                yield Found(bucket, one["Key"], None, one["ETag"], one["Size"], modified_s)


def opened(found: Found, start: int = 0, count: int | None = None) -> Any:
    """The object's bytes as a stream, from `start` on; the object must be the one that was found.

    Raises:
        Refused: It was replaced or removed since.
    """
    wanted = {"VersionId": found.version} if found.version else {"IfMatch": found.etag}
    if start or count is not None:
        end = "" if count is None else start + count - 1
        wanted["Range"] = f"bytes={start}-{end}"
    try:
        return S3.get_object(Bucket=found.bucket, Key=found.key, **wanted)["Body"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("PreconditionFailed", "412", "NoSuchKey"):
            raise Refused(f"{found.bucket}/{found.key} changed meanwhile; ask again") from None
        raise


class ObjectFile(io.RawIOBase):
    """An object that can be read at any place, for formats whose table is at their end."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self._found = found
        self._at = 0
        self._window = b""
        self._window_start = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; nothing is fetched."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._found.size_bytes}[whence]
        if start + offset < 0:
            raise ValueError("a place before the beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the window goes."""
        view = memoryview(buffer)
        if self._at >= self._found.size_bytes or not view:
            return 0
        inside = self._at - self._window_start
        if not 0 <= inside < len(self._window):
            count = min(WINDOW_BYTES, self._found.size_bytes - self._at)
            self._window = opened(self._found, self._at, count).read()
            self._window_start, inside = self._at, 0
        chunk = self._window[inside : inside + len(view)]
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


class ObjectWriter(io.RawIOBase):
    """A file that becomes an object when the block ends, and nothing when the block fails.

    Small ones are put at once, others in parts.
    """

    def __init__(self, bucket: str, key: str, headers: Mapping[str, object]) -> None:
        super().__init__()
        self._place = {"Bucket": bucket, "Key": key}
        self._headers = {**headers, "Metadata": {_MADE_BY: NAME}}
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, object]] = []
        self.size_bytes = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes; a full part is sent."""
        if self.closed:  # a compressor that is forgotten after a failure still writes its end
            raise ValueError("the object is closed")
        taken = memoryview(data).nbytes
        self._buffer += data
        self.size_bytes += taken
        while len(self._buffer) >= self._part_bytes():
            self._send(self._part_bytes())
        return taken

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._upload is not None:  # neither finished nor forgotten: its parts cost room
                S3.abort_multipart_upload(**self._place, UploadId=self._upload)
            self.close()

    def _part_bytes(self) -> int:
        # 2,000 parts of each size: 16, 32, 64, 128 and 256 GB, within S3's 10,000.
        return PART_BYTES << (len(self._parts) * 5 // _PARTS_MAX)

    def _send(self, count: int) -> None:
        if self._upload is None:
            made = S3.create_multipart_upload(**self._place, **self._headers)
            self._upload = made["UploadId"]
        number = len(self._parts) + 1
        part = bytes(self._buffer[:count])
        del self._buffer[:count]
        sent = S3.upload_part(**self._place, UploadId=self._upload, PartNumber=number, Body=part)
        names = ("ETag", "ChecksumCRC32", "ChecksumCRC64NVME")
        told = {name: sent[name] for name in names if name in sent}
        self._parts.append({"PartNumber": number, **told})

    def _finish(self) -> None:
        if self._upload is None:
            S3.put_object(**self._place, Body=bytes(self._buffer), **self._headers)
            return
        if self._buffer:
            self._send(len(self._buffer))
        upload, parts = self._upload, {"Parts": self._parts}
        S3.complete_multipart_upload(**self._place, UploadId=upload, MultipartUpload=parts)
        self._upload = None
