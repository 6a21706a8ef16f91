"""One object: put, get, head, delete, what it is made of. The hot path; no model is read here.

A body is streamed into the store's upload and checked before the object is put in its place; a
download is handed back to be streamed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mayfly.api.message import Response
from mayfly.api.permits import require_grant
from mayfly.api.s3.call import Call, Download, HeaderList
from mayfly.api.s3.conditions import (
    NotModified,
    Span,
    delete_conditions,
    read_range,
    require_readable,
    write_conditions,
)
from mayfly.api.s3.documents import document, element, xml_answer
from mayfly.api.s3.facts import checksum_headers, fact_headers, read_facts, version_headers
from mayfly.api.s3.payload import Payload
from mayfly.api.s3.refusals import InvalidArgument, InvalidPartNumber, InvalidRequest
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.reader import ObjectReader
from mayfly.stores.objects.record import Checksum, Facts, ObjectMeta, Part, Placed, Placement

_PART_NUMBER_MAX = 10_000
_ATTRIBUTES = frozenset(("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"))


async def put_object(call: Call) -> Response:
    """PutObject."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    facts = read_facts(call.headers)
    conditions = write_conditions(call.headers)
    call.store.buckets.find_nowait(call.bucket)
    payload = Payload(call)
    async with call.store.open_upload(payload.hashes) as upload:
        await payload.pour(upload)
        await upload.end()
        facts = replace(facts, checksums=payload.check(upload.md5_hex))
        placement = Placement(call.bucket, call.key, facts, conditions)
        placed = await call.store.put(upload, placement, call.cause)
    return Response(200, put_headers(placed, facts))


def put_headers(placed: Placed, facts: Facts) -> HeaderList:
    """What a writer is told."""
    etag = (b"etag", b'"%b"' % placed.etag.encode())
    return [etag, *checksum_headers(facts), *version_headers(placed.version_id)]


async def get_object(call: Call) -> Response | Download:
    """GetObject."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "read")
    reader = await call.store.get(call.bucket, call.key, call.version_id)
    try:
        meta = reader.meta
        headers = _shown(call, meta)
        try:
            require_readable(call.headers, etag=meta.etag, modified_ms=meta.modified_ms)
        except NotModified:
            reader.close()
            return Response(304, headers)
        span, more = _span(call, meta, reader.parts)
    except BaseException:
        reader.close()
        raise
    first, size = span or Span(0, meta.size)
    status = 200 if span is None else 206
    return Download(status, [*headers, *more], reader, first, size)


async def head_object(call: Call) -> Response:
    """HeadObject."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "read")
    parts: Sequence[Part] = ()
    if "partNumber" in call.query:
        with await call.store.get(call.bucket, call.key, call.version_id) as reader:
            meta, parts = reader.meta, tuple(reader.parts)
    else:
        meta = call.store.head_nowait(call.bucket, call.key, call.version_id)
    headers = _shown(call, meta)
    try:
        require_readable(call.headers, etag=meta.etag, modified_ms=meta.modified_ms)
    except NotModified:
        return Response(304, headers)
    span, more = _span(call, meta, parts)
    length = (b"content-length", b"%d" % (meta.size if span is None else span.size))
    return Response(200 if span is None else 206, [*headers, *more, length], is_head=True)


def _shown(call: Call, meta: ObjectMeta) -> HeaderList:
    headers = fact_headers(meta, call.query)
    if meta.version_id != "null" or call.store.buckets.find_nowait(call.bucket).settings.versioning:
        headers += version_headers(meta.version_id)
    return headers


def _span(call: Call, meta: ObjectMeta, parts: Sequence[Part]) -> tuple[Span | None, HeaderList]:
    """The bytes that are asked for, by range or by part, and the headers that say so."""
    wanted = call.headers.find("range")
    span = None
    more: HeaderList = []
    if "partNumber" in call.query:
        if wanted is not None:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        span = _part_span(call, meta, parts)
        if meta.parts_count:
            more.append((b"x-amz-mp-parts-count", b"%d" % meta.parts_count))
    elif wanted is not None:
        span = read_range(wanted, meta.size)
    if span is None:
        # A checksum is of the whole: beside a part of it, it would only look wrong.
        if call.headers.find("x-amz-checksum-mode") is not None:
            more += checksum_headers(meta.facts)
        return None, more
    last = max(span.first + span.size - 1, 0)
    more.append((b"content-range", b"bytes %d-%d/%d" % (span.first, last, meta.size)))
    return span, more


def _part_span(call: Call, meta: ObjectMeta, parts: Sequence[Part]) -> Span:
    number = call.number("partNumber", 0)
    if not 1 <= number <= _PART_NUMBER_MAX:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
        )
    if not meta.parts_count and number == 1:
        return Span(0, meta.size)
    if number > len(parts):
        raise InvalidPartNumber(
            PartNumberRequested=str(number), ActualPartCount=str(max(len(parts), 1))
        )
    return Span(sum(one.size for one in parts[: number - 1]), parts[number - 1].size)


async def delete_object(call: Call) -> Response:
    """DeleteObject."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    deleted = await call.store.delete(
        call.bucket,
        call.key,
        call.cause,
        version_id=call.version_id,
        conditions=delete_conditions(call.headers),
    )
    headers = version_headers(deleted.version_id)
    if deleted.is_marker:
        headers.append((b"x-amz-delete-marker", b"true"))
    return Response(204, headers)


async def get_object_attributes(call: Call) -> Response:
    """GetObjectAttributes."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "read")
    asked = {one.strip() for one in call.headers.get("x-amz-object-attributes").split(",")}
    if not asked <= _ATTRIBUTES:
        raise InvalidArgument("Invalid attribute name specified.")
    with await call.store.get(call.bucket, call.key, call.version_id) as reader:
        meta = reader.meta
        parts = [
            element("ETag", meta.etag) if "ETag" in asked else "",
            _checksum(meta) if "Checksum" in asked else "",
            _object_parts(call, reader) if "ObjectParts" in asked and meta.parts_count else "",
            element("StorageClass", meta.facts.storage_class) if "StorageClass" in asked else "",
            element("ObjectSize", str(meta.size)) if "ObjectSize" in asked else "",
        ]
    modified = [one for one in fact_headers(meta, {}) if one[0] == b"last-modified"]
    versions = version_headers(meta.version_id if meta.version_id != "null" else "")
    return xml_answer(document("GetObjectAttributesResponse", *parts), [*modified, *versions])


def checksum_elements(sums: tuple[Checksum, ...], *, kind: bool) -> str:
    """A checksum in a document.

    Args:
        kind: Whether its type is told as well.
    """
    return "".join(
        element(f"Checksum{one.algorithm}", one.value)
        + (element("ChecksumType", one.kind) if kind else "")
        for one in sums[:1]
    )


def _checksum(meta: ObjectMeta) -> str:
    if not meta.facts.checksums:
        return ""
    return f"<Checksum>{checksum_elements(meta.facts.checksums, kind=True)}</Checksum>"


def _object_parts(call: Call, reader: ObjectReader) -> str:
    """The parts, a page of them; each is shown only where it has a checksum, as S3 does."""
    headers = call.headers
    after = _count(headers.get("x-amz-part-number-marker", "0"))
    page_max = min(_count(headers.get("x-amz-max-parts", "1000")), 1_000)
    rest = [one for one in reader.parts if one.number > after]
    page = rest[:page_max]
    shown = "".join(
        "<Part>"
        + element("PartNumber", str(one.number))
        + element("Size", str(one.size))
        + checksum_elements(one.checksums, kind=False)
        + "</Part>"
        for one in page
        if one.checksums
    )
    return (
        "<ObjectParts>"
        + element("PartsCount", str(reader.meta.parts_count))
        + element("PartNumberMarker", str(after))
        + (element("NextPartNumberMarker", str(page[-1].number)) if page else "")
        + element("MaxParts", str(page_max))
        + element("IsTruncated", "true" if len(rest) > len(page) else "false")
        + shown
        + "</ObjectParts>"
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidArgument("A number of parts was expected", ArgumentValue=text[:40])
    return int(text)
