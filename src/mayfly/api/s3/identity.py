"""Who signed an S3 request, checked before a byte of its body is taken in.

S3's signature covers a digest that the request states, not the body itself: it is checked first,
and whoever takes the body in holds it to that digest. Every x-amz- header must be signed, or
whoever finds a presigned URL could turn an upload into a copy.

Source: "Authenticating requests (AWS Signature Version 4)", Amazon S3 API Reference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn
from urllib.parse import unquote

from mayfly.api.auth import verify
from mayfly.api.exchange import Exchange
from mayfly.api.keys import Keys
from mayfly.api.message import Principal
from mayfly.api.refusals import (
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)
from mayfly.api.s3.chunked import ChunkSignatures
from mayfly.api.s3.old_signature import authenticate_old, is_old_query
from mayfly.api.s3.refusals import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidAccessKeyId,
    InvalidRequest,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from mayfly.model.errors import MayflyError
from mayfly.model.function import ACCOUNT_ID

_DIGEST = "x-amz-content-sha256"
_SERVICE = "s3"


def authenticate(
    exchange: Exchange, keys: Keys, now_ms: float, *, host_bucket: str = ""
) -> Principal:
    """Who signed it.

    Args:
        host_bucket: The bucket that the host names, or "" where the path does.

    Raises:
        S3Error: Nobody, or not rightly.
    """
    headers = exchange.headers
    authorization = headers.find("authorization")
    query = exchange.query_string
    if authorization is None:
        if is_old_query(query):
            return authenticate_old(exchange, keys, bucket=host_bucket, now_ms=now_ms)
        signed = _signed_in_query(query)
    else:
        if not authorization.startswith("AWS4-"):
            raise InvalidRequest(
                "The authorization mechanism you have provided is not supported. "
                "Please use AWS4-HMAC-SHA256."
            )
        if headers.find(_DIGEST) is None:
            raise InvalidRequest(f"Missing required header for this request: {_DIGEST}")
        signed = _signed_in_header(authorization)
    for name in headers:
        if name.startswith("x-amz-") and name not in signed:
            raise AccessDenied(
                "There were headers present in the request which were not signed",
                HeadersNotSigned=name,
            )
    try:
        principal = verify(
            keys,
            method=exchange.method,
            raw_path=exchange.raw_path.decode("latin-1"),
            query_string=query,
            headers=headers,
            body=b"",
            body_sha256=headers.get(_DIGEST),
            now_ms=now_ms,
        )
    except MayflyError as error:
        _refuse(error, presigned=authorization is None)
    if principal.service != _SERVICE:
        raise AuthorizationHeaderMalformed(
            f"The credential's service must be s3, not {principal.service[:64]}"
        )
    if headers.get("x-amz-expected-bucket-owner", ACCOUNT_ID) != ACCOUNT_ID:
        raise AccessDenied
    return principal


def chunk_signatures(exchange: Exchange, principal: Principal, keys: Keys) -> ChunkSignatures:
    """The chain that a stream's chunks continue.

    Raises:
        InvalidRequest: The request is not signed in its header.
    """
    headers = exchange.headers
    signature = headers.get("authorization").rpartition("Signature=")[2].partition(",")[0].strip()
    amz_date = headers.get("x-amz-date")
    credential = keys.find(principal.access_key_id)
    if credential is None or not signature or not amz_date:
        raise InvalidRequest("Signed chunks need a signature and X-Amz-Date in headers.")
    date = amz_date[:8]
    key = keys.signing_key(credential, date, principal.region, _SERVICE)
    scope = f"{amz_date}\n{date}/{principal.region}/{_SERVICE}/aws4_request"
    return ChunkSignatures(key, scope, signature)


@lru_cache(maxsize=256)
def _names(signed_headers: str) -> frozenset[str]:
    return frozenset(signed_headers.split(";"))


def _signed_in_header(authorization: str) -> frozenset[str]:
    found = authorization.partition("SignedHeaders=")[2].partition(",")[0].strip()
    return _names(found[:4_096])


def _signed_in_query(query: str) -> frozenset[str]:
    for part in query.split("&"):
        if part.startswith("X-Amz-SignedHeaders="):
            return _names(unquote(part.partition("=")[2])[:4_096].lower())
    return frozenset()


def _refuse(error: MayflyError, *, presigned: bool) -> NoReturn:
    """The same refusal in S3's words."""
    match error:
        case MissingAuthenticationToken():
            raise AccessDenied from error
        case UnrecognizedClient():
            raise InvalidAccessKeyId from error
        case IncompleteSignature():
            raise AuthorizationHeaderMalformed(error.message) from error
        case InvalidSignature() if error.message.startswith("Signature expired") and presigned:
            raise AccessDenied("Request has expired") from error
        case InvalidSignature() if error.message.startswith(
            ("Signature expired", "Signature not yet")
        ):
            raise RequestTimeTooSkewed from error
        case InvalidSignature():
            raise SignatureDoesNotMatch from error
        case _:
            raise error
