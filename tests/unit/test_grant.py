"""What a grant reaches."""

from __future__ import annotations

import pytest

from mayfly.model.errors import InvalidParameter
from mayfly.model.grant import Grant, GrantKind, covers_host, parse_grant


@pytest.mark.parametrize(
    ("written", "asked", "given"),
    [
        ("photos:read", "photos", True),
        ("photos:read", "photos/in/a.jpg", True),
        ("photos:read", "photos2/in/a.jpg", False),
        ("photos/in:read", "photos/in/a.jpg", True),
        ("photos/in/:read", "photos/in/a.jpg", True),
        ("photos/in/:read", "photos/inside.jpg", False),
        ("photos/in/:read", "photos/out/a.jpg", False),
        ("photos/in/:read", "photos", False),
        ("photos/in/:read", "other/in/a.jpg", False),
    ],
)
def test_a_grant_of_objects_reaches_its_prefix(written: str, asked: str, *, given: bool) -> None:
    grant = parse_grant(GrantKind.OBJECTS, written)
    assert grant.allows(GrantKind.OBJECTS, asked, "read") is given
    assert not grant.allows(GrantKind.OBJECTS, asked, "write")


def test_a_grant_gives_nothing_of_another_kind() -> None:
    grant = Grant(GrantKind.TABLES, "orders", "read")
    assert grant.allows(GrantKind.TABLES, "orders", "read")
    assert not grant.allows(GrantKind.TABLES, "orders2", "read")
    assert not grant.allows(GrantKind.QUEUES, "orders", "read")


@pytest.mark.parametrize(
    "written",
    [
        "*.com:443",
        "*:443",
        "a.*.com:443",
        "*a.example.com:443",
        "*.*.example.com:443",
        "*.10.9.8.7:443",
        "*.example.com",
        "[::1]:443",
        "exa mple:80",
        "-a:80",
        "a..b:80",
        "a:0",
        "a",
        ":80",
        "a/b:1",
    ],
)
def test_a_net_grant_that_no_door_can_be_is_refused(written: str) -> None:
    with pytest.raises(InvalidParameter, match="grant net"):
        parse_grant(GrantKind.NET, written)


def test_a_host_is_written_in_any_case() -> None:
    assert parse_grant(GrantKind.NET, "API.Example.com:443").target == "api.example.com:443"


def test_a_wildcard_is_the_first_label_of_a_domain_and_covers_one() -> None:
    target = parse_grant(GrantKind.NET, "*.Example.com:443").target
    assert target == "*.example.com:443"
    covered = ["a.example.com", "a.b.example.com", "example.com", ".example.com", "a.example.org"]
    assert [covers_host("*.example.com", one) for one in covered] == [True, *[False] * 4]
