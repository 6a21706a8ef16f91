"""Open routes answer only under names that nobody else controls."""

from __future__ import annotations

import pytest

from mayfly.api.hosts import HostCheck, HostRefused

OURS = [
    "127.0.0.1",
    "127.0.0.1:9000",
    "127.1.2.3:80",
    "localhost",
    "LOCALHOST:9000",
    "abc.lambda-url.us-east-1.localhost:9000",
    "[::1]:9000",
    "::1",
    "localhost.",
    "box.lan:9000",
]
FOREIGN = [
    "evil.example",
    "evil.example:9000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "notlocalhost",
    "10.0.0.1",
    "[fe80::1]:9000",
    "",
    "localhost:9000:evil",
    "evil.example#localhost",
    "evil.example/.localhost@",
]


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine_are_answered(host: str) -> None:
    check = HostCheck("127.0.0.1", "box.lan")
    check.require(host)
    check.require(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_refused_and_told_what_to_use(host: str) -> None:
    check = HostCheck("127.0.0.1", "box.lan")
    for _ in range(2):
        with pytest.raises(HostRefused, match=r"127\.0\.0\.1 or localhost"):
            check.require(host)


def test_a_request_without_host_is_no_browser_s() -> None:
    HostCheck("127.0.0.1").require(None)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_server_that_listens_to_the_network_takes_any_name(host: str) -> None:
    HostCheck("0.0.0.0").require(host)


def test_what_is_remembered_is_bounded() -> None:
    check = HostCheck("127.0.0.1")
    for n in range(2_000):
        check.require(f"a{n}.localhost")
    assert len(check._good) <= 256
