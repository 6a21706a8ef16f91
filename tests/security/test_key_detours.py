"""A function's own key on other ways to the same things: function URLs, archives, other scopes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.control import deploy
from tests.support.platform import REGION, HttpAnswer, Platform, fetch, run_platform

APP = """
import os

def handler(event, context):
    return dict(os.environ)
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as one:
        yield one


def make(platform: Platform, name: str, more: str = "") -> None:
    manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n{more}\n'
    last = deploy(platform, {"mayfly.toml": manifest, "app.py": APP})
    assert "error" not in last, last


@pytest.fixture(scope="module")
def key(platform: Platform) -> Credentials:
    """The key of a function that may invoke "open" and nothing else."""
    for name in ("open", "shut"):
        make(platform, name, '[url]\nauth = "iam"')
    make(platform, "thief", '[grants]\ninvoke = ["open"]')
    answer = platform.client().invoke(FunctionName="thief")
    told: dict[str, Any] = json.loads(answer["Payload"].read())
    return Credentials(
        told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], told["AWS_SESSION_TOKEN"]
    )


def get(url: str, key: Credentials, service: str = "lambda", method: str = "GET") -> HttpAnswer:
    body = b"{}" if method == "POST" else None
    request = AWSRequest(method=method, url=url, data=body)
    SigV4Auth(key, service, REGION).add_auth(request)
    return fetch(url, method=method, data=body, headers=dict(request.headers.items()))


def test_a_url_of_a_function_that_was_not_granted_is_shut(
    platform: Platform, key: Credentials
) -> None:
    client = platform.client()
    urls = {
        name: client.get_function_url_config(FunctionName=name)["FunctionUrl"]
        for name in ("open", "shut")
    }
    assert get(urls["open"], key).status == 200
    assert get(urls["shut"], key).status == 403


def test_an_archive_is_the_owners(platform: Platform, key: Credentials) -> None:
    location = platform.client().get_function(FunctionName="open")["Code"]["Location"]
    plain = location.partition("?")[0]
    owner = Credentials(platform.access_key_id, platform.secret_access_key)
    assert get(plain, owner).status == 200
    for service in ("lambda", "s3", "mayfly"):
        assert get(plain, key, service).status == 403


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("service", ["s3", "sqs", "mayfly", "sts"])
def test_a_signature_for_another_service_invokes_nothing(platform: Platform, service: str) -> None:
    owner = Credentials(platform.access_key_id, platform.secret_access_key)
    url = f"{platform.endpoint}/2015-03-31/functions/open/invocations"
    assert get(url, owner, method="POST").status == 200
    refused = get(url, owner, service, "POST")
    assert refused.status == 403
    assert b"correct service" in refused.body


def test_the_control_api_is_the_owners(platform: Platform, key: Credentials) -> None:
    for path in ("events", "functions", "ps"):
        assert get(f"{platform.endpoint}/_mayfly/v1/{path}", key, "mayfly").status == 403
