"""Grants that change without a deploy: by hand, by a tag, and what a deploy takes away."""

from __future__ import annotations

import pytest

from mayfly.model import granting
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Settings
from mayfly.model.grant import GrantOrigin

NET, PHOTOS, MAIL = granting.parse_grants(
    ["net=api.example.com:443", "objects=photos/in:read", "queues=mail:send"]
)


def settings(*words: str) -> Settings:
    """As a manifest with these grants makes them."""
    return Settings(
        handler="app.handler", runtime="python3.11", grants=granting.parse_grants(words)
    )


def test_a_grant_is_read_as_it_is_written() -> None:
    for word in ("net=api.example.com:443", "objects=a/b=c:read", "invoke=f", "secrets=s-1"):
        assert [granting.written(one) for one in granting.parse_grants([word, word])] == [word]


@pytest.mark.parametrize("word", ["", "net", "net=", "nets=a:1", "net:a:1", "tables=orders", "=x"])
def test_a_word_that_is_no_grant_is_refused_with_the_form(word: str) -> None:
    with pytest.raises(InvalidParameter, match=r"write|must"):
        granting.parse_grants([word])


def test_a_grant_by_hand_comes_after_the_manifest_s_and_is_known_as_such() -> None:
    made = granting.with_grants(settings("net=api.example.com:443"), [MAIL], GrantOrigin.HAND)
    assert made.grants == (NET, MAIL)
    assert granting.origin(made, NET) is GrantOrigin.MANIFEST
    assert granting.origin(made, MAIL) is GrantOrigin.HAND


def test_what_is_granted_twice_stays_whose_it_was() -> None:
    before = settings("net=api.example.com:443")
    assert granting.with_grants(before, [NET], GrantOrigin.HAND) == before
    tagged = granting.with_tags(before, {granting.TAG: "net=api.example.com:443"})
    assert granting.origin(tagged, NET) is GrantOrigin.MANIFEST
    assert granting.with_tags(tagged, {}).grants == (NET,)


def test_a_revoked_grant_is_gone_whoever_gave_it() -> None:
    made = granting.with_grants(settings("net=api.example.com:443"), [MAIL], GrantOrigin.HAND)
    left = granting.without_grants(made, [NET, MAIL])
    assert left == settings()


def test_the_tag_says_exactly_what_it_gives() -> None:
    both = granting.with_tags(
        settings(), {granting.TAG: " objects=photos/in:read queues=mail:send"}
    )
    assert both.grants == (PHOTOS, MAIL)
    assert granting.origin(both, MAIL) is GrantOrigin.TAG
    one = granting.with_tags(both, {granting.TAG: "queues=mail:send", "team": "x"})
    assert one.grants == (MAIL,)
    assert granting.with_tags(one, {"team": "x"}).grants == ()


def test_a_revoked_grant_is_taken_out_of_the_tag_that_gave_it() -> None:
    both = granting.with_tags(settings(), {granting.TAG: "objects=photos/in:read queues=mail:send"})
    one = granting.without_grants(both, [PHOTOS])
    assert one.tags == {granting.TAG: "queues=mail:send"}
    assert granting.without_grants(one, [MAIL]).tags == {}


def test_other_tags_leave_grants_and_their_order_alone() -> None:
    tagged = granting.with_tags(settings(), {granting.TAG: "queues=mail:send"})
    both = granting.with_grants(tagged, [NET], GrantOrigin.HAND)
    after = granting.with_tags(both, {**both.tags, "team": "x"})
    assert after.grants == both.grants
    assert after.granted_by == both.granted_by


def test_a_tag_that_is_no_list_of_grants_is_refused_with_an_example() -> None:
    with pytest.raises(InvalidParameter, match=r"mayfly:grants .*net=api\.example\.com:443"):
        granting.with_tags(settings(), {granting.TAG: "everything"})


def test_a_deploy_loses_what_its_manifest_does_not_say() -> None:
    before = granting.with_grants(settings("invoke=f"), [NET, MAIL], GrantOrigin.HAND)
    assert granting.lost(before, settings("net=api.example.com:443")) == (MAIL,)


def test_grants_are_bounded() -> None:
    many = granting.parse_grants(f"net=h{n}.example.com:443" for n in range(64))
    with pytest.raises(InvalidParameter, match="more than 63"):
        granting.with_grants(settings(), many, GrantOrigin.HAND)
    assert len(granting.with_grants(settings(), many[:63], GrantOrigin.HAND).grants) == 63
    tables = granting.parse_grants(f"tables=t{n}:read" for n in range(257))
    with pytest.raises(InvalidParameter, match="more than 256"):
        granting.with_grants(settings(), tables, GrantOrigin.HAND)
