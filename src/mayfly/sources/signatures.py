"""How deliveries to webhooks prove where they come from. Pure; comparisons take constant time.

    github   X-Hub-Signature-256: sha256=HEX          HMAC-SHA256 of the body
    stripe   Stripe-Signature: t=SECONDS,v1=HEX,...   HMAC-SHA256 of "SECONDS.body"; 300 s at most
    hmac     X-Signature-256: sha256=HEX, or HEX      HMAC-SHA256 of the body

The raw body is verified, before anything of it is read.

Source: GitHub, "Validating webhook deliveries"; Stripe, "Verify webhook signatures manually".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

import msgspec

from mayfly.model.errors import CallerError
from mayfly.model.webhook import Scheme

STRIPE_TOLERANCE_S = 300
_DELIVERY_LENGTH_MAX = 128
_SIGNATURES_MAX = 16
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


class SignatureRefused(CallerError):
    """The delivery does not prove that it comes from who has the secret."""

    code = "SignatureRefused"
    status = 401


class _Event(msgspec.Struct):
    id: str = ""


def verify(
    scheme: Scheme, secret: str, headers: Mapping[str, str], body: bytes, *, now_ms: float
) -> None:
    """Refuse a delivery that is not signed with the secret.

    Args:
        headers: By lower-case name.

    Raises:
        SignatureRefused: It says what is missing or wrong.
    """
    match scheme:
        case Scheme.NONE:
            return
        case Scheme.GITHUB:
            _require(secret, body, headers, "x-hub-signature-256", prefix="sha256=")
        case Scheme.HMAC:
            _require(secret, body, headers, "x-signature-256", prefix="")
        case Scheme.STRIPE:
            _require_stripe(secret, body, headers, now_ms)


def delivery_id(scheme: Scheme, headers: Mapping[str, str], body: bytes) -> str:
    """What the sender calls this delivery, the same when it sends it again; "" where it says none.

    Only for a verified delivery, whose body is looked at here.
    """
    match scheme:
        case Scheme.GITHUB:
            return _bounded(headers.get("x-github-delivery", ""))
        case Scheme.HMAC:
            return _bounded(headers.get("x-delivery-id", ""))
        case Scheme.STRIPE:
            try:
                return _bounded(msgspec.json.decode(body, type=_Event).id)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return ""
        case Scheme.NONE:
            return ""


def _require(
    secret: str, body: bytes, headers: Mapping[str, str], name: str, *, prefix: str
) -> None:
    written = headers.get(name)
    if not written:
        raise SignatureRefused(f"the delivery has no signature: the header {name} is missing")
    given = written.removeprefix(prefix or "sha256=").strip().lower()
    if not written.startswith(prefix) or not _HEX.fullmatch(given):
        raise SignatureRefused(f"the header {name} is no signature; sha256=HEX was expected")
    if not _matches(secret, body, given):
        raise SignatureRefused(_WRONG)


def _require_stripe(secret: str, body: bytes, headers: Mapping[str, str], now_ms: float) -> None:
    written = headers.get("stripe-signature")
    if not written:
        raise SignatureRefused("the delivery has no signature: Stripe-Signature is missing")
    moment, given = _stripe_parts(written)
    if not _SECONDS.fullmatch(moment) or not given:
        raise SignatureRefused("the header Stripe-Signature needs t=SECONDS and v1=HEX")
    signed = moment.encode() + b"." + body
    # No short cut: each is compared, whichever fits.
    fits = [_matches(secret, signed, one) for one in given]
    if not any(fits):
        raise SignatureRefused(_WRONG)
    away_s = abs(now_ms / 1000 - int(moment))
    if away_s > STRIPE_TOLERANCE_S:
        raise SignatureRefused(
            f"the signature is {away_s:.0f} s away from this machine's time, and "
            f"{STRIPE_TOLERANCE_S} s are allowed: the delivery is old, or this clock is wrong"
        )


def _stripe_parts(written: str) -> tuple[str, list[str]]:
    """The time, and the signatures of the scheme v1."""
    moment, given = "", []
    for part in written.split(",")[:_SIGNATURES_MAX]:
        name, _, value = part.strip().partition("=")
        if name == "t":
            moment = value
        elif name == "v1" and _HEX.fullmatch(value):
            given.append(value)
    return moment, given


def _matches(secret: str, signed: bytes, given: str) -> bool:
    return hmac.compare_digest(hmac.new(secret.encode(), signed, "sha256").hexdigest(), given)


def _bounded(text: str) -> str:
    """An id that fits into an index; a longer one by its digest."""
    if len(text) <= _DELIVERY_LENGTH_MAX:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_WRONG = (
    "the signature does not fit: is the secret at the sender the one that was set with "
    "`mayfly secret set`, and did the body come unchanged?"
)
