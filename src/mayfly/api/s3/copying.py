"""Copies: of an object to a key, and of a range of one into a part. No byte passes a client.

What a copy keeps of its source is the directives' to say: metadata and tags, each COPY or REPLACE.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import unquote_to_bytes

from mayfly.api.message import Response
from mayfly.api.permits import require_grant
from mayfly.api.s3 import checksums
from mayfly.api.s3.address import require_bucket_name, require_key_length
from mayfly.api.s3.call import Call, HeaderList
from mayfly.api.s3.conditions import (
    NotModified,
    Span,
    copy_range,
    require_readable,
    write_conditions,
)
from mayfly.api.s3.documents import document, element, time_text, xml_answer
from mayfly.api.s3.facts import read_facts, version_headers
from mayfly.api.s3.multipart import algorithm_of, find_upload, part_number
from mayfly.api.s3.objects import checksum_elements
from mayfly.api.s3.payload import read_document
from mayfly.api.s3.refusals import (
    EntityTooLarge,
    InvalidArgument,
    InvalidRequest,
    PreconditionFailed,
)
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.reader import ObjectReader
from mayfly.stores.objects.record import (
    NULL_VERSION,
    STANDARD,
    ChangeKind,
    Checksum,
    Facts,
    ObjectMeta,
    Placement,
)
from mayfly.stores.objects.upload import BODY_BYTES_MAX

SOURCE = "x-amz-copy-source"
_COPY, _REPLACE = "COPY", "REPLACE"


async def copy_object(call: Call) -> Response:
    """CopyObject."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    conditions = write_conditions(call.headers)
    await read_document(call, bytes_max=0)
    async with _source(call) as reader:
        meta = reader.meta
        if meta.size > BODY_BYTES_MAX:
            raise EntityTooLarge(
                "The specified copy source is larger than the maximum allowable size for a copy "
                f"source: {BODY_BYTES_MAX}"
            )
        facts = _copied_facts(call, meta)
        facts = replace(facts, checksums=await _sums(call, reader))
        placement = Placement(call.bucket, call.key, facts, conditions, ChangeKind.COPY)
        placed = await call.store.copy(reader, placement, call.cause)
    body = document(
        "CopyObjectResult",
        element("LastModified", time_text(placed.modified_ms)),
        element("ETag", f'"{placed.etag}"'),
        checksum_elements(facts.checksums, kind=True),
    )
    return xml_answer(body, version_headers(placed.version_id) + _source_version(meta))


async def upload_part_copy(call: Call) -> Response:
    """UploadPartCopy."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    number = part_number(call)
    pending = find_upload(call)
    await read_document(call, bytes_max=0)
    algorithm = algorithm_of(pending)
    sum_ = checksums.start(algorithm)
    async with _source(call) as reader, call.store.open_upload([sum_]) as upload:
        meta = reader.meta
        wanted = call.headers.find(f"{SOURCE}-range")
        span = Span(0, meta.size) if wanted is None else copy_range(wanted, meta.size)
        async for chunk in reader.chunks(span.first, span.size):
            await upload.write(bytes(chunk))
        await upload.end()
        sums = (Checksum(algorithm, checksums.written(sum_.digest())),)
        part = await call.store.multipart.put_part(upload, pending, number, sums)
    body = document(
        "CopyPartResult",
        element("LastModified", time_text(part.modified_ms)),
        element("ETag", f'"{part.etag}"'),
        checksum_elements(sums, kind=False),
    )
    return xml_answer(body, _source_version(meta))


@asynccontextmanager
async def _source(call: Call) -> AsyncIterator[ObjectReader]:
    """The object to copy, when the caller may read it and its conditions hold."""
    bucket, key, version_id = read_source(call.headers.get(SOURCE))
    require_grant(call.principal, GrantKind.OBJECTS, f"{bucket}/{key}", "read")
    with await call.store.get(bucket, key, version_id) as reader:
        meta = reader.meta
        try:
            require_readable(
                call.headers, etag=meta.etag, modified_ms=meta.modified_ms, prefix=f"{SOURCE}-"
            )
        except NotModified:
            raise PreconditionFailed from None
        yield reader


def read_source(text: str) -> tuple[str, str, str]:
    """Bucket, key and version of "/bucket/key?versionId=...", percent-encoded.

    Raises:
        InvalidArgument: It names no object.
    """
    path, _, query = text.partition("?")
    try:
        source = unquote_to_bytes(path.encode("latin-1")).decode().removeprefix("/")
    except UnicodeDecodeError:
        source = ""
    bucket, _, key = source.partition("/")
    name, _, version_id = query.partition("=")
    if not bucket or not key or (query and name != "versionId"):
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName=SOURCE,
            ArgumentValue=text[:200],
        )
    require_bucket_name(bucket)
    require_key_length(key)
    return bucket, key, version_id


def _copied_facts(call: Call, meta: ObjectMeta) -> Facts:
    """What the copy says about itself; a copy onto itself has to change something."""
    said = read_facts(call.headers)
    metadata = _directive(call, "x-amz-metadata-directive")
    tagging = _directive(call, "x-amz-tagging-directive")
    facts = meta.facts
    if metadata == _REPLACE:
        facts = replace(facts, headers=said.headers, metadata=said.metadata)
    if tagging == _REPLACE:
        facts = replace(facts, tags=said.tags)
    given = call.headers.get("x-amz-storage-class")
    storage_class = given or STANDARD
    bucket, key, version_id = read_source(call.headers.get(SOURCE))
    onto_itself = (bucket, key) == (call.bucket, call.key) and not version_id
    changed = metadata == _REPLACE or storage_class != meta.facts.storage_class
    if onto_itself and not changed:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location or "
            "encryption attributes."
        )
    return replace(facts, storage_class=storage_class)


def _directive(call: Call, name: str) -> str:
    value = call.headers.get(name, _COPY).upper()
    if value not in (_COPY, _REPLACE):
        raise InvalidArgument(
            f"Unknown {name.removeprefix('x-amz-')}.", ArgumentName=name, ArgumentValue=value[:40]
        )
    return value


async def _sums(call: Call, reader: ObjectReader) -> tuple[Checksum, ...]:
    """The source's checksum, or one of the algorithm that is asked for."""
    wanted = call.headers.get("x-amz-checksum-algorithm").upper()
    kept = reader.meta.facts.checksums
    if not wanted or any(one.algorithm == wanted for one in kept):
        return kept
    if wanted not in checksums.LENGTHS:
        raise InvalidRequest("Checksum algorithm provided is unsupported.")
    sum_ = checksums.start(wanted)
    async for chunk in reader.chunks():
        await asyncio.to_thread(sum_.update, bytes(chunk))
    return (Checksum(wanted, checksums.written(sum_.digest())),)


def _source_version(meta: ObjectMeta) -> HeaderList:
    if meta.version_id == NULL_VERSION:
        return []
    return [(b"x-amz-copy-source-version-id", meta.version_id.encode())]
