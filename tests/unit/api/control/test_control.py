"""The control API as the command line meets it: forms, steps, streams, and errors that help."""

from __future__ import annotations

import base64
import http.client
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.api.keys import Credential
from mayfly.api.platform import BuiltFunction, ServerBounds
from mayfly.cli.signer import Key
from mayfly.model.errors import InvalidManifest, SealStepFailed, TooManyRequests
from mayfly.model.function import Code, Settings, UrlAuth
from mayfly.model.grant import Grant, GrantKind
from mayfly.model.invocation import ErrorKind, Invocation, Outcome
from tests.support.serving import CODE, KEY, NOW_MS, WAIT_S, Served, outcome, serving, url

BOUNDS = ServerBounds(deploy_bytes_max=3_000_000, send_timeout_s=5.0)
STATISTICS = {
    "calls": 3,
    "errors": 1,
    "throttles": 0,
    "cold_starts": 1,
    "busy": 0,
    "parked": 1,
    "p50_ms": 1.5,
    "p99_ms": 2.5,
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url()], bounds=BOUNDS) as running:
        yield running


def built(**settings: object) -> BuiltFunction:
    chosen: dict[str, object] = {"handler": "app.handler", "runtime": "python3.11", **settings}
    made = Settings(**chosen)  # type: ignore[arg-type]  # by name
    return BuiltFunction("echo", made, CODE, UrlAuth.NONE)


def message(document: dict[str, object]) -> str:
    error = document["error"]
    assert isinstance(error, dict)
    assert error["code"]
    return str(error["message"])


# Who may


def test_an_unsigned_request_is_refused(served: Served) -> None:
    answer = served.plain("GET", "/_mayfly/v1/ps")
    assert answer.status == 403
    assert message(answer.document) == "Missing Authentication Token"


def test_a_signature_for_another_service_is_refused(served: Served) -> None:
    answer = served.signed("GET", "/_mayfly/v1/ps", service="lambda")
    assert answer.status == 403
    assert '"mayfly"' in message(answer.document)


def test_a_key_that_is_not_the_owner_s_is_refused(served: Served) -> None:
    served.platform.keys.add(Credential("AKIAFUNCTION", "s", "arn:aws:iam::0:role/f"))
    headers = served.sign("GET", "/_mayfly/v1/ps", service="mayfly", key=Key("AKIAFUNCTION", "s"))
    answer = served.plain("GET", "/_mayfly/v1/ps", headers=headers)
    assert answer.status == 403
    assert "may not control" in message(answer.document)


def test_a_wrong_secret_is_refused(served: Served) -> None:
    headers = served.sign(
        "POST", "/_mayfly/v1/down", service="mayfly", key=Key(KEY.access_key_id, "guess")
    )
    assert served.plain("POST", "/_mayfly/v1/down", headers=headers).status == 403
    assert not served.stopped.is_set()


# What there is


def test_a_function_is_told_whole(served: Served) -> None:
    assert served.control("GET", "functions/echo").document == {
        "name": "echo",
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:echo",
        "version": "$LATEST",
        "description": "",
        "runtime": "python3.11",
        "handler": "app.handler",
        "memory_mib": 128,
        "timeout_s": 3,
        "tmp_mib": 512,
        "reuse": "never",
        "isolate": "process",
        "concurrency": None,
        "environment": {},
        "grants": [],
        "triggers": [],
        "tags": {},
        "code": {"digest": CODE.digest, "size_bytes": 10, "dependencies": None},
        "url": f"{served.platform.endpoint}/lambda-url/u1/",
        "url_auth": "NONE",
        "modified_ms": int(NOW_MS),
        "revision_id": "11111111-1111-4111-8111-111111111111",
        "statistics": STATISTICS,
    }


def test_functions_are_listed(served: Served) -> None:
    found = served.control("GET", "functions").document["functions"]
    assert isinstance(found, list)
    assert [one["name"] for one in found] == ["echo"]


def test_residents_lives_and_statistics_are_told(served: Served) -> None:
    residents = served.control("GET", "ps").document["residents"]
    assert isinstance(residents, list)
    assert residents[1] == {
        "kind": "isolate",
        "id": "i1",
        "function": "echo",
        "version": "$LATEST",
        "stage": "parked",
        "pid": 7,
        "born_ms": NOW_MS,
        "private_kib": 100,
        "proportional_kib": 200,
    }
    lives = served.control("GET", "lives?count=1").document["lives"]
    assert isinstance(lives, list)
    assert [one["function_name"] for one in lives] == ["echo"]
    stats = served.control("GET", "stats").document
    assert stats["functions"] == {"echo": STATISTICS}
    node = stats["node"]
    assert isinstance(node, dict)
    assert set(node) == {
        "isolates_parked",
        "isolates_busy",
        "snapshots",
        "resident_kib",
        "cpu_seconds",
        "uptime_s",
    }
    assert node["resident_kib"] > 1_000


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "functions/nobody", 404, "mayfly ls"),
        ("GET", "functions/..%2f..%2fetc", 404, "mayfly ls"),
        ("DELETE", "functions/nobody", 404, "nobody"),
        ("GET", "logs/nobody", 404, "mayfly ls"),
        ("GET", "nothing", 404, "nothing"),
        ("GET", "functions/a/b", 404, "functions/a/b"),
        ("GET", "", 404, "/_mayfly/v1/"),
        ("POST", "functions", 405, "takes GET"),
        ("PATCH", "functions/echo", 405, "takes DELETE, GET"),
        ("GET", "lives?count=many", 400, "count"),
        ("GET", "lives?count=-1", 400, "count"),
        ("GET", "logs/echo?since_ms=nan", 400, "since_ms"),
    ],
)
def test_an_error_says_what_was_wrong(
    served: Served, method: str, path: str, status: int, told: str
) -> None:
    answer = served.control(method, path)
    assert answer.status == status
    assert told in message(answer.document)
    assert "x-amzn-requestid" in answer.headers


def test_a_function_is_removed(served: Served) -> None:
    answer = served.control("DELETE", "functions/echo")
    assert (answer.status, answer.body) == (204, b"")
    assert served.registry.function_nowait("echo") is None
    assert served.engine.changed == ["echo"]


def test_down_is_acknowledged_and_the_daemon_is_told(served: Served) -> None:
    answer = served.control("POST", "down")
    assert answer.status == 202
    assert served.stopped.wait(WAIT_S)


# Deploy


def test_a_deploy_tells_its_steps_and_what_changed(served: Served) -> None:
    served.builder.built = built(memory_mib=512, environment={"A": "1"})
    answer = served.control("PUT", "deploy", b"zip")
    *steps, last = answer.lines
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [one["step"] for one in steps] == ["unpack", "dependencies", "snapshot"]
    assert all(isinstance(one["ms"], float) for one in steps)
    assert last["changed"] == ["memory", "environment"]
    function = last["function"]
    assert isinstance(function, dict)
    assert function["memory_mib"] == 512
    assert served.builder.archives == [b"zip"]
    assert (served.engine.changed, served.engine.prepared) == (["echo"], ["echo"])


def test_a_deploy_without_a_change_changes_nothing(served: Served) -> None:
    served.builder.built = built()
    before = served.registry.function_nowait("echo")
    last = served.control("PUT", "deploy", b"zip").lines[-1]
    assert last["changed"] == []
    assert served.registry.function_nowait("echo") is before
    assert served.engine.changed == []


def test_a_deploy_makes_a_function_that_is_new(served: Served) -> None:
    served.builder.built = replace(built(), name="fresh")
    last = served.control("PUT", "deploy", b"zip").lines[-1]
    assert last["changed"] == ["created", "url"]
    made = served.registry.url_nowait("fresh")
    assert made is not None
    function = last["function"]
    assert isinstance(function, dict)
    assert function["url"] == f"{served.platform.endpoint}/lambda-url/{made.url_id}/"


def test_a_deploy_keeps_what_a_manifest_cannot_say(served: Served) -> None:
    before = served.registry.function_nowait("echo")
    assert before is not None
    served.registry._functions["echo"] = replace(
        before, settings=replace(before.settings, role="arn:r", extra={"TracingConfig": 1})
    )
    served.builder.built = replace(built(), code=Code("cd" * 32, 11))
    last = served.control("PUT", "deploy", b"zip").lines[-1]
    assert last["changed"] == ["code"]
    after = served.registry.function_nowait("echo")
    assert after is not None
    assert (after.settings.role, after.settings.extra) == ("arn:r", {"TracingConfig": 1})
    assert after.revision_id != before.revision_id


@pytest.mark.parametrize(
    ("auth", "changed", "left"),
    [
        (None, ["url"], None),
        (UrlAuth.NONE, [], UrlAuth.NONE),
        (UrlAuth.AWS_IAM, ["url"], UrlAuth.AWS_IAM),
    ],
)
def test_a_deploy_makes_the_url_what_the_manifest_says(
    served: Served, auth: UrlAuth | None, changed: list[str], left: UrlAuth | None
) -> None:
    served.builder.built = replace(built(), url_auth=auth)
    assert served.control("PUT", "deploy", b"zip").lines[-1]["changed"] == changed
    found = served.registry.url_nowait("echo")
    assert (found.auth if found else None) == left
    assert found is None or found.url_id == "u1"


def test_grants_are_told_as_they_are_written(served: Served) -> None:
    served.builder.built = built(grants=(Grant(GrantKind.NET, "api.example.com:443"),))
    last = served.control("PUT", "deploy", b"zip").lines[-1]
    assert last["changed"] == ["grants"]
    assert last["function"]["grants"] == ["net:api.example.com:443"]  # type: ignore[index]  # JSON


def test_a_refused_deploy_ends_with_the_reason_and_changes_nothing(served: Served) -> None:
    served.builder.built = InvalidManifest('mayfly.toml line 3: "memry" is no key; "memory" is')
    answer = served.control("PUT", "deploy", b"zip")
    assert answer.lines[-1] == {
        "error": {
            "code": "InvalidParameterValueException",
            "message": 'mayfly.toml line 3: "memry" is no key; "memory" is',
        }
    }
    assert served.engine.changed == []


def test_a_deploy_that_fails_unforeseen_tells_no_secrets(served: Served) -> None:
    served.builder.built = ZeroDivisionError("secret detail")
    answer = served.control("PUT", "deploy", b"zip")
    assert b"secret" not in answer.body
    assert "log" in message(answer.lines[-1])


def test_a_snapshot_that_cannot_be_made_is_told_although_the_function_is_in_service(
    served: Served,
) -> None:
    served.builder.built = built(memory_mib=512)
    served.engine.prepare_error = SealStepFailed(step="pivot_root", errno=22)
    assert "pivot_root" in message(served.control("PUT", "deploy", b"zip").lines[-1])
    after = served.registry.function_nowait("echo")
    assert after is not None
    assert after.settings.memory_mib == 512


def test_a_full_node_leaves_the_snapshot_to_the_first_call(served: Served) -> None:
    served.engine.prepare_error = TooManyRequests("no room")
    *steps, last = served.control("PUT", "deploy", b"zip").lines
    assert steps[-1]["skipped"] == "no room"
    assert "function" in last


def test_a_large_folder_arrives_whole(served: Served) -> None:
    archive = bytes(range(256)) * 10_000
    served.control("PUT", "deploy", archive)
    assert served.builder.archives == [archive]


def test_a_folder_over_the_bound_is_refused(served: Served) -> None:
    answer = served.control("PUT", "deploy", b"x" * 3_000_001)
    assert answer.status == 413
    assert "3000000" in message(answer.document)
    assert served.builder.archives == []


# Logs


def lines_of(response: http.client.HTTPResponse) -> Iterator[dict[str, object]]:
    for line in response:
        yield json.loads(line)


def follow(
    served: Served, path: str
) -> tuple[http.client.HTTPConnection, Iterator[dict[str, object]]]:
    connection = served.connect()
    target = f"/_mayfly/v1/{path}"
    connection.request("GET", target, headers=served.sign("GET", target, service="mayfly"))
    response = connection.getresponse()
    assert response.status == 200
    return connection, lines_of(response)


def append(served: Served, text: str, when_ms: float = NOW_MS) -> None:
    """Append on the server's loop, as the engine does."""
    loop = served.engine._loop
    if loop is None:
        served.logs.append_nowait("echo", "r1", when_ms, f"{text}\n".encode())
    else:
        loop.call_soon_threadsafe(
            served.logs.append_nowait, "echo", "r1", when_ms, f"{text}\n".encode()
        )


def test_a_log_is_read_newest_lines_oldest_first(served: Served) -> None:
    for n in range(5):
        append(served, f"line {n}", NOW_MS + n)
    answer = served.control("GET", "logs/echo?limit=3")
    assert [one["text"] for one in answer.lines] == ["line 2", "line 3", "line 4"]
    assert answer.lines[0] == {
        "when_ms": int(NOW_MS) + 2,
        "request_id": "r1",
        "text": "line 2",
    }
    since = served.control("GET", f"logs/echo?since_ms={int(NOW_MS) + 4}")
    assert [one["text"] for one in since.lines] == ["line 4"]


def test_an_empty_log_is_an_empty_answer(served: Served) -> None:
    answer = served.control("GET", "logs/echo")
    assert (answer.status, answer.body) == (200, b"")


def test_a_log_that_is_followed_goes_on_until_the_client_leaves(served: Served) -> None:
    assert served.plain("GET", "/lambda-url/u1/").status == 200
    append(served, "before")
    connection, lines = follow(served, "logs/echo?follow=1")
    assert next(lines)["text"] == "before"
    append(served, "after", NOW_MS + 1)
    assert next(lines)["text"] == "after"
    connection.close()
    lines.close()  # type: ignore[attr-defined]  # a generator
    assert served.logs.closed.wait(WAIT_S)


def test_a_log_of_many_lines_waits_for_a_client_that_reads_slowly(served: Served) -> None:
    for n in range(20_000):
        append(served, f"{n} " + "x" * 300, NOW_MS)
    connection, lines = follow(served, "logs/echo?limit=20000")
    assert served.plain("GET", "/_mayfly/health").status == 200
    assert [str(one["text"]).split()[0] for one in lines] == [str(n) for n in range(20_000)]
    connection.close()


# Run


def script(
    served: Served, run: Callable[[Invocation, Callable[[bytes], None]], Outcome], **request: object
) -> list[dict[str, object]]:
    served.engine.script = run
    body = json.dumps({"script": "print(1)", "filename": "x.py", **request}).encode()
    return served.control("POST", "run", body).lines


def test_a_script_is_run_with_its_arguments_and_its_output_comes_back(served: Served) -> None:
    def run(invocation: Invocation, on_output: Callable[[bytes], None]) -> Outcome:
        assert json.loads(invocation.payload) == {"args": ["a", "b"], "stdin": "aGk="}
        on_output(b"one\n")
        on_output(b"\xff\x00")
        return outcome(b'{"exit_code":3}', duration_ms=12.5)

    *out, last = script(
        served,
        run,
        args=["a", "b"],
        stdin="aGk=",
        timeout_s=7,
        memory_mib=256,
        environment={"K": "V"},
    )
    assert b"".join(base64.b64decode(str(one["output"])) for one in out) == b"one\n\xff\x00"
    assert last == {"exit_code": 3, "duration_ms": 12.5, "error": None}
    (call,) = served.engine.invocations
    settings = call.function.settings
    assert (settings.timeout_s, settings.memory_mib) == (7, 256)
    assert dict(settings.environment) == {"K": "V"}
    assert settings.runtime == "python3.11"
    assert call.trace_id == "x.py"
    archive = served.platform.code.archive_path(call.function.code.digest).read_bytes()
    with zipfile.ZipFile(io.BytesIO(archive)) as held:
        assert held.read("x.py") == b"print(1)"


@pytest.mark.parametrize(
    ("error_type", "exit_code"), [("Sandbox.Timedout", 124), ("Runtime.ExitError", 1)]
)
def test_a_script_that_was_ended_says_why(served: Served, error_type: str, exit_code: int) -> None:
    ended = outcome(
        b'{"errorMessage":"Task timed out"}', error=ErrorKind.UNHANDLED, error_type=error_type
    )
    (last,) = script(served, lambda _call, _output: ended)
    assert (last["exit_code"], last["error"]) == (exit_code, "Task timed out")


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"script": 1}',
        b'{"script": "x", "unknown": 1}',
        b'{"script": "x", "filename": "../x.py"}',
        b'{"script": "x", "filename": ""}',
        b'{"script": "x", "stdin": "%%%"}',
        b'{"script": "x", "timeout_s": 901}',
        b'{"script": "x", "memory_mib": 1}',
        b'{"script": "x", "environment": {"a": 1}}',
    ],
)
def test_a_run_that_cannot_be_read_is_refused(served: Served, request_body: bytes) -> None:
    answer = served.control("POST", "run", request_body)
    assert answer.status == 400
    assert message(answer.document)
    assert served.engine.invocations == []


def test_a_client_that_leaves_ends_its_script(served: Served) -> None:
    served.engine.held = True
    body = b'{"script": "x"}'
    connection = served.connect()
    headers = served.sign("POST", "/_mayfly/v1/run", body, service="mayfly")
    connection.request("POST", "/_mayfly/v1/run", body, headers)
    assert served.engine.started.wait(WAIT_S)
    connection.close()
    assert served.engine.cancelled.wait(WAIT_S)


def test_output_beyond_the_bound_is_counted_and_dropped(served: Served) -> None:
    def run(_call: Invocation, on_output: Callable[[bytes], None]) -> Outcome:
        for _ in range(200):
            on_output(b"x" * 100_000)
        return outcome(b'{"exit_code":0}')

    *out, last = script(served, run)
    kept = sum(len(base64.b64decode(str(one["output"]))) for one in out)
    assert kept < 9_000_000
    assert last["lost_bytes"] == 200 * 100_000 - kept
