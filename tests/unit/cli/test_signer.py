from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from mayfly.cli.signer import Key, sign
from tests.unit.cli.fake_platform import ACCESS_KEY_ID, SECRET, Request, is_signed

ENDPOINT = "http://127.0.0.1:9000"
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
SEGMENTS = WORDS.map(lambda word: quote(word, safe="")).filter(
    lambda word: word not in ("", ".", "..")
)


@given(
    segments=st.lists(SEGMENTS, min_size=1, max_size=4),
    query=st.dictionaries(WORDS.filter(bool), WORDS, max_size=4),
    values=st.lists(st.from_regex(r"[A-Za-z0-9=/ .+-]{1,20}", fullmatch=True), max_size=2),
    body=st.binary(max_size=64),
    service=st.sampled_from(["mayfly", "lambda"]),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
)
def test_botocore_comes_to_the_same_signature(
    segments: list[str],
    query: dict[str, str],
    values: list[str],
    body: bytes,
    service: str,
    method: str,
) -> None:
    path = "/" + "/".join(segments)
    wire_query = urlencode(query, quote_via=quote)
    given_headers = {f"x-amz-meta-{index}": value for index, value in enumerate(values)}
    headers = sign(
        method=method,
        path=path,
        query=wire_query,
        headers={"host": "127.0.0.1:9000", **given_headers},
        body=body,
        key=Key(ACCESS_KEY_ID, SECRET),
        service=service,
        amazon_date="20260131T235959Z",
    )
    received = dict(parse_qsl(wire_query, keep_blank_values=True))
    assert is_signed(Request(method, path, received, headers, body), ENDPOINT)


def test_another_secret_makes_another_signature() -> None:
    headers = sign(
        method="GET",
        path="/",
        query="",
        headers={"host": "127.0.0.1:9000"},
        body=b"",
        key=Key(ACCESS_KEY_ID, SECRET + "x"),
        service="mayfly",
        amazon_date="20260131T235959Z",
    )
    assert not is_signed(Request("GET", "/", {}, headers, b""), ENDPOINT)
