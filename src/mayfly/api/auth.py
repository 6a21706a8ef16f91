"""Who is calling: AWS Signature Version 4, in a header or in a presigned query.

`verify` rebuilds the text that the caller signed from the request as it was received, and compares
signatures in constant time. It is on the path of every call, so it has a fast way for what SDKs
send and no object but strings; it reads no clock and no file.

    canonical request   method, path, query, headers, signed header names, payload hash
    string to sign      algorithm, date, scope, SHA-256 of the canonical request
    signature           HMAC(signing key of (secret, date, region, service), string to sign)

Source: "Create a signed AWS API request", IAM User Guide.
"""

from __future__ import annotations

import calendar
import hmac
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from mayfly.api.keys import Credential, Keys
from mayfly.api.message import Headers, Principal
from mayfly.api.refusals import (
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)
from mayfly.model.function import REGION

__all__ = ["Credential", "Keys", "presign", "verify"]

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_S_MAX = 300
EXPIRES_S_MAX = 604_800
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_STREAMING_PREFIX = "STREAMING-"
# What is remembered of a stranger's header is bounded in number and in length.
_REMEMBERED_LENGTH_MAX = 1_024
_EMPTY_SHA256 = sha256(b"").hexdigest()
_S3_SERVICES = frozenset({"s3", "s3-object-lambda", "s3express"})

_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_~-][A-Za-z0-9_.~-]*(?:/|$))*", re.ASCII).fullmatch
_AMZ_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII).fullmatch
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


class Stated(NamedTuple):
    """What a request states about its signature.

    Args:
        date: The scope's date, YYYYMMDD.
        signed_headers: Lower-case names with semicolons between.
        amz_date: When it was signed, YYYYMMDDTHHMMSSZ.
        query: The query that was signed, as received.
        token: The session token, or "".
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str
    amz_date: str
    query: str
    token: str


def verify(
    keys: Keys,
    *,
    method: str,
    raw_path: str,
    query_string: str,
    headers: Headers,
    body: bytes,
    now_ms: float,
    body_sha256: str = "",
) -> Principal:
    """Check a request's signature.

    Args:
        raw_path: Percent-encoded as received.
        query_string: As received, without the question mark.
        body_sha256: Lower-case hex digest of the body, where the caller has it already; `body` is
            not read then.

    Raises:
        MissingAuthenticationToken: There is no signature.
        IncompleteSignature: A part of it is missing or unreadable.
        UnrecognizedClient: The key or its session token is not known.
        InvalidSignature: It does not match, is expired or not yet valid.
    """
    authorization = headers.find("authorization")
    if authorization is not None:
        stated = _read_header(authorization, query_string, headers, now_ms / 1000)
    else:
        stated = _read_query(query_string, now_ms / 1000)
    credential = _credential(keys, stated.access_key_id, stated.token)
    if stated.amz_date[:8] != stated.date:
        raise InvalidSignature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{stated.date}' != '{stated.amz_date[:8]}', from '{stated.amz_date}'."
        )
    in_s3 = stated.service in _S3_SERVICES
    unsigned = in_s3 and authorization is None
    payload = _payload_hash(headers, body, body_sha256, unsigned=unsigned)
    path = raw_path if in_s3 else _canonical_path(raw_path)
    tail = (
        f"{_canonical_headers(headers, stated.signed_headers)}\n{stated.signed_headers}\n{payload}"
    )
    key = keys.signing_key(credential, stated.date, stated.region, stated.service)
    scope = f"{stated.amz_date}\n{stated.date}/{stated.region}/{stated.service}/aws4_request"
    given = stated.signature.encode("latin-1", "replace")
    for query in _canonical_queries(stated.query):
        expected = _sign(key, scope, f"{method}\n{path}\n{query}\n{tail}")
        if hmac.compare_digest(expected.encode(), given):
            return credential.principal(stated.service, stated.region)
    raise InvalidSignature(_MISMATCH)


def presign(
    keys: Keys, *, method: str, url: str, service: str, now_ms: float, expires_s: int = 600
) -> str:
    """`url` with a signature of the root key in its query; valid for `expires_s` seconds."""
    assert 1 <= expires_s <= EXPIRES_S_MAX
    parts = urlsplit(url)
    amz_date = _amz_date(now_ms / 1000)
    root = keys.root
    credential = f"{root.access_key_id}/{amz_date[:8]}/{REGION}/{service}/aws4_request"
    added = (
        f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={quote(credential, safe='-_.~')}"
        f"&X-Amz-Date={amz_date}&X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host"
    )
    query = f"{parts.query}&{added}" if parts.query else added
    path = parts.path or "/"
    in_s3 = service in _S3_SERVICES
    canonical = (
        f"{method}\n{path if in_s3 else _canonical_path(path)}\n{_sorted_query(query)}\n"
        f"host:{parts.netloc}\n\nhost\n{UNSIGNED_PAYLOAD if in_s3 else _EMPTY_SHA256}"
    )
    key = keys.signing_key(root, amz_date[:8], REGION, service)
    scope = f"{amz_date}\n{amz_date[:8]}/{REGION}/{service}/aws4_request"
    signature = _sign(key, scope, canonical)
    return f"{parts.scheme}://{parts.netloc}{path}?{query}&X-Amz-Signature={signature}"


def _sign(key: bytes, scope: str, canonical_request: str) -> str:
    digest = sha256(canonical_request.encode("latin-1", "replace")).hexdigest()
    return hmac.digest(key, f"{ALGORITHM}\n{scope}\n{digest}".encode(), "sha256").hex()


# What the request states


def _read_header(authorization: str, query_string: str, headers: Headers, now_s: float) -> Stated:
    """Parse `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`, in any order."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignature(
            f"Authorization header must use the algorithm {ALGORITHM}, not '{algorithm[:40]}'."
        )
    start, mark, signature = rest.rpartition(", Signature=")
    if not mark or not signature or "," in signature:
        start, signature = _signature_apart(rest)
    read = _read_scope if len(start) <= _REMEMBERED_LENGTH_MAX else _read_scope.__wrapped__
    scope, signed_headers = read(start)
    amz_date = headers.find("x-amz-date") or _amz_date_of(headers.get("date"))
    if not amz_date:
        raise IncompleteSignature(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    _check_skew(amz_date, now_s)
    token = headers.get("x-amz-security-token")
    return Stated(*scope, signed_headers, signature, amz_date, query_string, token)


def _signature_apart(parts: str) -> tuple[str, str]:
    """A header whose parts are in an uncommon order: all but the signature, and the signature."""
    others = []
    signature = ""
    for part in parts.split(","):
        name, _, value = part.strip().partition("=")
        if name == "Signature":
            signature = value
        else:
            others.append(part)
    if not signature:
        raise IncompleteSignature("Authorization header requires 'Signature' parameter.")
    return ",".join(others), signature


@lru_cache(maxsize=256)
def _read_scope(parts: str) -> tuple[tuple[str, str, str, str], str]:
    """Scope and signed headers; a client states the same ones from call to call, all day."""
    found: dict[str, str] = {}
    for part in parts.split(","):
        name, _, value = part.strip().partition("=")
        found[name] = value
    lacking = [one for one in ("Credential", "SignedHeaders") if not found.get(one)]
    if lacking:
        raise IncompleteSignature(
            " ".join(f"Authorization header requires '{one}' parameter." for one in lacking)
        )
    return _scope(found["Credential"], found["SignedHeaders"]), found["SignedHeaders"]


def _read_query(query_string: str, now_s: float) -> Stated:
    """What a presigned query states, its time checked."""
    parameters = _presigned_parameters(query_string)
    if "X-Amz-Signature" not in parameters and "X-Amz-Algorithm" not in parameters:
        raise MissingAuthenticationToken
    names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    lacking = [one for one in names if not parameters.get(f"X-Amz-{one}")]
    if lacking:
        raise IncompleteSignature(
            " ".join(f"AWS query-string parameters must include 'X-Amz-{one}'." for one in lacking)
        )
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignature(f"X-Amz-Algorithm only supports {ALGORITHM}.")
    amz_date = parameters["X-Amz-Date"]
    _check_presigned_time(amz_date, _expires_s(parameters["X-Amz-Expires"]), now_s)
    signed_headers = parameters["X-Amz-SignedHeaders"]
    return Stated(
        *_scope(parameters["X-Amz-Credential"], signed_headers),
        signed_headers,
        parameters["X-Amz-Signature"],
        amz_date,
        _without_signature(query_string),
        parameters.get("X-Amz-Security-Token", ""),
    )


def _scope(credential: str, signed_headers: str) -> tuple[str, str, str, str]:
    """Access key id, date, region and service of `KEY/DATE/REGION/SERVICE/aws4_request`."""
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{credential[:128]}'"
        )
    access_key_id, date, region, service, terminator = parts
    if terminator != "aws4_request":
        raise InvalidSignature(
            "Credential should be scoped with a valid terminator: 'aws4_request', "
            f"not '{terminator[:40]}'."
        )
    if "host" not in signed_headers.split(";"):
        raise InvalidSignature(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    return access_key_id, date, region, service


def _presigned_parameters(query_string: str) -> dict[str, str]:
    parameters = {}
    for part in query_string.split("&"):
        name, _, value = part.partition("=")
        if name.startswith("X-Amz-"):
            parameters[name] = unquote(value)
    return parameters


def _expires_s(written: str) -> int:
    # Seven digits hold a week and more; longer ones are not worth parsing.
    readable = written.isascii() and written.isdigit() and len(written) <= 7
    if not readable or not 1 <= int(written) <= EXPIRES_S_MAX:
        raise IncompleteSignature(
            f"X-Amz-Expires must be a number of seconds between 1 and {EXPIRES_S_MAX}, "
            f"got '{written[:40]}'."
        )
    return int(written)


def _credential(keys: Keys, access_key_id: str, token: str) -> Credential:
    credential = keys.find(access_key_id)
    if credential is None:
        raise UnrecognizedClient
    known = credential.session_token
    if known and not hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
        raise UnrecognizedClient
    return credential


# Time


def _check_skew(amz_date: str, now_s: float) -> None:
    signed_s = _epoch_s(amz_date)
    if signed_s < now_s - SKEW_S_MAX:
        raise InvalidSignature(
            f"Signature expired: {amz_date} is now earlier than {_amz_date(now_s - SKEW_S_MAX)} "
            f"({_amz_date(now_s)} - 5 min.)"
        )
    _check_not_early(amz_date, signed_s, now_s)


def _check_presigned_time(amz_date: str, expires_s: int, now_s: float) -> None:
    signed_s = _epoch_s(amz_date)
    if signed_s + expires_s < now_s:
        raise InvalidSignature(
            f"Signature expired: {amz_date} is now earlier than {_amz_date(now_s - expires_s)} "
            f"({_amz_date(now_s)} - {expires_s} s.)"
        )
    _check_not_early(amz_date, signed_s, now_s)


def _check_not_early(amz_date: str, signed_s: int, now_s: float) -> None:
    if signed_s > now_s + SKEW_S_MAX:
        raise InvalidSignature(
            f"Signature not yet current: {amz_date} is still later than "
            f"{_amz_date(now_s + SKEW_S_MAX)} ({_amz_date(now_s)} + 5 min.)"
        )


@lru_cache(maxsize=256)
def _epoch_s(amz_date: str) -> int:
    """Unix seconds of "20250102T030405Z"."""
    if not _AMZ_DATE(amz_date):
        raise IncompleteSignature(
            "Date must be in ISO-8601 'basic format'. Got "
            f"'{amz_date[:40]}'. See http://en.wikipedia.org/wiki/ISO_8601"
        )
    try:
        day = (int(amz_date[:4]), int(amz_date[4:6]), int(amz_date[6:8]))
        hour = (int(amz_date[9:11]), int(amz_date[11:13]), int(amz_date[13:15]))
        return calendar.timegm(datetime(*day, *hour, tzinfo=UTC).timetuple())
    except ValueError as error:
        raise IncompleteSignature(f"Date is not a date: '{amz_date}'") from error


def _amz_date(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=64)
def _amz_date_of(date: str) -> str:
    """X-Amz-Date's form of a Date header, or "" where it cannot be read."""
    if not date:
        return ""
    if _AMZ_DATE(date):
        return date
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return ""
    return _amz_date((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


# The canonical request


def _canonical_path(raw_path: str) -> str:
    """The path without dot segments and double slashes, percent-encoded once more."""
    if _PLAIN_PATH(raw_path):
        return raw_path
    kept: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    last = "/" if raw_path.endswith("/") and kept else ""
    return quote(f"/{'/'.join(kept)}{last}", safe="/~", encoding="latin-1")


def _canonical_queries(query: str) -> tuple[str, ...]:
    """The query in canonical order: as it was encoded by the caller, then as AWS encodes it.

    SDKs sign the encoding that they send. A caller whose HTTP client encodes otherwise signed the
    form that the specification asks for; both say the same thing.
    """
    if not query:
        return ("",)
    as_sent = _sorted_query(query)
    encoded = "&".join(
        "=".join(quote(unquote(part, "latin-1"), safe="-_.~", encoding="latin-1") for part in pair)
        for pair in _pairs(query)
    )
    strict = _sorted_query(encoded)
    return (as_sent,) if strict == as_sent else (as_sent, strict)


def _sorted_query(query: str) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(_pairs(query)))


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (one.partition("=") for one in query.split("&"))]


def _without_signature(query: str) -> str:
    return "&".join(one for one in query.split("&") if not one.startswith("X-Amz-Signature="))


def _canonical_headers(headers: Headers, signed_headers: str) -> str:
    """One line for each signed header, spaces trimmed and runs of them folded."""
    lines = []
    for name in signed_headers.split(";"):
        value = headers.find(name)
        if value is None:
            raise InvalidSignature(_MISMATCH)
        if "  " in value or "\t" in value:
            value = " ".join(value.split())
        lines.append(f"{name}:{value}\n")
    return "".join(lines)


def _payload_hash(headers: Headers, body: bytes, body_sha256: str, *, unsigned: bool) -> str:
    """What the canonical request says of the body; a stated digest must be the body's.

    A stated "UNSIGNED-PAYLOAD" or "STREAMING-..." is taken as it is: the word itself is signed,
    and whoever reads a chunked body checks its chunks.
    """
    stated = headers.find("x-amz-content-sha256")
    if stated is None:
        if unsigned:
            return UNSIGNED_PAYLOAD
        return body_sha256 or sha256(body).hexdigest()
    if stated == UNSIGNED_PAYLOAD or stated.startswith(_STREAMING_PREFIX):
        return stated
    if stated != (body_sha256 or sha256(body).hexdigest()):
        raise InvalidSignature(_MISMATCH)
    return stated
