"""Secrets of functions: there at import when granted, renewed when changed, nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.control import ask, deploy
from tests.support.platform import Platform, run_platform

Json = Any
APP = """
import os

AT_IMPORT = {name: value for name, value in os.environ.items() if "STRIPE" in name}

def handler(event, context):
    return AT_IMPORT
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as one:
        yield one


def _function(platform: Platform, grants: str) -> tuple[str, Json]:
    name = platform.new_name("secrets")
    manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n[grants]\n{grants}\n'
    return name, deploy(platform, {"mayfly.toml": manifest, "app.py": APP})


def _call(platform: Platform, name: str) -> Json:
    return json.loads(platform.client().invoke(FunctionName=name)["Payload"].read())


def _set(platform: Platform, name: str, value: str) -> None:
    assert ask(platform, "PUT", f"/_mayfly/v1/secrets/{name}", value.encode()).status == 200


def test_a_granted_secret_is_there_at_import_and_no_other_is(platform: Platform) -> None:
    _set(platform, "stripe-key", "sk_1")
    _set(platform, "stripe-other", "sk_2")
    granted, _ = _function(platform, 'secrets = ["stripe-key"]')
    without, _ = _function(platform, "")
    assert _call(platform, granted) == {"STRIPE_KEY": "sk_1"}
    assert _call(platform, without) == {}


def test_a_new_value_makes_a_new_snapshot_at_once(platform: Platform) -> None:
    _set(platform, "stripe-renewed", "old")
    name, _ = _function(platform, 'secrets = ["stripe-renewed"]')
    assert _call(platform, name) == {"STRIPE_RENEWED": "old"}
    for value in ("new", "newer"):
        _set(platform, "stripe-renewed", value)
        assert _call(platform, name) == {"STRIPE_RENEWED": value}


def test_a_deploy_that_is_granted_a_secret_that_is_not_there_changes_nothing(
    platform: Platform,
) -> None:
    name, last = _function(platform, 'secrets = ["stripe-missing"]')
    assert ask(platform, "GET", f"/_mayfly/v1/functions/{name}").status == 404
    assert "nothing was changed" in last["error"]["message"]
    assert "stripe-missing" in last["error"]["message"]
    assert "mayfly secret set" in last["error"]["message"]


def test_a_value_shows_nowhere_outside_the_function(platform: Platform) -> None:
    _set(platform, "stripe-hidden", "only-inside-4711")
    name, last = _function(platform, 'secrets = ["stripe-hidden"]')
    _call(platform, name)
    shown = [json.dumps(last), platform.log()]
    shown += [
        ask(platform, "GET", path).body.decode()
        for path in ("/_mayfly/v1/secrets", f"/_mayfly/v1/functions/{name}", "/_mayfly/v1/ps")
    ]
    shown += [json.dumps(platform.client().get_function(FunctionName=name), default=str)]
    assert not [text for text in shown if "only-inside-4711" in text]
    kept = [one.read_bytes() for one in platform.data.rglob("*") if one.is_file()]
    assert not [content for content in kept if b"only-inside-4711" in content]
