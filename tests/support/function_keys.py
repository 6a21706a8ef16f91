"""A function's key in the hands of somebody who stole it: clients and bare requests that use it.

thief = steal_key(platform, 'invoke = ["mine"]')
thief.client("lambda").list_functions()        thief.ask("s3", "GET", "/bucket/key")
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials

from tests.support.control import deploy
from tests.support.platform import REGION, HttpAnswer, Platform

_APP = """
import os

def handler(event, context):
    return dict(os.environ)
"""
_CONFIG = Config(
    retries={"total_max_attempts": 1}, parameter_validation=False, s3={"addressing_style": "path"}
)
_WAIT_S = 30.0


@dataclass(frozen=True, eq=False)
class Key:
    """A key and the platform that it is of."""

    platform: Platform
    credentials: Credentials

    @lru_cache(maxsize=16)  # noqa: B019  as long as the test's module
    def client(self, service: str) -> BaseClient:
        """An unmodified boto3 client; parameters are checked by the platform, not by boto3."""
        return boto3.Session(
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            aws_session_token=self.credentials.token,
            region_name=REGION,
        ).client(service, endpoint_url=self.platform.endpoint, config=_CONFIG)

    def ask(
        self,
        service: str,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """One request, its path sent as it stands here.

        Args:
            path: Percent-encoded, with its query.
            headers: Signed as well.
        """
        request = AWSRequest(method, self.platform.endpoint + path, headers=headers, data=body)
        if service == "s3":
            S3SigV4Auth(self.credentials, service, REGION).add_auth(request)
        else:
            SigV4Auth(self.credentials, service, REGION).add_auth(request)
        return send(self.platform, method, path, body, dict(request.headers.items()))

    def target(self, service: str, target: str, members: object) -> HttpAnswer:
        """One request of a JSON protocol: X-Amz-Target and a document."""
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
        return self.ask(service, "POST", "/", json.dumps(members).encode(), headers)


def send(
    platform: Platform,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """One request as it stands: urllib and botocore would both tidy up its path."""
    place = urllib.parse.urlsplit(platform.endpoint)
    assert place.hostname is not None
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=_WAIT_S)
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        answer = connection.getresponse()
        return HttpAnswer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def owner_key(platform: Platform) -> Key:
    """The owner's own key, for the same probes."""
    return Key(platform, Credentials(platform.access_key_id, platform.secret_access_key))


def make_function(platform: Platform, name: str, grants: str = "", more: str = "") -> None:
    """Deploy a function that answers with its environment.

    Args:
        grants: Lines of `[grants]`.
        more: Further tables of the manifest.
    """
    manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n[grants]\n{grants}\n{more}\n'
    last = deploy(platform, {"mayfly.toml": manifest, "app.py": _APP})
    assert "error" not in last, last


def steal_key(platform: Platform, name: str, grants: str) -> Key:
    """Make a function with these grants, and take its key out of it."""
    make_function(platform, name, grants)
    return key_of(platform, name)


def key_of(platform: Platform, name: str) -> Key:
    """The key of the snapshot that a function has now."""
    answer = platform.client().invoke(FunctionName=name)
    told: dict[str, str] = json.loads(answer["Payload"].read())
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return Key(platform, Credentials(*(told[one] for one in names)))
