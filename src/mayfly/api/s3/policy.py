"""The policy of a form upload: signed by its maker, it says what the form may hold. Pure.

    {"expiration": "2026-11-23T12:00:00Z",
     "conditions": [{"bucket": "photos"}, ["starts-with", "$key", "in/"],
                    ["content-length-range", 1, 1048576]]}

Every field of the form must be covered by a condition, and every condition must hold.

Source: "Creating a POST policy", Amazon S3 API Reference.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from mayfly.api.keys import Keys
from mayfly.api.message import Principal
from mayfly.api.s3.old_signature import principal_of, sign_form
from mayfly.api.s3.refusals import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidPolicyDocument,
    SignatureDoesNotMatch,
)
from mayfly.stores.objects.upload import BODY_BYTES_MAX

_UNCOVERED = frozenset(("policy", "file", "x-amz-signature", "signature", "awsaccesskeyid"))
_REFUSED = "Invalid according to Policy: "
Fields = Mapping[str, str]


class SizeRange(NamedTuple):
    """How large the file may be, both ends included."""

    bytes_min: int = 0
    bytes_max: int = BODY_BYTES_MAX


class _Policy(msgspec.Struct):
    expiration: str
    conditions: list[dict[str, str] | list[str | int]]


def signer(keys: Keys, fields: Fields) -> Principal:
    """Who signed the policy.

    Raises:
        AccessDenied: There is no policy, so nobody did.
        InvalidArgument, InvalidAccessKeyId, SignatureDoesNotMatch.
    """
    policy = fields.get("policy", "")
    if not policy:
        raise AccessDenied
    token = fields.get("x-amz-security-token", "")
    if "awsaccesskeyid" in fields:
        return sign_form(
            keys,
            key_id=fields["awsaccesskeyid"],
            token=token,
            policy=policy,
            signature=fields.get("signature", ""),
        )
    if fields.get("x-amz-algorithm") != "AWS4-HMAC-SHA256":
        raise InvalidArgument("X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
    scope = fields.get("x-amz-credential", "").rsplit("/", 4)
    if len(scope) != 5 or scope[3:] != ["s3", "aws4_request"]:
        raise InvalidArgument("The X-Amz-Credential of the form is malformed")
    key_id, date, region = scope[:3]
    credential = keys.find(key_id)
    if credential is None:
        raise InvalidAccessKeyId
    if credential.session_token and not hmac.compare_digest(
        credential.session_token.encode(), token.encode()
    ):
        raise InvalidAccessKeyId
    key = keys.signing_key(credential, date, region, "s3")
    expected = hmac.digest(key, policy.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), fields.get("x-amz-signature", "").encode()):
        raise SignatureDoesNotMatch
    return principal_of(credential)


def require_allowed(fields: Fields, *, bucket: str, now_ms: float) -> SizeRange:
    """Hold a form to its policy.

    Args:
        fields: By lower-case name, without the file.

    Returns:
        How large the file may be.

    Raises:
        AccessDenied: The policy has expired, or the form is not as it says.
        InvalidPolicyDocument: It is no policy.
    """
    policy = _read(fields["policy"])
    if _unix_ms(policy.expiration) < now_ms:
        raise AccessDenied(f"{_REFUSED}Policy expired.")
    held = {**fields, "bucket": bucket}
    covered = {"bucket"}
    size = SizeRange()
    for kind, name, value in _conditions(policy):
        if kind == "content-length-range":
            size = SizeRange(_whole(name), _whole(value))
            continue
        field = str(name).removeprefix("$").lower()
        covered.add(field)
        if not _holds(kind, held.get(field), str(value)):
            raise AccessDenied(
                f'{_REFUSED}Policy Condition failed: ["{kind}", "${field}", "{value}"]'
            )
    extra = [
        one
        for one in fields
        if one not in covered and one not in _UNCOVERED and not one.startswith("x-ignore-")
    ]
    if extra:
        raise AccessDenied(f"{_REFUSED}Extra input fields: {', '.join(extra)[:200]}")
    return size


def _read(text: str) -> _Policy:
    try:
        return msgspec.json.decode(base64.b64decode(text, validate=True), type=_Policy)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidPolicyDocument(f"Invalid Policy: {error}") from error


def _conditions(policy: _Policy) -> Iterator[tuple[str, str | int, str | int]]:
    for one in policy.conditions:
        if isinstance(one, dict):
            yield from (("eq", name, value) for name, value in one.items())
        elif len(one) == 3:
            yield str(one[0]).lower(), one[1], one[2]
        else:
            raise InvalidPolicyDocument("Invalid Policy: a condition has three elements.")


def _holds(kind: str, held: str | None, value: str) -> bool:
    match kind:
        case "eq":
            return held == value
        case "starts-with":
            return held is not None and held.startswith(value)
        case _:
            raise InvalidPolicyDocument(f"Invalid Policy: unknown condition {kind[:40]}.")


def _whole(value: str | int) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidPolicyDocument("Invalid Policy: content-length-range takes two sizes.")
    return int(text)


def _unix_ms(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidPolicyDocument("Invalid Policy: Invalid 'expiration' value.") from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp() * 1_000
