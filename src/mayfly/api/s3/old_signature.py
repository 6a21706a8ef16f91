"""Signature Version 2 in a query or a form: what boto3 still makes of `generate_presigned_url`.

    ?AWSAccessKeyId=<key>&Expires=<Unix seconds>&Signature=<base64 HMAC-SHA1>

    text to sign   lines: METHOD, Content-MD5, Content-Type, Expires, x-amz- headers, /bucket/key?

Only presigned URLs and forms may use it. Of the query it covers the names that make another
operation of a request; S3 leaves those out that it has added since, and this does not.

Source: "Signing and authenticating REST requests (AWS signature version 2)", Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
import contextlib
import hmac

from mayfly.api.exchange import Exchange
from mayfly.api.keys import Credential, Keys
from mayfly.api.message import Principal
from mayfly.api.s3.call import Query, read_query
from mayfly.api.s3.refusals import AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch
from mayfly.api.s3.selectors import SELECTORS
from mayfly.model.function import REGION

_TOKEN = "x-amz-security-token"  # noqa: S105  a header's name
# Two of them read what the plain operation reads, and clients do not sign them.
_COVERED = (SELECTORS - {"list-type", "attributes"}) | {
    *("defaultObjectAcl", "partNumber", "versionId", "storageClass", "select-type"),
    *("response-content-type", "response-content-language", "response-expires"),
    *("response-cache-control", "response-content-disposition", "response-content-encoding"),
}


def is_old_query(query: str) -> bool:
    """Whether a query has a signature of this version."""
    return "AWSAccessKeyId=" in query and "Signature=" in query


def authenticate_old(exchange: Exchange, keys: Keys, *, bucket: str, now_ms: float) -> Principal:
    """Who presigned the URL.

    Args:
        bucket: The bucket that the host names, or "" where the path does.

    Raises:
        AccessDenied: It has expired.
        InvalidAccessKeyId, SignatureDoesNotMatch.
    """
    query = read_query(exchange.query_string)
    expires = query.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        raise AccessDenied("Invalid date (should be seconds since epoch)")
    if int(expires) * 1_000 < now_ms:
        raise AccessDenied("Request has expired", Expires=expires)
    credential = _credential(keys, query.get("AWSAccessKeyId", ""), query.get(_TOKEN, ""))
    path = exchange.raw_path.decode("latin-1")
    signature = query.get("Signature", "")
    if not bucket and path.count("/") == 1:
        # SDKs sign a bucket with a slash behind it, and ask for it without one.
        with contextlib.suppress(SignatureDoesNotMatch):
            _require(credential, _text(exchange, query, f"{path}/"), signature)
            return principal_of(credential)
    _require(credential, _text(exchange, query, f"/{bucket}{path}" if bucket else path), signature)
    return principal_of(credential)


def sign_form(keys: Keys, *, key_id: str, token: str, policy: str, signature: str) -> Principal:
    """Who signed a form's policy.

    Raises:
        InvalidAccessKeyId, SignatureDoesNotMatch.
    """
    credential = _credential(keys, key_id, token)
    _require(credential, policy, signature)
    return principal_of(credential)


def principal_of(credential: Credential) -> Principal:
    """Whom a key stands for, in S3."""
    return credential.principal("s3", REGION)


def _credential(keys: Keys, key_id: str, token: str) -> Credential:
    credential = keys.find(key_id)
    if credential is None:
        raise InvalidAccessKeyId
    known = credential.session_token
    if known and not hmac.compare_digest(known.encode(), token.encode()):
        raise InvalidAccessKeyId
    return credential


def _require(credential: Credential, text: str, signature: str) -> None:
    digest = hmac.digest(credential.secret_access_key.encode(), text.encode("latin-1"), "sha1")
    if not hmac.compare_digest(base64.b64encode(digest), signature.encode("utf-8", "replace")):
        raise SignatureDoesNotMatch


def _text(exchange: Exchange, query: Query, resource: str) -> str:
    headers = exchange.headers
    amz = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
    if _TOKEN in query:
        amz[_TOKEN] = query[_TOKEN]
    covered = sorted(_COVERED & query.keys())
    pairs = [f"{name}={query[name]}" if query[name] else name for name in covered]
    if pairs:
        resource += f"?{'&'.join(pairs)}"
    lines = [
        exchange.method,
        headers.get("content-md5"),
        headers.get("content-type"),
        query["Expires"],
        *(f"{name}:{amz[name]}" for name in sorted(amz)),
        resource,
    ]
    return "\n".join(lines)
