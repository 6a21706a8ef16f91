"""A refused attempt is an error to the function, and to its owner a line, a count and an event."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from mayfly.daemon.world import RealClock
from tests.support.control import ask, deploy
from tests.support.function_keys import Key, owner_key, steal_key
from tests.support.platform import Platform, run_platform

APP = """
import os, urllib.error, urllib.request

def handler(event, context):
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + event["path"])
    request.headers.update(event.get("headers", {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as refused:
        return [refused.code, refused.read().decode()]
"""
WAIT_S = 20.0


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as one:
        yield one


@pytest.fixture(scope="module")
def thief(platform: Platform) -> Key:
    owner_key(platform).client("s3").create_bucket(Bucket="photos")
    return steal_key(platform, "thief", 'objects = ["photos/in/:read"]')


def _log(platform: Platform, name: str, words: str) -> list[str]:
    """The function's log, once it has these words."""
    until_s = RealClock().monotonic_s() + WAIT_S
    while True:
        body = ask(platform, "GET", f"/_mayfly/v1/logs/{name}?since_ms=0&limit=1000").body
        lines = [json.loads(one)["text"] for one in body.splitlines()]
        if any(words in one for one in lines):
            return lines
        assert RealClock().monotonic_s() < until_s, lines


@pytest.mark.parametrize(
    ("service", "attempt", "grant", "label"),
    [
        (
            "s3",
            ("GET", "/photos/out/a.txt"),
            'objects = ["photos/out/a.txt:read"]',
            "objects:photos:read",
        ),
        ("s3", ("HEAD", "/others"), 'objects = ["others:read"]', "objects:others:read"),
        ("s3", ("PUT", "/photos/a"), 'objects = ["photos/a:write"]', "objects:photos:write"),
        ("lambda", ("POST", "/2015-03-31/functions/f/invocations"), 'invoke = ["f"]', "invoke:f"),
        (
            "dynamodb",
            ("POST", "DynamoDB_20120810.Scan"),
            'tables = ["ttt:read"]',
            "tables:ttt:read",
        ),
        ("sqs", ("POST", "AmazonSQS.ReceiveMessage"), 'queues = ["q:receive"]', "queues:q:receive"),
    ],
)
def test_what_was_missing_is_in_the_functions_log_and_counted(
    platform: Platform,
    thief: Key,
    service: str,
    attempt: tuple[str, str],
    grant: str,
    label: str,
) -> None:
    method, path = attempt
    members = {"TableName": "ttt", "QueueUrl": "http://x/000000000000/q"}
    for _ in range(2):
        if path.startswith("/"):
            answer = thief.ask(service, method, path)
        else:
            answer = thief.target(service, path, members)
        assert answer.status == 403
    lines = _log(platform, "thief", grant)
    assert len([one for one in lines if grant in one]) == 1
    series = f'mayfly_grants_missing_total{{function="thief",grant="{label}"}} '
    (count,) = (
        float(one.removeprefix(series))
        for one in platform.get("/metrics").body.decode().splitlines()
        if one.startswith(series)
    )
    assert count >= 2
    assert f"event=grant_missing function=thief grant={label.partition(':')[0]}" in platform.log()


def test_the_line_ends_the_want(platform: Platform) -> None:
    """What the line says to write into the manifest is what was missing."""
    key = steal_key(platform, "wanting", 'objects = ["photos/in/:read"]')
    with pytest.raises(ClientError, match="wanting"):
        key.client("s3").put_object(Bucket="photos", Key="out/b.txt", Body=b"")
    (line,) = [one for one in _log(platform, "wanting", "refused") if "refused" in one]
    said = line.partition("missing: ")[2].partition(" under")[0]
    again = steal_key(platform, "content", said)
    assert again.client("s3").put_object(Bucket="photos", Key="out/b.txt", Body=b"")


def test_a_flood_of_attempts_is_counted_and_not_written_out(platform: Platform) -> None:
    key = steal_key(platform, "flood", 'objects = ["photos/in/:read"]')
    names = "".join(f"<Object><Key>k{one}</Key></Object>" for one in range(1_000))
    key.ask("s3", "POST", "/photos?delete", f"<Delete>{names}</Delete>".encode())
    lines = [one for one in _log(platform, "flood", "k0") if "refused" in one]
    assert len(lines) <= 20
    series = 'mayfly_grants_missing_total{function="flood",grant="objects:photos:write"} 1000.0'
    assert series in platform.get("/metrics").body.decode()


def test_by_its_door_a_function_is_not_told_of_others(platform: Platform) -> None:
    manifest = '[function]\nname = "curious"\nhandler = "app.handler"\n[grants]\n'
    files = {"mayfly.toml": f'{manifest}objects = ["photos:read"]\n', "app.py": APP}
    assert "error" not in deploy(platform, files)

    def look(path: str, **headers: str) -> list[object]:
        event = json.dumps({"path": path, "headers": headers}).encode()
        answer = platform.client().invoke(FunctionName="curious", Payload=event)
        found: list[object] = json.loads(answer["Payload"].read())
        return found

    for path in ("/metrics", "/_mayfly/health"):
        for headers in ({}, {"Host": "localhost"}, {"X-Forwarded-For": "127.0.0.1"}):
            status, said = look(path, **headers)
            assert status == 403, said
            assert "thief" not in str(said)
        assert platform.get(path).status == 200
    assert look("/")[0] == 200
