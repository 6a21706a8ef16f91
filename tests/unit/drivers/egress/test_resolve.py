"""Which addresses a granted name may mean."""

from __future__ import annotations

import pytest

from mayfly.drivers.egress.resolve import AddressRefused, Resolver, allowed
from mayfly.testing.clock import VirtualClock


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("api.example.com", "93.184.216.34"),
        ("api.example.com", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"),
        ("db.internal", "10.1.2.3"),
        ("nas.local", "192.168.1.9"),
        ("router.home.arpa", "192.168.1.1"),
        ("db", "172.16.0.4"),
        ("localhost", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "127.0.0.1"),
        ("169.254.169.254", "169.254.169.254"),
    ],
)
def test_a_grant_covers_what_its_name_can_only_mean(host: str, address: str) -> None:
    assert allowed(host, (address,)) == (address,)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("evil.example.com", "127.0.0.1"),
        ("evil.example.com", "10.1.2.3"),
        ("evil.example.com", "192.168.0.1"),
        ("evil.example.com", "100.64.0.1"),
        ("evil.example.com", "169.254.169.254"),
        ("evil.example.com", "::1"),
        ("evil.example.com", "::ffff:127.0.0.1"),
        ("evil.example.com", "::ffff:169.254.169.254"),
        ("evil.example.com", "fe80::1%eth0"),
        ("evil.example.com", "fd00:ec2::254"),
        ("evil.example.com", "0.0.0.0"),
        ("evil.example.com", "224.0.0.1"),
        ("metadata.internal", "169.254.169.254"),
        ("db.internal", "0.0.0.0"),
        ("10.1.2.3", "10.1.2.4"),
        ("notinternal", "169.254.169.254"),
        ("example.com.internal.evil.com", "10.0.0.1"),
    ],
)
def test_a_public_name_is_not_taken_to_a_private_place(host: str, address: str) -> None:
    with pytest.raises(AddressRefused, match="grant the address itself"):
        allowed(host, (address,))


def test_refused_addresses_leave_the_others() -> None:
    assert allowed("two.example.com", ("127.0.0.1", "93.184.216.34")) == ("93.184.216.34",)


async def test_a_literal_needs_no_resolver() -> None:
    assert await Resolver(VirtualClock()).addresses("10.1.2.3") == ("10.1.2.3",)


async def test_a_name_that_is_not_there_is_refused_with_its_name() -> None:
    with pytest.raises(AddressRefused, match=r"no-such-host\.invalid cannot be resolved"):
        await Resolver(VirtualClock()).addresses("no-such-host.invalid")
