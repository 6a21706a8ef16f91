"""Keys: an order that memcmp sees, and the checks that a key must pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.stores.tables.definition import Key, KeyAttribute, KeyType
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.keys import (
    TOP,
    encode,
    index_key_of,
    key_item,
    key_of_item,
    key_of_request,
)
from mayfly.stores.tables.values import AttributeValue
from tests.unit.stores.tables.strategies import base64_of, wire

KEY = Key(KeyAttribute("pk", KeyType.STRING), KeyAttribute("sk", KeyType.NUMBER))
HASH = Key(KeyAttribute("pk", KeyType.BINARY))


@given(st.text(max_size=5), st.text(max_size=5))
def test_texts_are_ordered_by_their_utf_8(one: str, other: str) -> None:
    assert (encode(wire("S", one)) < encode(wire("S", other))) == (one.encode() < other.encode())


@given(st.binary(max_size=9), st.binary(max_size=9))
def test_binaries_are_ordered_by_their_bytes(one: bytes, other: bytes) -> None:
    first, second = encode(wire("B", base64_of(one))), encode(wire("B", base64_of(other)))
    assert (first, second) == (one, other)


def test_nothing_is_above_the_top() -> None:
    assert encode(wire("B", base64_of(b"\xff" * 1024))) < TOP


def test_a_key_of_a_request_is_exactly_the_keys_attributes() -> None:
    item, key = key_of_request(KEY, {"pk": {"S": "a"}, "sk": {"N": "1.0"}})
    assert item == {"pk": {"S": "a"}, "sk": {"N": "1"}}
    assert key == (b"a", b"\x02\x82\x10")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"S": "1"}},
        {"pk": {"N": "1"}, "sk": {"N": "1"}},
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "more": {"S": "b"}},
        {"pk": {"S": "a"}, "other": {"N": "1"}},
        None,
    ],
)
def test_a_key_that_does_not_match_is_refused(document: object) -> None:
    with pytest.raises(
        InvalidRequest, match=r"^The provided key element does not match the schema$"
    ):
        key_of_request(KEY, document)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"sk": {"N": "1"}}, "invalid: Missing the key pk in the item"),
        (
            {"pk": {"N": "1"}, "sk": {"N": "1"}},
            "invalid: Type mismatch for key pk expected: S actual: N",
        ),
        (
            {"pk": {"S": ""}, "sk": {"N": "1"}},
            "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
        ),
        (
            {"pk": {"S": "a" * 2049}, "sk": {"N": "1"}},
            "invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
    ],
)
def test_an_item_without_a_fit_key_is_refused(item: dict[str, AttributeValue], told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        key_of_item(KEY, item)
    assert str(refused.value).endswith(told)


def test_an_empty_binary_and_a_long_range_key_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"an empty binary value\. Key: pk$"):
        key_of_request(HASH, {"pk": {"B": ""}})
    key = Key(KeyAttribute("pk", KeyType.STRING), KeyAttribute("sk", KeyType.STRING))
    with pytest.raises(InvalidRequest, match="Aggregated size of all range keys has exceeded"):
        key_of_item(key, {"pk": {"S": "a"}, "sk": {"S": "b" * 1025}})


def test_an_item_is_in_an_index_when_it_has_the_indexs_attributes() -> None:
    whole = wire("S", "a"), wire("N", "7")
    found = index_key_of(KEY, {"pk": whole[0], "sk": whole[1]}, index_name="i")
    assert found == (b"a", encode(whole[1]))
    assert index_key_of(KEY, {"pk": whole[0]}, index_name="i") is None


def test_an_index_refuses_a_wrong_type_and_an_empty_value() -> None:
    with pytest.raises(InvalidRequest, match=r"Index Key sk Expected: N Actual: S IndexName: i$"):
        index_key_of(KEY, {"sk": {"S": "x"}}, index_name="i")
    with pytest.raises(InvalidRequest, match=r"empty string value\. IndexName: i, IndexKey: pk$"):
        index_key_of(KEY, {"pk": {"S": ""}}, index_name="i")


def test_only_the_keys_attributes_make_a_key() -> None:
    item = {"pk": wire("S", "a"), "sk": wire("N", "1"), "x": wire("S", "b")}
    assert key_item(KEY, item) == {"pk": wire("S", "a"), "sk": wire("N", "1")}
