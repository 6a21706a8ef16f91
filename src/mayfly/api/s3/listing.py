"""Listings: keys (v1 and v2), versions, uploads under way; written by hand, a page at a time.

Keys are ordered by their bytes. With `encoding-type=url` each key, prefix, delimiter and marker is
percent-encoded, so that any key survives XML. A token is opaque to clients: here it is the last
key, in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import quote

from mayfly.api.message import Response
from mayfly.api.permits import require_grant
from mayfly.api.s3.buckets import OWNER
from mayfly.api.s3.call import Call
from mayfly.api.s3.documents import document, element, time_text, xml_answer
from mayfly.api.s3.refusals import InvalidArgument
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.record import MultipartUpload, ObjectMeta, ObjectPage, Query

PAGE_MAX = 1_000
_OWNER = f"<Owner>{OWNER}</Owner>"
_INITIATOR = f"<Initiator>{OWNER}</Initiator>"


class _Writer:
    """Names in the encoding that the request asks for."""

    def __init__(self, call: Call) -> None:
        encoding = call.query.get("encoding-type", "")
        if encoding not in ("", "url"):
            raise InvalidArgument(
                "Invalid Encoding Method specified in Request",
                ArgumentName="encoding-type",
                ArgumentValue=encoding[:40],
            )
        self._encoded = bool(encoding)
        self.said = element("EncodingType", encoding) if encoding else ""

    def name(self, tag: str, text: str) -> str:
        """A key or a part of one."""
        return element(tag, quote(text, safe="/*-._") if self._encoded else text)

    def asked(self, tag: str, text: str) -> str:
        """A part of a key that the request named, or nothing."""
        return self.name(tag, text) if text else ""

    def prefixes(self, prefixes: Sequence[str]) -> str:
        """Common prefixes."""
        return "".join(
            f"<CommonPrefixes>{self.name('Prefix', one)}</CommonPrefixes>" for one in prefixes
        )


async def list_objects_v2(call: Call) -> Response:
    """ListObjectsV2."""
    query, writer = call.query, _Writer(call)
    token, start = query.get("continuation-token"), query.get("start-after", "")
    asked = _query(call, start if token is None else _key_of(token), count_name="max-keys")
    page = await _page(call, asked)
    owner = _OWNER if query.get("fetch-owner", "").lower() == "true" else ""
    following = _token(page.next_after) if page.next_after else ""
    return xml_answer(
        document(
            "ListBucketResult",
            element("Name", call.bucket),
            writer.name("Prefix", asked.prefix),
            writer.asked("StartAfter", start),
            element("ContinuationToken", token) if token is not None else "",
            element("NextContinuationToken", following) if following else "",
            element("KeyCount", str(len(page.objects) + len(page.prefixes))),
            _frame(writer, asked, truncated=bool(following)),
            "".join(_entry(writer, one, owner) for one in page.objects),
            writer.prefixes(page.prefixes),
        )
    )


async def list_objects(call: Call) -> Response:
    """ListObjects, the first version."""
    writer = _Writer(call)
    marker = call.query.get("marker", "")
    asked = _query(call, marker, count_name="max-keys")
    page = await _page(call, asked)
    # S3 names the next marker only where there is a delimiter; more never harms.
    following = page.next_after
    return xml_answer(
        document(
            "ListBucketResult",
            element("Name", call.bucket),
            writer.name("Prefix", asked.prefix),
            writer.name("Marker", marker),
            writer.asked("NextMarker", following),
            _frame(writer, asked, truncated=bool(following)),
            "".join(_entry(writer, one, _OWNER) for one in page.objects),
            writer.prefixes(page.prefixes),
        )
    )


async def list_object_versions(call: Call) -> Response:
    """ListObjectVersions."""
    writer = _Writer(call)
    marker, version = call.query.get("key-marker", ""), call.query.get("version-id-marker", "")
    if version and not marker:
        raise InvalidArgument("A version-id marker cannot be specified without a key marker.")
    asked = _query(call, marker, count_name="max-keys", after_id=version)
    _require_list(call, asked)
    page = await call.store.list_versions(asked) if asked.count_max else ObjectPage((), ())
    return xml_answer(
        document(
            "ListVersionsResult",
            element("Name", call.bucket),
            writer.name("Prefix", asked.prefix),
            writer.name("KeyMarker", marker),
            element("VersionIdMarker", version),
            writer.asked("NextKeyMarker", page.next_after),
            element("NextVersionIdMarker", page.next_after_id) if page.next_after_id else "",
            _frame(writer, asked, truncated=bool(page.next_after)),
            "".join(_version(writer, one) for one in page.objects),
            writer.prefixes(page.prefixes),
        )
    )


async def list_multipart_uploads(call: Call) -> Response:
    """ListMultipartUploads."""
    writer = _Writer(call)
    marker, upload = call.query.get("key-marker", ""), call.query.get("upload-id-marker", "")
    asked = _query(call, marker, count_name="max-uploads", after_id=upload if marker else "")
    _require_list(call, asked)
    page = await call.store.multipart.list_uploads(asked)
    return xml_answer(
        document(
            "ListMultipartUploadsResult",
            element("Bucket", call.bucket),
            writer.name("KeyMarker", marker),
            element("UploadIdMarker", upload),
            writer.asked("NextKeyMarker", page.next_after),
            element("NextUploadIdMarker", page.next_after_id) if page.next_after_id else "",
            writer.name("Prefix", asked.prefix),
            writer.asked("Delimiter", asked.delimiter),
            writer.said,
            element("MaxUploads", str(asked.count_max)),
            element("IsTruncated", "true" if page.next_after else "false"),
            "".join(_upload(writer, one) for one in page.uploads),
            writer.prefixes(page.prefixes),
        )
    )


async def _page(call: Call, asked: Query) -> ObjectPage:
    _require_list(call, asked)
    if not asked.count_max:
        call.store.buckets.find_nowait(call.bucket)
        return ObjectPage((), ())
    return await call.store.list_objects(asked)


def _require_list(call: Call, asked: Query) -> None:
    require_grant(call.principal, GrantKind.OBJECTS, f"{call.bucket}/{asked.prefix}", "read")


def _query(call: Call, after: str, *, count_name: str, after_id: str = "") -> Query:
    return Query(
        bucket=call.bucket,
        prefix=call.query.get("prefix", ""),
        delimiter=call.query.get("delimiter", ""),
        after=after,
        after_id=after_id,
        count_max=call.number(count_name, PAGE_MAX, maximum=PAGE_MAX),
    )


def _frame(writer: _Writer, asked: Query, *, truncated: bool) -> str:
    return (
        element("MaxKeys", str(asked.count_max))
        + writer.asked("Delimiter", asked.delimiter)
        + writer.said
        + element("IsTruncated", "true" if truncated else "false")
    )


def _entry(writer: _Writer, one: ObjectMeta, owner: str) -> str:
    return (
        f"<Contents>{writer.name('Key', one.key)}"
        f"<LastModified>{time_text(one.modified_ms)}</LastModified>"
        f"<ETag>&quot;{one.etag}&quot;</ETag>{_checksum(one)}<Size>{one.size}</Size>{owner}"
        f"<StorageClass>{one.facts.storage_class}</StorageClass></Contents>"
    )


def _version(writer: _Writer, one: ObjectMeta) -> str:
    told = (
        f"{writer.name('Key', one.key)}{element('VersionId', one.version_id)}"
        f"<IsLatest>{'true' if one.is_latest else 'false'}</IsLatest>"
        f"<LastModified>{time_text(one.modified_ms)}</LastModified>"
    )
    if one.is_marker:
        return f"<DeleteMarker>{told}{_OWNER}</DeleteMarker>"
    return (
        f"<Version>{told}<ETag>&quot;{one.etag}&quot;</ETag>{_checksum(one)}"
        f"<Size>{one.size}</Size>{_OWNER}"
        f"<StorageClass>{one.facts.storage_class}</StorageClass></Version>"
    )


def _checksum(one: ObjectMeta) -> str:
    return "".join(
        f"<ChecksumAlgorithm>{sum_.algorithm}</ChecksumAlgorithm>"
        f"<ChecksumType>{sum_.kind}</ChecksumType>"
        for sum_ in one.facts.checksums[:1]
    )


def _upload(writer: _Writer, one: MultipartUpload) -> str:
    return (
        f"<Upload>{writer.name('Key', one.key)}{element('UploadId', one.upload_id)}{_INITIATOR}"
        f"{_OWNER}<StorageClass>{one.facts.storage_class}</StorageClass>"
        f"<Initiated>{time_text(one.started_ms)}</Initiated>"
        + (element("ChecksumAlgorithm", one.checksum_algorithm) if one.checksum_algorithm else "")
        + (element("ChecksumType", one.checksum_kind) if one.checksum_kind else "")
        + "</Upload>"
    )


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode("ascii")


def _key_of(token: str) -> str:
    try:
        # b64decode without `validate` would skip over what it does not know.
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from error
