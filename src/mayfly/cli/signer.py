"""Signature Version 4 over a request's headers, as the platform and AWS expect it.

botocore's signer does the same, but its import alone takes several times as long as a whole
`mayfly invoke`. The tests compare the two on generated requests. The scheme: AWS General
Reference, "Create a signed AWS API request":

    canonical request --sha256--> string to sign --HMAC chain(date, region, service)--> signature
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import quote

REGION = "us-east-1"
_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Key:
    """An access key, as `key.json` holds it."""

    access_key_id: str
    secret_access_key: str


def sign(
    *,
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    key: Key,
    service: str,
    amazon_date: str,
) -> dict[str, str]:
    """The headers to send: those given, with date, body digest and signature added.

    Args:
        path: As it goes on the wire, percent-encoded.
        query: As it goes on the wire, without "?".
        headers: By lower-case name; "host" must be among them.
        amazon_date: Now, as 20260131T235959Z.
    """
    digest = hashlib.sha256(body).hexdigest()
    signed = headers | {"x-amz-date": amazon_date, "x-amz-content-sha256": digest}
    names = sorted(signed)
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/~"),
            _sorted_query(query),
            *(f"{name}:{' '.join(signed[name].split())}" for name in names),
            "",
            ";".join(names),
            digest,
        )
    )
    scope = f"{amazon_date[:8]}/{REGION}/{service}/aws4_request"
    summary = hashlib.sha256(canonical.encode()).hexdigest()
    signature = _mac(
        _signing_key(key.secret_access_key, scope),
        f"{_ALGORITHM}\n{amazon_date}\n{scope}\n{summary}",
    ).hex()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={key.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return signed


def _sorted_query(query: str) -> str:
    """In the order of names, then values; not of the text, for "=" sorts after digits."""
    return "&".join(sorted(query.split("&"), key=lambda pair: pair.split("=", 1)))


def _signing_key(secret: str, scope: str) -> bytes:
    chained = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        chained = _mac(chained, part)
    return chained


def _mac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
