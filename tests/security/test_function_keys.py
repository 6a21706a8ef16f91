"""A function's own key: it opens what was granted, and dies with the snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.control import ask, deploy
from tests.support.platform import REGION, Platform, run_platform

Json = Any
APP = """
import os

def handler(event, context):
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")
    return {name: os.environ.get(name) for name in names}
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as one:
        yield one


def _function(platform: Platform, grants: str) -> str:
    name = platform.new_name("keys")
    manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n[grants]\n{grants}\n'
    last = deploy(platform, {"mayfly.toml": manifest, "app.py": APP})
    assert "error" not in last, last
    return name


def _key_of(platform: Platform, name: str) -> Json:
    answer = platform.client().invoke(FunctionName=name)
    return json.loads(answer["Payload"].read())


def _as_function(platform: Platform, key: Json, service: str) -> BaseClient:
    """A client outside that uses the function's key, as somebody would who had stolen it."""
    session = boto3.Session(
        aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=key["AWS_SESSION_TOKEN"],
        region_name=REGION,
    )
    config = Config(retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=platform.endpoint, config=config)


def test_a_function_without_grants_has_no_key(platform: Platform) -> None:
    key = _key_of(platform, _function(platform, ""))
    assert set(key.values()) == {None}


def test_a_key_opens_what_was_granted_and_names_what_was_not(platform: Platform) -> None:
    callee, other = _function(platform, ""), _function(platform, "")
    key = _key_of(platform, _function(platform, f'invoke = ["{callee}"]'))
    client = _as_function(platform, key, "lambda")
    assert client.invoke(FunctionName=callee)["StatusCode"] == 200
    with pytest.raises(ClientError, match=other) as refused:
        client.invoke(FunctionName=other)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert f'invoke = ["{other}"]' in str(refused.value)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_functions", {}),
        ("get_function", {"FunctionName": "x"}),
        ("delete_function", {"FunctionName": "x"}),
        ("put_function_concurrency", {"FunctionName": "x", "ReservedConcurrentExecutions": 1}),
    ],
)
def test_no_grant_gives_the_owners_operations(
    platform: Platform, operation: str, arguments: dict[str, Json]
) -> None:
    callee = _function(platform, "")
    key = _key_of(platform, _function(platform, f'invoke = ["{callee}"]'))
    client = _as_function(platform, key, "lambda")
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**arguments)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_key_needs_its_session_token(platform: Platform) -> None:
    callee = _function(platform, "")
    key = _key_of(platform, _function(platform, f'invoke = ["{callee}"]'))
    with pytest.raises(ClientError) as refused:
        _as_function(platform, {**key, "AWS_SESSION_TOKEN": "other"}, "lambda").invoke(
            FunctionName=callee
        )
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_a_key_dies_with_its_snapshot(platform: Platform) -> None:
    callee = _function(platform, "")
    name = _function(platform, f'invoke = ["{callee}"]')
    client = _as_function(platform, _key_of(platform, name), "lambda")
    assert client.invoke(FunctionName=callee)["StatusCode"] == 200
    assert ask(platform, "DELETE", f"/_mayfly/v1/functions/{name}").status == 204

    def until_refused() -> None:
        # The snapshot takes a moment to be buried.
        for _ in range(200):
            client.invoke(FunctionName=callee)

    with pytest.raises(ClientError) as refused:
        until_refused()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
