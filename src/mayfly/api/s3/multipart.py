"""Uploads in parts: begun, filled part by part, completed into one object, or aborted.

Each part gets a checksum, whether its sender states one or not; the object's is made of the parts'
without reading them again.

Source: "Uploading and copying objects using multipart upload", Amazon S3 User Guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mayfly.api.message import Response
from mayfly.api.permits import require_grant
from mayfly.api.refusals import MalformedRequest
from mayfly.api.s3 import checksums
from mayfly.api.s3.buckets import OWNER
from mayfly.api.s3.call import Call
from mayfly.api.s3.conditions import unquoted, write_conditions
from mayfly.api.s3.documents import document, element, time_text, xml_answer
from mayfly.api.s3.facts import checksum_headers, read_facts, version_headers
from mayfly.api.s3.objects import checksum_elements
from mayfly.api.s3.payload import Payload, read_document
from mayfly.api.s3.refusals import BadDigest, InvalidArgument, InvalidRequest, MalformedXml
from mayfly.api.wire.xml_body import parse_xml
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.record import (
    ChangeKind,
    Checksum,
    Facts,
    MultipartUpload,
    Part,
    PartClaim,
    Placement,
)

PART_NUMBER_MAX = 10_000
_CLAIMS_BYTES_MAX = 8 * 1024 * 1024
_PAGE_MAX = 1_000


async def create_multipart_upload(call: Call) -> Response:
    """CreateMultipartUpload."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    facts = read_facts(call.headers)
    algorithm = call.headers.get("x-amz-checksum-algorithm").upper()
    kind = call.headers.get("x-amz-checksum-type").upper()
    if algorithm and algorithm not in checksums.LENGTHS:
        raise InvalidRequest(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            "types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )
    if kind and not algorithm:
        raise InvalidRequest(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
            "header."
        )
    if algorithm:
        kind = kind or checksums.usual_type(algorithm)
        checksums.require_type(algorithm, kind)
    upload = await call.store.multipart.create(
        Placement(call.bucket, call.key, facts, kind=ChangeKind.COMPLETE),
        checksum_algorithm=algorithm,
        checksum_kind=kind,
        initiator=call.principal.access_key_id,
    )
    headers = []
    if algorithm:
        headers = [
            (b"x-amz-checksum-algorithm", algorithm.encode()),
            (b"x-amz-checksum-type", kind.encode()),
        ]
    return xml_answer(
        document(
            "InitiateMultipartUploadResult",
            element("Bucket", call.bucket),
            element("Key", call.key),
            element("UploadId", upload.upload_id),
        ),
        headers,
    )


async def upload_part(call: Call) -> Response:
    """UploadPart."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    number = part_number(call)
    pending = find_upload(call)
    payload = Payload(call, algorithm=algorithm_of(pending))
    if pending.checksum_algorithm not in ("", payload.algorithm):
        raise InvalidRequest(
            "Checksum Type mismatch occurred, expected checksum Type: "
            f"{pending.checksum_algorithm.lower()}, actual checksum Type: "
            f"{payload.algorithm.lower()}"
        )
    async with call.store.open_upload(payload.hashes) as upload:
        await payload.pour(upload)
        await upload.end()
        sums = payload.check(upload.md5_hex)
        part = await call.store.multipart.put_part(upload, pending, number, sums)
    etag = (b"etag", b'"%b"' % part.etag.encode())
    return Response(200, [etag, *checksum_headers(Facts(checksums=sums))[:1]])


async def complete_multipart_upload(call: Call) -> Response:
    """CompleteMultipartUpload."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    conditions = write_conditions(call.headers)
    # Its checksum header is the object's, not the document's.
    promise = checksums.read_promise(call.headers)
    body = await read_document(call, bytes_max=_CLAIMS_BYTES_MAX, summed=False)
    claims = _read_claims(body)
    pending = find_upload(call)
    parts = await _parts(call)
    sums = _combined(pending, claims, parts, call.headers.get("x-amz-checksum-type").upper())
    if promise.value:
        _require_stated(promise, sums)
    placed = await call.store.multipart.complete(
        pending,
        claims,
        call.cause,
        checksums=sums,
        conditions=conditions,
        size=_stated_size(call),
    )
    return xml_answer(
        document(
            "CompleteMultipartUploadResult",
            element("Location", f"{call.room.endpoint}/{call.bucket}/{call.key}"),
            element("Bucket", call.bucket),
            element("Key", call.key),
            element("ETag", f'"{placed.etag}"'),
            checksum_elements(sums, kind=True),
        ),
        version_headers(placed.version_id),
    )


async def abort_multipart_upload(call: Call) -> Response:
    """AbortMultipartUpload."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    await call.store.multipart.abort(call.bucket, call.key, call.query["uploadId"])
    return Response(204)


async def list_parts(call: Call) -> Response:
    """ListParts."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    after = call.number("part-number-marker", 0)
    count_max = call.number("max-parts", _PAGE_MAX, maximum=_PAGE_MAX)
    page = await call.store.multipart.list_parts(
        call.bucket, call.key, call.query["uploadId"], after=after, count_max=max(count_max, 1)
    )
    upload = page.upload
    return xml_answer(
        document(
            "ListPartsResult",
            element("Bucket", call.bucket),
            element("Key", call.key),
            element("UploadId", upload.upload_id),
            f"<Initiator>{OWNER}</Initiator><Owner>{OWNER}</Owner>",
            element("StorageClass", upload.facts.storage_class),
            element("PartNumberMarker", str(after)),
            element("NextPartNumberMarker", str(page.next_after)) if page.next_after else "",
            element("MaxParts", str(count_max)),
            element("IsTruncated", "true" if page.next_after else "false"),
            element("ChecksumAlgorithm", upload.checksum_algorithm)
            if upload.checksum_algorithm
            else "",
            element("ChecksumType", upload.checksum_kind) if upload.checksum_kind else "",
            "".join(
                f"<Part>{element('PartNumber', str(one.number))}"
                f"{element('LastModified', time_text(one.modified_ms))}"
                f"{element('ETag', chr(34) + one.etag + chr(34))}"
                f"{element('Size', str(one.size))}"
                f"{checksum_elements(one.checksums, kind=False)}</Part>"
                for one in page.parts
            ),
        )
    )


def part_number(call: Call) -> int:
    """The part's number.

    Raises:
        InvalidArgument: It is none, or out of bounds.
    """
    number = call.number("partNumber", 0)
    if not 1 <= number <= PART_NUMBER_MAX:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=call.query.get("partNumber", "")[:40],
        )
    return number


def find_upload(call: Call) -> MultipartUpload:
    """The upload that the request names. Raises the store's NoSuchUpload."""
    return call.store.multipart.find_nowait(call.bucket, call.key, call.query["uploadId"])


def algorithm_of(pending: MultipartUpload) -> str:
    """What each part's checksum is computed with."""
    return pending.checksum_algorithm or checksums.DEFAULT


async def _parts(call: Call) -> dict[int, Part]:
    """All parts of the upload by number."""
    found: dict[int, Part] = {}
    after = 0
    while True:
        page = await call.store.multipart.list_parts(
            call.bucket, call.key, call.query["uploadId"], after=after, count_max=PART_NUMBER_MAX
        )
        found.update((one.number, one) for one in page.parts)
        after = page.next_after
        if not after:
            return found


def _read_claims(body: bytes) -> list[PartClaim]:
    try:
        root = parse_xml(body)
    except MalformedRequest as error:
        raise MalformedXml from error
    if root.tag != "CompleteMultipartUpload":
        raise MalformedXml
    claims = [_claim(one) for one in root if one.tag == "Part"]
    if not 0 < len(claims) <= PART_NUMBER_MAX:
        raise MalformedXml
    return claims


def _claim(part: Element) -> PartClaim:
    number, etag = part.findtext("PartNumber", "").strip(), part.findtext("ETag", "")
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise MalformedXml
    sums = tuple(
        Checksum(algorithm, value.strip())
        for algorithm in checksums.LENGTHS
        if (value := part.findtext(f"Checksum{algorithm}"))
    )
    return PartClaim(int(number), unquoted(etag), sums)


def _combined(
    pending: MultipartUpload, claims: Sequence[PartClaim], parts: dict[int, Part], kind: str
) -> tuple[Checksum, ...]:
    """The object's checksum, of its parts'; none where a part lacks one of the upload's kind."""
    algorithm = algorithm_of(pending)
    kind = pending.checksum_kind or kind or checksums.usual_type(algorithm)
    checksums.require_type(algorithm, kind)
    sums: list[tuple[bytes, int]] = []
    for claim in claims:
        part = parts.get(claim.number)
        own = [one for one in part.checksums if one.algorithm == algorithm] if part else []
        if part is None or not own:
            return ()
        sums.append((checksums.require_value(algorithm, own[0].value), part.size))
    return (Checksum(algorithm, checksums.combine(algorithm, kind, sums), kind),)


def _require_stated(promise: checksums.Promise, sums: tuple[Checksum, ...]) -> None:
    stated = [one for one in sums if one.algorithm == promise.algorithm]
    if not stated or stated[0].value.partition("-")[0] != promise.value.partition("-")[0]:
        raise BadDigest(
            f"The {promise.algorithm} you specified did not match the calculated checksum."
        )


def _stated_size(call: Call) -> int | None:
    text = call.headers.get("x-amz-mp-object-size")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidArgument("x-amz-mp-object-size is no size", ArgumentValue=text[:40])
    return int(text)
