"""Grants that change while the function is in service: by hand and by tag, on a real platform."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.support.control import ask, deploy
from tests.support.platform import ROLE, RUNTIME, Platform, run_platform, zipped

PROBE = """
import os

def handler(event, context):
    return sorted(k for k in os.environ if k in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"))
"""
# Asks the other side, and waits for its word.
ASKING = """
import socket

def handler(event, context):
    try:
        with socket.create_connection(("127.0.0.1", %d), 30) as line:
            return line.recv(100).decode()
    except OSError as error:
        return "refused: " + str(error)
"""
PATIENCE_S = 20.0
KEYS = ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as running:
        yield running


def manifest(name: str, grants: str = "") -> dict[str, str | bytes]:
    text = (
        f'[function]\nname = "{name}"\nhandler = "app.handler"\ntimeout = 60\n[grants]\n{grants}\n'
    )
    return {"mayfly.toml": text, "app.py": PROBE}


def call(platform: Platform, name: str) -> object:
    answer = platform.client().invoke(FunctionName=name, Payload=b"{}")
    return json.loads(answer["Payload"].read())


def change(platform: Platform, method: str, name: str, *grants: str) -> dict[str, object]:
    body = json.dumps({"grants": grants}).encode()
    answer = ask(platform, method, f"/_mayfly/v1/grants/{name}", body)
    assert answer.status == 200, answer.body
    found: dict[str, object] = json.loads(answer.body)
    return found


def listed(platform: Platform, name: str) -> dict[str, str]:
    found = json.loads(ask(platform, "GET", f"/_mayfly/v1/grants/{name}").body)
    return {one["grant"]: one["from"] for one in found["grants"]}


def make(platform: Platform, name: str, **rest: object) -> str:
    made = platform.client().create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": zipped({"app.py": PROBE})},
        **rest,
    )
    return str(made["FunctionArn"])


def test_a_grant_holds_from_the_next_call_on_and_a_revoked_one_no_longer(
    platform: Platform,
) -> None:
    name = platform.new_name()
    assert "error" not in deploy(platform, manifest(name))
    assert call(platform, name) == []
    told = change(platform, "PUT", name, "queues=mail:send")
    assert told["changed"] is True
    assert call(platform, name) == KEYS
    assert listed(platform, name) == {"queues=mail:send": "hand"}
    assert change(platform, "PUT", name, "queues=mail:send")["changed"] is False
    change(platform, "DELETE", name, "queues=mail:send")
    assert call(platform, name) == []


def test_a_running_call_keeps_what_it_began_with(platform: Platform) -> None:
    name = platform.new_name()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE_S)
        port = server.getsockname()[1]
        files = {"mayfly.toml": manifest(name)["mayfly.toml"], "app.py": ASKING % port}
        deploy(platform, files)
        assert str(call(platform, name)).startswith("refused")
        change(platform, "PUT", name, f"net=127.0.0.1:{port}")
        running = pool.submit(call, platform, name)
        line, _ = server.accept()
        with line:
            change(platform, "DELETE", name, f"net=127.0.0.1:{port}")
            assert str(call(platform, name)).startswith("refused")
            line.sendall(b"well")
        assert running.result(PATIENCE_S) == "well"


def test_changes_at_the_same_time_are_all_kept(platform: Platform) -> None:
    name = platform.new_name()
    make(platform, name)
    words = [f"tables=t{number}:read" for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda one: change(platform, "PUT", name, one), words))
    assert set(listed(platform, name)) == set(words)


def test_a_deploy_takes_away_what_was_granted_by_hand_and_says_so(platform: Platform) -> None:
    name = platform.new_name()
    folder = manifest(name, 'invoke = ["f"]')
    deploy(platform, folder)
    change(platform, "PUT", name, "queues=mail:send", "tables=t:read")
    answer = ask(platform, "PUT", "/_mayfly/v1/deploy", zipped(folder))
    steps = [json.loads(line) for line in answer.body.splitlines()]
    taken = [one["taken"] for one in steps if one.get("step") == "grants"]
    assert taken == [["queues=mail:send", "tables=t:read"]]
    assert listed(platform, name) == {"invoke=f": "manifest"}


def test_a_tag_grants_and_its_end_revokes(platform: Platform) -> None:
    name = platform.new_name()
    arn = make(platform, name, Tags={"mayfly:grants": "queues=mail:send"})
    assert listed(platform, name) == {"queues=mail:send": "tag"}
    assert call(platform, name) == KEYS
    platform.client().tag_resource(Resource=arn, Tags={"mayfly:grants": "invoke=f tables=t:read"})
    assert listed(platform, name) == {"invoke=f": "tag", "tables=t:read": "tag"}
    change(platform, "DELETE", name, "invoke=f")
    tags = platform.client().list_tags(Resource=arn)["Tags"]
    assert tags == {"mayfly:grants": "tables=t:read"}
    platform.client().untag_resource(Resource=arn, TagKeys=["mayfly:grants"])
    assert listed(platform, name) == {}
    assert call(platform, name) == []


def test_a_function_of_aws_s_api_starts_with_nothing(platform: Platform) -> None:
    name = platform.new_name()
    make(platform, name)
    assert listed(platform, name) == {}
    assert call(platform, name) == []


def test_a_wrong_tag_is_aws_s_error_and_changes_nothing(platform: Platform) -> None:
    name = platform.new_name()
    arn = make(platform, name, Tags={"team": "x"})
    for value in ("everything", "net=a", "queues=mail:send tables=t"):
        with pytest.raises(ClientError) as refused:
            platform.client().tag_resource(Resource=arn, Tags={"mayfly:grants": value})
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert platform.client().list_tags(Resource=arn)["Tags"] == {"team": "x"}
    with pytest.raises(ClientError, match="InvalidParameterValueException"):
        make(platform, platform.new_name(), Tags={"mayfly:grants": "net"})


@pytest.mark.parametrize(
    ("method", "body", "status", "word"),
    [
        ("PUT", b"", 400, "grants are given as"),
        ("PUT", b'{"grants": []}', 400, "no grant was given"),
        ("PUT", b'{"grants": ["nets=a:1"]}', 400, "kinds are"),
        ("PUT", b'{"grants": ["invoke=f"], "revision_id": "old"}', 412, "RevisionId"),
        ("DELETE", b'{"grants": ["invoke=f"]}', 404, "it was not granted"),
        ("POST", b'{"grants": ["invoke=f"]}', 405, "takes"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    platform: Platform, method: str, body: bytes, status: int, word: str
) -> None:
    name = platform.new_name()
    make(platform, name)
    answer = ask(platform, method, f"/_mayfly/v1/grants/{name}", body)
    assert answer.status == status
    assert word in answer.body.decode()
    assert listed(platform, name) == {}


def test_an_unknown_function_has_no_grants(platform: Platform) -> None:
    assert ask(platform, "GET", "/_mayfly/v1/grants/nobody").status == 404
    body = b'{"grants": ["invoke=f"]}'
    assert ask(platform, "PUT", "/_mayfly/v1/grants/nobody", body).status == 404
