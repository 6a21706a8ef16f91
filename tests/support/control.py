"""The platform's own API, spoken to as the command line speaks to it: signed JSON over HTTP."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator, Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.platform import REGION, HttpAnswer, Platform, zipped

SILENCE_S = 30.0


def signed(
    platform: Platform, method: str, path: str, body: bytes = b"", *, service: str = "mayfly"
) -> dict[str, str]:
    """The headers of a request signed with the platform's key."""
    request = AWSRequest(method=method, url=platform.endpoint + path, data=body)
    key = Credentials(platform.access_key_id, platform.secret_access_key)
    SigV4Auth(key, service, REGION).add_auth(request)
    return dict(request.headers.items())


def ask(platform: Platform, method: str, path: str, body: bytes = b"") -> HttpAnswer:
    """One signed request to the control API."""
    connection = _connected(platform)
    connection.request(method, path, body, signed(platform, method, path, body))
    answer = connection.getresponse()
    found = HttpAnswer(answer.status, dict(answer.getheaders()), answer.read())
    connection.close()
    return found


def residents(platform: Platform) -> list[dict[str, object]]:
    """The snapshots and isolates now alive, as `mayfly ps` gets them."""
    found: list[dict[str, object]] = json.loads(ask(platform, "GET", "/_mayfly/v1/ps").body)[
        "residents"
    ]
    return found


def deploy(platform: Platform, files: Mapping[str, str | bytes]) -> dict[str, object]:
    """Deploy a folder with mayfly.toml as `mayfly deploy` does; the last line of the answer."""
    answer = ask(platform, "PUT", "/_mayfly/v1/deploy", zipped(files))
    last: dict[str, object] = json.loads(answer.body.splitlines()[-1])
    return last


def follow_log(platform: Platform, name: str) -> Iterator[str]:
    """The lines of a function's log: those that are there, then those that come."""
    path = f"/_mayfly/v1/logs/{name}?since_ms=0&limit=1000&follow=1"
    connection = _connected(platform)
    connection.request("GET", path, headers=signed(platform, "GET", path))
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    try:
        for line in answer:
            if line.strip():
                yield str(json.loads(line)["text"])
    finally:
        connection.close()


def _connected(platform: Platform) -> http.client.HTTPConnection:
    place = urllib.parse.urlsplit(platform.endpoint)
    assert place.hostname is not None
    return http.client.HTTPConnection(place.hostname, place.port, timeout=SILENCE_S)
