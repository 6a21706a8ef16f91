"""Buckets: made, looked for, deleted, listed.

There is one region and one owner. Making and removing is the owner's; a function that was granted
anything in a bucket may ask whether it is there.
"""

from __future__ import annotations

from mayfly.api.message import Response
from mayfly.api.permits import require_grant, require_owner
from mayfly.api.s3.call import Call
from mayfly.api.s3.documents import document, element, read_as, time_text, xml_answer
from mayfly.api.s3.facts import require_honoured
from mayfly.api.s3.payload import read_document
from mayfly.api.s3.refusals import InvalidArgument, S3Error
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.grant import GrantKind

DOCUMENT_BYTES_MAX = 64 * 1024
_PAGE_MAX = 10_000
# A private bucket's owner, as the documents name one.
OWNER = element("ID", ACCOUNT_ID) + element("DisplayName", "mayfly")


class IllegalLocationConstraint(S3Error):
    """A bucket in another region than the only one that there is."""

    code = "IllegalLocationConstraintException"
    usual = "The location constraint is not valid: the only region here is us-east-1"


async def create_bucket(call: Call) -> Response:
    """CreateBucket."""
    require_owner(call.principal, "s3:CreateBucket")
    for name, value in call.headers.items():
        require_honoured(name, value)
    body = await read_document(call, bytes_max=DOCUMENT_BYTES_MAX)
    if body:
        read = read_as("CreateBucketConfiguration", body)
        if read.text("LocationConstraint", REGION) not in (REGION, "", "US"):
            raise IllegalLocationConstraint
    await call.store.buckets.create(call.bucket)
    return Response(200, [(b"location", f"/{call.bucket}".encode())])


async def head_bucket(call: Call) -> Response:
    """HeadBucket."""
    require_some_grant(call)
    call.store.buckets.find_nowait(call.bucket)
    region = (b"x-amz-bucket-region", REGION.encode())
    return Response(200, [region, (b"content-type", b"application/xml")])


async def delete_bucket(call: Call) -> Response:
    """DeleteBucket."""
    require_owner(call.principal, "s3:DeleteBucket")
    await call.store.buckets.delete(call.bucket)
    return Response(204)


async def get_bucket_location(call: Call) -> Response:
    """GetBucketLocation: us-east-1 is written as nothing."""
    require_some_grant(call)
    call.store.buckets.find_nowait(call.bucket)
    return xml_answer(document("LocationConstraint"))


async def list_buckets(call: Call) -> Response:
    """ListBuckets, a page of them by name."""
    require_owner(call.principal, "s3:ListAllMyBuckets")
    query = call.query
    prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
    count_max = call.number("max-buckets", _PAGE_MAX, maximum=_PAGE_MAX)
    if not count_max:
        raise InvalidArgument("max-buckets must be 1 to 10000", ArgumentName="max-buckets")
    found = [
        one
        for one in call.store.buckets.list_nowait()
        if one.name > after and one.name.startswith(prefix)
    ]
    page = found[:count_max]
    entries = "".join(
        "<Bucket>"
        + element("Name", one.name)
        + element("CreationDate", time_text(one.created_ms))
        + (element("BucketRegion", REGION) if "max-buckets" in query else "")
        + "</Bucket>"
        for one in page
    )
    return xml_answer(
        document(
            "ListAllMyBucketsResult",
            f"<Owner>{OWNER}</Owner><Buckets>{entries}</Buckets>",
            element("ContinuationToken", page[-1].name) if len(found) > len(page) else "",
            element("Prefix", prefix) if prefix else "",
        )
    )


def require_some_grant(call: Call) -> None:
    """Refuse to a function a bucket in which it may do nothing at all.

    Raises:
        AccessDenied: It names the bucket.
    """
    grants = call.principal.grants
    if grants is None or any(
        one.kind is GrantKind.OBJECTS and one.target.partition("/")[0] == call.bucket
        for one in grants
    ):
        return
    require_grant(call.principal, GrantKind.OBJECTS, call.bucket, "read")
