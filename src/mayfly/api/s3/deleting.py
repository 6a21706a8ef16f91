"""DeleteObjects: up to a thousand keys in one request and one transaction.

Each key has an outcome of its own: a key that may not be deleted, or whose condition does not hold,
is named as an error beside the others that are gone.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from mayfly.api.message import Principal, Response
from mayfly.api.permits import AccessDenied, require_grant
from mayfly.api.refusals import MalformedRequest
from mayfly.api.s3.address import require_key_length
from mayfly.api.s3.call import Call
from mayfly.api.s3.conditions import unquoted
from mayfly.api.s3.documents import document, element, xml_answer
from mayfly.api.s3.payload import read_document
from mayfly.api.s3.refusals import MalformedXml, in_s3_words
from mayfly.api.wire.xml_body import parse_xml
from mayfly.model.errors import MayflyError
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.record import ALWAYS, Conditions, Deleted, DeleteTarget

KEYS_MAX = 1_000
_BODY_BYTES_MAX = 4 * 1024 * 1024


async def delete_objects(call: Call) -> Response:
    """DeleteObjects: each key has an outcome of its own."""
    root = _root(await read_document(call, bytes_max=_BODY_BYTES_MAX))
    targets = [_target(one) for one in root if one.tag == "Object"]
    if not 0 < len(targets) <= KEYS_MAX:
        raise MalformedXml
    quiet = root.findtext("Quiet", "").strip().lower() == "true"
    refused = {
        one.key: why for one in targets if (why := _refusal(call.principal, call.bucket, one))
    }
    allowed = [one for one in targets if one.key not in refused]
    # Who may delete none of them does not learn whether there is such a bucket.
    done = iter(await call.store.delete_many(call.bucket, allowed, call.cause) if allowed else ())
    parts = []
    for target in targets:
        outcome = refused.get(target.key) or next(done)
        if isinstance(outcome, MayflyError):
            parts.append(_failed(target, outcome))
        elif not quiet:
            parts.append(_deleted(target, outcome))
    return xml_answer(document("DeleteResult", *parts))


def _root(body: bytes) -> Element:
    try:
        root = parse_xml(body)
    except MalformedRequest as error:
        raise MalformedXml from error
    if root.tag != "Delete":
        raise MalformedXml
    return root


def _target(one: Element) -> DeleteTarget:
    key = one.findtext("Key", "")
    if not key:
        raise MalformedXml
    require_key_length(key)
    etag, size = one.findtext("ETag", ""), one.findtext("Size", "").strip()
    conditions = ALWAYS
    if etag or size:
        if size and not (size.isascii() and size.isdigit() and len(size) <= 15):
            raise MalformedXml
        conditions = Conditions(if_match=unquoted(etag), if_size=int(size) if size else None)
    version_id = one.findtext("VersionId", "").strip()
    return DeleteTarget(key, version_id, conditions)


def _refusal(principal: Principal, bucket: str, target: DeleteTarget) -> MayflyError | None:
    try:
        require_grant(principal, GrantKind.OBJECTS, f"{bucket}/{target.key}", "write")
    except AccessDenied as error:
        return error
    return None


def _failed(target: DeleteTarget, error: MayflyError) -> str:
    code, message = in_s3_words(error)
    version = element("VersionId", target.version_id) if target.version_id else ""
    return (
        f"<Error>{element('Key', target.key)}{version}{element('Code', code)}"
        f"{element('Message', message)}</Error>"
    )


def _deleted(target: DeleteTarget, outcome: Deleted) -> str:
    parts = [element("Key", target.key)]
    if target.version_id:
        parts.append(element("VersionId", target.version_id))
    if outcome.is_marker:
        parts.append(element("DeleteMarker", "true"))
        parts.append(element("DeleteMarkerVersionId", outcome.version_id))
    return f"<Deleted>{''.join(parts)}</Deleted>"
