"""Well signed requests of no sense, to every operation: refused, or done, and never a failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.security.hostile_requests import Fuzzer
from tests.support.platform import Platform, run_platform

REQUESTS = 800


@pytest.fixture
def platform_alone() -> Iterator[Platform]:
    """One that nobody else speaks to: its log is this test's."""
    with run_platform() as running:
        yield running


def test_no_request_makes_the_platform_fail(platform_alone: Platform) -> None:
    fuzzer = Fuzzer(platform_alone, seed=1)
    fuzzer.run(REQUESTS)
    assert fuzzer.sent >= REQUESTS // 2, "the probe is broken: hardly a request was sent"
    assert not fuzzer.found
    assert "event=request_failed" not in platform_alone.log()
    assert platform_alone.get("/_mayfly/health").status == 200


def test_a_version_id_with_a_line_break_begins_no_header(platform_alone: Platform) -> None:
    objects = platform_alone.client("s3")
    objects.create_bucket(Bucket="lines")
    for version_id in ("\r\nX-Injected: yes", "a\nb", "é"):
        with pytest.raises(ClientError) as refused:
            objects.delete_object(Bucket="lines", Key="k", VersionId=version_id)
        assert refused.value.response["Error"]["Code"] == "InvalidArgument"
