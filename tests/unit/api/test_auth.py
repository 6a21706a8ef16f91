"""Signatures: what botocore signs is accepted, whatever is changed is refused, in AWS's words."""

from __future__ import annotations

import calendar
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from mayfly.api.auth import presign, verify
from mayfly.api.keys import Credential, Keys, root_credential
from mayfly.api.message import Headers, Principal
from mayfly.api.refusals import (
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)
from mayfly.model.errors import MayflyError

KEY_ID, SECRET = "AKIAMAYFLYTESTKEY001", "a/secret+with/odd=characters"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOW_MS = calendar.timegm(NOW.timetuple()) * 1000.0


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire."""

    method: str
    raw_path: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def keys() -> Keys:
    return Keys(root_credential(KEY_ID, SECRET))


def check(sent: Sent, *, now_ms: float = NOW_MS, by: Keys | None = None) -> Principal:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.headers]
    return verify(
        by or keys(),
        method=sent.method,
        raw_path=sent.raw_path,
        query_string=sent.query_string,
        headers=Headers(raw),
        body=sent.body,
        now_ms=now_ms,
    )


def sign(
    url: str,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    auth: type = botocore.auth.SigV4Auth,
    service: str = "lambda",
    token: str | None = None,
    **options: object,
) -> Sent:
    """Let botocore sign, and give back what an HTTP client would then send."""
    request = AWSRequest(method=method, url=url, headers=dict(headers or {}), data=body)
    signer = auth(Credentials(KEY_ID, SECRET, token), service, "us-east-1", **options)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        signer.add_auth(request)
    parts = urlsplit(request.url)
    sent = [("Host", parts.netloc), *request.headers.items()]
    return Sent(method, parts.path or "/", parts.query, tuple(sent), body)


INVOKE = "http://127.0.0.1:9000/2015-03-31/functions/hello/invocations"


def changed(sent: Sent, name: str, value: str) -> Sent:
    return replace(
        sent, headers=tuple((n, value if n.lower() == name else v) for n, v in sent.headers)
    )


def without(sent: Sent, name: str) -> Sent:
    return replace(sent, headers=tuple((n, v) for n, v in sent.headers if n.lower() != name))


def test_an_invoke_signed_by_botocore_is_accepted_and_says_who_signed() -> None:
    principal = check(sign(INVOKE, body=b'{"a": 1}'))
    assert principal.access_key_id == KEY_ID
    assert principal.account_id == "000000000000"
    assert principal.arn == "arn:aws:iam::000000000000:root"
    assert (principal.service, principal.region) == ("lambda", "us-east-1")


SEGMENT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
PATHS = st.lists(SEGMENT, max_size=5).map(
    lambda segments: "/" + "/".join(quote(one, safe="") for one in segments)
)
RAW_PATHS = st.text("abcXYZ019-_.~!$&'()*+,;=:@%2F/", max_size=30).map(lambda rest: "/" + rest)
QUERIES = st.lists(st.tuples(SEGMENT, SEGMENT), max_size=4).map(
    lambda pairs: "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in pairs)
)
VALUES = st.text("abc XYZ,;\t\"'=/-", max_size=20).map(str.strip)


@given(path=PATHS | RAW_PATHS, query=QUERIES, value=VALUES, body=st.binary(max_size=40))
def test_any_request_that_botocore_signs_is_accepted(
    path: str, query: str, value: str, body: bytes
) -> None:
    url = f"http://localhost:9000{path}" + (f"?{query}" if query else "")
    if urlsplit(url).path != path:
        return
    check(sign(url, headers={"X-Amz-Meta-Odd": value, "Content-Type": "a/b"}, body=body))


@given(path=PATHS, query=QUERIES)
def test_any_query_that_botocore_presigns_is_accepted(path: str, query: str) -> None:
    url = f"http://localhost:9000{path}" + (f"?{query}" if query else "")
    if any(name.startswith("X-Amz-") for name in query.split("&")):
        return
    sent = sign(url, method="GET", auth=botocore.auth.SigV4QueryAuth, expires=60)
    check(sent)
    with pytest.raises(InvalidSignature):
        check(replace(sent, method="PUT"))


@given(path=PATHS, body=st.binary(max_size=20))
def test_s3_signs_the_path_as_it_is(path: str, body: bytes) -> None:
    check(sign(f"http://localhost:9000{path}", body=body, auth=S3, service="s3"))
    presigned = sign(f"http://localhost:9000{path}", auth=S3_QUERY, service="s3", method="PUT")
    check(replace(presigned, body=body))


S3, S3_QUERY = botocore.auth.S3SigV4Auth, botocore.auth.S3SigV4QueryAuth


@given(st.data())
@settings(max_examples=200)
def test_a_changed_request_is_refused(data: st.DataObject) -> None:
    sent = sign(f"{INVOKE}?Qualifier=1", headers={"X-Amz-Log-Type": "Tail"}, body=b"{}")
    text = st.text("abc019", min_size=1, max_size=4)
    change = data.draw(st.sampled_from(["method", "path", "query", "body", "header", "signature"]))
    match change:
        case "method":
            sent = replace(sent, method="PUT")
        case "path":
            sent = replace(sent, raw_path=sent.raw_path + data.draw(text))
        case "query":
            sent = replace(sent, query_string=sent.query_string + data.draw(text))
        case "body":
            sent = replace(sent, body=sent.body + data.draw(st.binary(min_size=1)))
        case "header":
            sent = changed(sent, "x-amz-log-type", data.draw(text))
        case _:
            authorization = dict(sent.headers)["Authorization"]
            last = "0" if authorization[-1] != "0" else "1"
            sent = changed(sent, "authorization", authorization[:-1] + last)
    with pytest.raises(InvalidSignature, match="The request signature we calculated does not"):
        check(sent)


def test_a_query_signed_in_the_specification_s_encoding_is_accepted_however_it_was_sent() -> None:
    sent = sign(f"{INVOKE}?name=a%2Fb%20c")
    check(replace(sent, query_string="name=a/b%20c"))


def test_a_date_header_does_in_the_place_of_x_amz_date() -> None:
    sent = sign(INVOKE, headers={"Date": "whatever"})
    assert "X-Amz-Date" not in dict(sent.headers)
    check(sent)


def test_the_parts_of_the_header_may_come_in_any_order() -> None:
    sent = sign(INVOKE)
    algorithm, _, rest = dict(sent.headers)["Authorization"].partition(" ")
    credential, signed_headers, signature = rest.split(", ")
    for parts in (
        (signature, credential, signed_headers),
        (credential, signature, signed_headers),
        (signed_headers, credential, signature),
    ):
        for separator in (", ", ","):
            check(changed(sent, "authorization", f"{algorithm} {separator.join(parts)}"))


def test_an_unsigned_or_streamed_payload_is_taken_as_stated() -> None:
    for word in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        sent = sign(INVOKE, headers={"X-Amz-Content-SHA256": word}, body=b"one")
        check(replace(sent, body=b"another"))


def test_a_stated_body_digest_must_be_the_body_s() -> None:
    digest = hashlib.sha256(b"one").hexdigest()
    sent = sign(INVOKE, headers={"X-Amz-Content-SHA256": digest}, body=b"one")
    check(sent)
    with pytest.raises(InvalidSignature):
        check(replace(sent, body=b"another"))


def test_a_body_digest_that_the_caller_computed_is_used() -> None:
    sent = sign(INVOKE, body=b"large")
    raw = [(name.encode(), value.encode()) for name, value in sent.headers]
    verify(
        keys(),
        method="POST",
        raw_path=sent.raw_path,
        query_string="",
        headers=Headers(raw),
        body=b"",
        now_ms=NOW_MS,
        body_sha256=hashlib.sha256(b"large").hexdigest(),
    )


def refusal(sent: Sent, *, now_ms: float = NOW_MS) -> tuple[str, int, str]:
    with pytest.raises(MayflyError) as caught:
        check(sent, now_ms=now_ms)
    return caught.value.code, caught.value.status, caught.value.message


def test_no_signature_is_a_missing_token() -> None:
    sent = without(sign(INVOKE), "authorization")
    assert refusal(sent)[:2] == ("MissingAuthenticationTokenException", 403)


def test_an_unknown_key_is_an_unrecognized_client() -> None:
    sent = sign(INVOKE)
    authorization = dict(sent.headers)["Authorization"].replace(KEY_ID, "AKIASOMEBODYELSE0000")
    assert refusal(changed(sent, "authorization", authorization)) == (
        "UnrecognizedClientException",
        403,
        "The security token included in the request is invalid.",
    )


@pytest.mark.parametrize("lacking", ["Credential", "SignedHeaders", "Signature"])
def test_an_incomplete_signature_names_what_it_lacks(lacking: str) -> None:
    sent = sign(INVOKE)
    authorization = re.sub(rf"{lacking}=[^, ]+,?", "", dict(sent.headers)["Authorization"])
    code, status, message = refusal(changed(sent, "authorization", authorization))
    assert (code, status) == ("IncompleteSignatureException", 400)
    assert f"'{lacking}'" in message


@pytest.mark.parametrize(
    "authorization",
    ["Bearer abc", "AWS4-HMAC-SHA256", "AWS AKIA:sig", "AWS4-HMAC-SHA256 Credential=a/b", "é", ""],
)
def test_nonsense_in_the_header_is_an_incomplete_signature(authorization: str) -> None:
    sent = changed(sign(INVOKE), "authorization", authorization)
    assert refusal(sent)[:2] == ("IncompleteSignatureException", 400)


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=200))
def test_no_authorization_header_whatever_gets_past_or_crashes(authorization: str) -> None:
    for written in (authorization, f"AWS4-HMAC-SHA256 {authorization}"):
        with pytest.raises(MayflyError):
            check(changed(sign(INVOKE), "authorization", written))


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_no_presigned_query_whatever_gets_past_or_crashes(query: str) -> None:
    sent = without(sign(INVOKE), "authorization")
    for written in (query, f"X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}"):
        with pytest.raises(MayflyError):
            check(replace(sent, query_string=written))


def test_five_minutes_of_skew_are_allowed_both_ways() -> None:
    sent = sign(INVOKE)
    check(sent, now_ms=NOW_MS + 299_000)
    check(sent, now_ms=NOW_MS - 299_000)


def test_an_expired_signature_says_by_how_much() -> None:
    assert refusal(sign(INVOKE), now_ms=NOW_MS + 600_000) == (
        "InvalidSignatureException",
        403,
        (
            "Signature expired: 20260301T120000Z is now earlier than 20260301T120500Z "
            "(20260301T121000Z - 5 min.)"
        ),
    )


def test_a_signature_from_the_future_is_not_yet_current() -> None:
    assert refusal(sign(INVOKE), now_ms=NOW_MS - 600_000) == (
        "InvalidSignatureException",
        403,
        (
            "Signature not yet current: 20260301T120000Z is still later than 20260301T115500Z "
            "(20260301T115000Z + 5 min.)"
        ),
    )


def test_a_presigned_query_lives_as_long_as_it_says() -> None:
    sent = sign(INVOKE, method="GET", auth=botocore.auth.SigV4QueryAuth, expires=3600)
    check(sent, now_ms=NOW_MS + 3_599_000)
    code, status, message = refusal(sent, now_ms=NOW_MS + 3_601_000)
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith("Signature expired: 20260301T120000Z is now earlier than")


@pytest.mark.parametrize("expires", [0, -1, 604_801, "x", "", 10**30])
def test_a_presigned_query_lives_from_a_second_to_a_week(expires: object) -> None:
    sent = sign(INVOKE, method="GET", auth=botocore.auth.SigV4QueryAuth, expires=expires)
    assert refusal(sent)[:2] == ("IncompleteSignatureException", 400)


def test_the_host_must_be_signed() -> None:
    sent = sign(INVOKE)
    authorization = dict(sent.headers)["Authorization"].replace("host;", "")
    assert refusal(changed(sent, "authorization", authorization))[0] == "InvalidSignatureException"


def test_a_scope_of_another_day_is_refused() -> None:
    sent = sign(INVOKE)
    authorization = dict(sent.headers)["Authorization"].replace("/20260301/", "/20260302/")
    code, _, message = refusal(changed(sent, "authorization", authorization))
    assert code == "InvalidSignatureException"
    assert "does not match YYYYMMDD" in message


def test_a_temporary_key_needs_its_session_token() -> None:
    known = keys()
    known.add(Credential(KEY_ID + "T", SECRET, "arn:aws:sts::000000000000:x", "the-token"))
    request = AWSRequest(method="POST", url=INVOKE, data=b"")
    signer = botocore.auth.SigV4Auth(
        Credentials(KEY_ID + "T", SECRET, "the-token"), "lambda", "us-east-1"
    )
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        signer.add_auth(request)
    headers = (("Host", "127.0.0.1:9000"), *request.headers.items())
    sent = Sent("POST", urlsplit(INVOKE).path, "", headers)
    assert check(sent, by=known).arn == "arn:aws:sts::000000000000:x"
    with pytest.raises(UnrecognizedClient):
        check(changed(sent, "x-amz-security-token", "another"), by=known)
    with pytest.raises(UnrecognizedClient):
        check(without(sent, "x-amz-security-token"), by=known)
    known.remove(KEY_ID + "T")
    with pytest.raises(UnrecognizedClient):
        check(sent, by=known)


def test_our_own_presigned_address_is_accepted_and_cannot_be_turned_to_another() -> None:
    url = presign(
        keys(),
        method="GET",
        url="http://127.0.0.1:9000/_mayfly/code/abc",
        service="mayfly",
        now_ms=NOW_MS,
    )
    parts = urlsplit(url)
    sent = Sent("GET", parts.path, parts.query, (("host", parts.netloc),))
    assert check(sent).service == "mayfly"
    with pytest.raises(InvalidSignature):
        check(replace(sent, raw_path="/_mayfly/code/abd"))
    with pytest.raises(InvalidSignature):
        check(sent, now_ms=NOW_MS + 601_000)


def test_a_request_without_any_query_or_header_is_a_missing_token() -> None:
    with pytest.raises(MissingAuthenticationToken):
        check(Sent("GET", "/", "", ()))


def test_a_date_that_is_none_is_incomplete() -> None:
    for written in ("20261301T120000Z", "20260301", "yesterday", "20260301T250000Z"):
        with pytest.raises(IncompleteSignature):
            check(changed(sign(INVOKE), "x-amz-date", written))
