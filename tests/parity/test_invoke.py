"""Invoke, in each of its forms, as documented in the Lambda API reference."""

from __future__ import annotations

import base64
import json
import re

import pytest
from botocore.exceptions import ClientError

from tests.support.control import follow_log
from tests.support.functions import Functions, refusal
from tests.support.platform import RUNTIME

SYNC_BYTES_MAX = 6_291_556
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    "event", [None, True, 0, -1.5, "", "grüße 🦋", [], {}, [1, [2]], {"a": {"b": None}}]
)
def test_an_event_comes_back_as_it_went(either_functions: Functions, event: object) -> None:
    call = either_functions.call(either_functions.make(), event)
    assert (call.status, call.error, call.value) == (200, "", event)


def test_no_payload_is_an_empty_object_or_null(functions: Functions) -> None:
    answer = functions.client.invoke(FunctionName=functions.make())
    assert json.loads(answer["Payload"].read()) in (None, {})


def test_the_answer_names_its_version_and_its_request(functions: Functions) -> None:
    call = functions.call(
        functions.make("def handler(e, context):\n    return context.aws_request_id\n")
    )
    assert call.version == "$LATEST"
    assert re.fullmatch(UUID, call.request_id)
    assert call.value == call.request_id


def test_an_asynchronous_call_is_accepted_and_then_made(functions: Functions) -> None:
    name = functions.make("def handler(event, context):\n    print('ran with', event['n'])\n")
    call = functions.call(name, {"n": 41}, InvocationType="Event")
    assert (call.status, call.body) == (202, b"")
    assert _log_says(functions, name, "ran with 41")


def _log_says(functions: Functions, name: str, text: str) -> bool:
    """Follow the function's log until it says `text`; the suite's time-out ends a silence."""
    return any(text in line for line in follow_log(functions.platform, name))


def test_a_dry_run_checks_and_calls_nothing(functions: Functions) -> None:
    name = functions.make("def handler(event, context):\n    raise SystemExit(3)\n")
    call = functions.call(name, {}, InvocationType="DryRun")
    assert (call.status, call.body, call.error) == (204, b"", "")


def test_a_dry_run_of_a_missing_function_is_not_found(functions: Functions) -> None:
    with pytest.raises(functions.client.exceptions.ResourceNotFoundException):
        functions.call("nowhere", {}, InvocationType="DryRun")


def test_the_tail_of_the_log_comes_with_the_answer(functions: Functions) -> None:
    name = functions.make("def handler(event, context):\n    print('hello from inside')\n")
    call = functions.call(name, LogType="Tail")
    lines = [line for line in call.log.splitlines() if line]
    assert f"START RequestId: {call.request_id} Version: $LATEST" in lines
    assert "hello from inside" in lines
    assert f"END RequestId: {call.request_id}" in lines
    report = next(line for line in lines if line.startswith("REPORT"))
    fields = report.split("\t")
    assert fields[0] == f"REPORT RequestId: {call.request_id}"
    assert re.fullmatch(r"Duration: \d+\.\d\d ms", fields[1])
    assert re.fullmatch(r"Billed Duration: \d+ ms", fields[2])
    assert fields[3] == "Memory Size: 128 MB"
    assert re.fullmatch(r"Max Memory Used: \d+ MB", fields[4])


def test_without_asking_no_log_comes_with_the_answer(functions: Functions) -> None:
    assert functions.call(functions.make()).log == ""


def test_the_tail_is_the_last_4_kib(functions: Functions) -> None:
    source = "def handler(e, c):\n    for n in range(2000):\n        print('line', n)\n"
    call = functions.call(functions.make(source), LogType="Tail")
    assert len(call.log.encode()) <= 4096
    assert "line 1999" in call.log
    assert "line 1\n" not in call.log


def test_stderr_and_logging_reach_the_log(functions: Functions) -> None:
    source = """
        import logging, sys
        def handler(event, context):
            print("to stderr", file=sys.stderr)
            logging.getLogger().warning("to logging")
    """
    log = functions.call(functions.make(source), LogType="Tail").log
    assert "to stderr" in log
    assert "to logging" in log


def test_the_client_context_reaches_the_handler(functions: Functions) -> None:
    source = """
        def handler(event, context):
            return [context.client_context.custom, context.client_context.env]
    """
    given = {"custom": {"who": "me"}, "env": {"locale": "de"}, "client": {"app_title": "t"}}
    call = functions.call(
        functions.make(source),
        ClientContext=base64.b64encode(json.dumps(given).encode()).decode(),
    )
    assert call.value == [given["custom"], given["env"]]


@pytest.mark.parametrize("qualifier", ["$LATEST"])
def test_a_qualifier_that_exists_is_called(functions: Functions, qualifier: str) -> None:
    call = functions.call(functions.make(), 1, Qualifier=qualifier)
    assert (call.value, call.version) == (1, "$LATEST")


@pytest.mark.parametrize("qualifier", ["7", "blue"])
def test_a_qualifier_that_is_missing_is_not_found(functions: Functions, qualifier: str) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.call(name, 1, Qualifier=qualifier)
    code, status, message = refusal(caught.value)
    assert (code, status) == ("ResourceNotFoundException", 404)
    assert f"{name}:{qualifier}" in message


def test_the_context_says_what_lambdas_says(either_functions: Functions) -> None:
    source = """
        def handler(event, context):
            return {
                "name": context.function_name,
                "version": context.function_version,
                "arn": context.invoked_function_arn,
                "memory": int(context.memory_limit_in_mb),
                "group": context.log_group_name,
                "stream": bool(context.log_stream_name),
                "left": context.get_remaining_time_in_millis(),
                "identity": context.identity is None or context.identity.cognito_identity_id,
            }
    """
    name = either_functions.make(source, Timeout=5, MemorySize=256)
    seen = either_functions.call(name).document
    left = seen.pop("left")
    assert isinstance(left, int)
    assert 4_000 < left <= 5_000
    assert seen.pop("identity") in (True, None)
    assert seen == {
        "name": name,
        "version": "$LATEST",
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "memory": 256,
        "group": f"/aws/lambda/{name}",
        "stream": True,
    }


def test_the_environment_at_import_is_lambdas(either_functions: Functions) -> None:
    source = "import os\nSEEN = dict(os.environ)\ndef handler(event, context):\n    return SEEN\n"
    name = either_functions.make(source, Environment={"Variables": {"MINE": "yes"}})
    seen = either_functions.call(name).document
    expected = {
        "_HANDLER": "app.handler",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{RUNTIME}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "MINE": "yes",
    }
    assert {key: seen.get(key) for key in expected} == expected
    assert {"PATH", "TZ", "AWS_LAMBDA_LOG_STREAM_NAME"} <= seen.keys()


def test_nothing_of_the_hosts_environment_is_seen_inside(functions: Functions) -> None:
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    seen = functions.call(functions.make(source)).document
    assert not {"MAYFLY_SUITE", "TMPDIR", "MAYFLY_DATA"} & seen.keys()


def test_the_trace_id_of_the_caller_reaches_the_handler(functions: Functions) -> None:
    source = "import os\ndef handler(e, c):\n    return os.environ.get('_X_AMZN_TRACE_ID')\n"
    name = functions.make(source)
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

    def stamp(request: object, **_: object) -> None:
        request.headers["X-Amzn-Trace-Id"] = trace  # type: ignore[attr-defined]

    functions.client.meta.events.register("before-sign.lambda.Invoke", stamp)
    try:
        seen = functions.call(name).value
    finally:
        functions.client.meta.events.unregister("before-sign.lambda.Invoke", stamp)
    assert isinstance(seen, str)
    assert seen.startswith("Root=1-5759e988-bd862e3fe1be46a994272793")


def test_a_payload_at_the_bound_is_taken(functions: Functions) -> None:
    name = functions.make("def handler(event, context):\n    return len(event)\n")
    payload = b'"' + b"x" * (SYNC_BYTES_MAX - 2) + b'"'
    assert functions.call_raw(name, payload).value == SYNC_BYTES_MAX - 2


def test_a_payload_over_the_bound_is_refused(functions: Functions) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.call_raw(name, b'"' + b"x" * SYNC_BYTES_MAX + b'"')
    code, status, message = refusal(caught.value)
    assert (code, status) == ("RequestTooLargeException", 413)
    assert str(SYNC_BYTES_MAX) in message


def test_an_asynchronous_payload_has_a_bound_of_its_own(functions: Functions) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.call_raw(name, b'"' + b"x" * 1_048_577 + b'"', InvocationType="Event")
    assert refusal(caught.value)[:2] == ("RequestTooLargeException", 413)


@pytest.mark.parametrize("payload", [b"{", b"nope", b"\xff\xfe", b'{"a":1}}', b"'a'"])
@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_a_payload_that_is_not_json_is_refused(
    functions: Functions, payload: bytes, kind: str
) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.call_raw(name, payload, InvocationType=kind)
    code, status, message = refusal(caught.value)
    assert (code, status) == ("InvalidRequestContentException", 400)
    assert "Could not parse request body into json" in message
