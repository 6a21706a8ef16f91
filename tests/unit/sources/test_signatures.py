"""Signatures of deliveries: what the senders document, and everything that is not it."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.model.webhook import Scheme
from mayfly.sources.signatures import SignatureRefused, delivery_id, verify

NOW_MS = 1_750_000_000_000.0
NOW_S = 1_750_000_000
SIGNED = (Scheme.GITHUB, Scheme.STRIPE, Scheme.HMAC)


def signature(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def signed(scheme: Scheme, secret: str, body: bytes, *, at_s: int = NOW_S) -> dict[str, str]:
    match scheme:
        case Scheme.GITHUB:
            return {"x-hub-signature-256": f"sha256={signature(secret, body)}"}
        case Scheme.HMAC:
            return {"x-signature-256": signature(secret, body)}
        case Scheme.STRIPE:
            v1 = signature(secret, f"{at_s}.".encode() + body)
            return {"stripe-signature": f"t={at_s},v1={v1},v0=00"}
        case Scheme.NONE:
            return {}


def test_the_example_in_githubs_documentation_is_accepted() -> None:
    given_ = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": given_}
    verify(Scheme.GITHUB, "It's a Secret to Everybody", headers, b"Hello, World!", now_ms=NOW_MS)


@given(scheme=st.sampled_from(SIGNED), secret=st.text(min_size=1), body=st.binary())
def test_what_is_signed_with_the_secret_is_accepted(
    scheme: Scheme, secret: str, body: bytes
) -> None:
    secret = secret.encode("utf-8", "replace").decode()
    verify(scheme, secret, signed(scheme, secret, body), body, now_ms=NOW_MS)


@given(
    scheme=st.sampled_from(SIGNED),
    body=st.binary(min_size=1),
    place=st.integers(0, 1 << 30),
    flip=st.integers(1, 255),
)
def test_a_body_with_one_byte_changed_is_refused(
    scheme: Scheme, body: bytes, place: int, flip: int
) -> None:
    changed = bytearray(body)
    changed[place % len(body)] ^= flip
    with pytest.raises(SignatureRefused):
        verify(scheme, "k", signed(scheme, "k", body), bytes(changed), now_ms=NOW_MS)


@given(scheme=st.sampled_from(SIGNED), header=st.text(max_size=200))
def test_any_header_is_refused_and_nothing_breaks(scheme: Scheme, header: str) -> None:
    headers = dict.fromkeys(signed(scheme, "k", b""), header)
    with pytest.raises(SignatureRefused) as refused:
        verify(scheme, "k", headers, b"body", now_ms=NOW_MS)
    assert refused.value.status == 401


@pytest.mark.parametrize("scheme", SIGNED)
def test_a_missing_signature_is_named(scheme: Scheme) -> None:
    with pytest.raises(SignatureRefused, match="missing"):
        verify(scheme, "k", {}, b"body", now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("away_s", "accepted"), [(0, True), (300, True), (301, False), (-301, False)]
)
def test_stripes_signature_is_good_for_five_minutes(away_s: int, *, accepted: bool) -> None:
    headers = signed(Scheme.STRIPE, "k", b"{}", at_s=NOW_S - away_s)
    if accepted:
        verify(Scheme.STRIPE, "k", headers, b"{}", now_ms=NOW_MS)
        return
    with pytest.raises(SignatureRefused, match="allowed"):
        verify(Scheme.STRIPE, "k", headers, b"{}", now_ms=NOW_MS)


def test_one_of_stripes_signatures_is_enough_while_a_secret_is_rolled() -> None:
    new = signed(Scheme.STRIPE, "new", b"{}")["stripe-signature"].removesuffix(",v0=00")
    headers = {"stripe-signature": f"{new},v1={'0' * 64}"}
    verify(Scheme.STRIPE, "new", headers, b"{}", now_ms=NOW_MS)


def test_stripes_older_scheme_is_no_signature() -> None:
    v0 = signature("k", f"{NOW_S}.".encode() + b"{}")
    with pytest.raises(SignatureRefused):
        verify(Scheme.STRIPE, "k", {"stripe-signature": f"t={NOW_S},v0={v0}"}, b"{}", now_ms=NOW_MS)


@pytest.mark.parametrize("scheme", SIGNED)
def test_signatures_are_compared_in_constant_time(
    scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with pytest.raises(SignatureRefused):
        verify(scheme, "k", signed(scheme, "k", b"body"), b"body", now_ms=NOW_MS)
    assert len(compared) == 1
    assert compared[0][0] == compared[0][1]


def test_a_delivery_has_the_senders_name() -> None:
    headers = {"x-github-delivery": "72d3162e", "x-delivery-id": "d-1"}
    assert delivery_id(Scheme.GITHUB, headers, b"") == "72d3162e"
    assert delivery_id(Scheme.HMAC, headers, b"") == "d-1"
    assert delivery_id(Scheme.STRIPE, {}, b'{"id": "evt_1", "object": "event"}') == "evt_1"
    assert delivery_id(Scheme.NONE, headers, b"") == ""


@given(body=st.binary())
def test_a_delivery_without_a_name_is_no_error(body: bytes) -> None:
    assert isinstance(delivery_id(Scheme.STRIPE, {}, body), str)


def test_a_long_name_is_kept_by_its_digest() -> None:
    assert len(delivery_id(Scheme.GITHUB, {"x-github-delivery": "x" * 10_000}, b"")) < 128
