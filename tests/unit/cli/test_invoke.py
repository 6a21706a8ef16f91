from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import Answer, FakePlatform, json_answer

PATH = "/2015-03-31/functions/hello/invocations"


@pytest.fixture(autouse=True)
def hello(fake: FakePlatform) -> None:
    fake.answer("POST", PATH, lambda request: Answer(200, request.body))


def test_the_answer_goes_to_stdout_byte_for_byte(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("invoke", "hello", '{"a":  1}'))
    assert (done.code, done.out, done.err) == (0, '{"a":  1}', "")


def test_without_an_event_an_empty_object_is_sent(call: Call, fake: FakePlatform) -> None:
    assert call(*fake.arguments("invoke", "hello")).out == "{}"


def test_an_event_may_come_from_stdin(call: Call, fake: FakePlatform) -> None:
    assert call(*fake.arguments("invoke", "hello"), stdin=b"[1]\n").out == "[1]"


def test_an_event_may_come_from_a_file(call: Call, fake: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text("[2]")
    file = str(tmp_path / "event.json")
    assert call(*fake.arguments("invoke", "hello", "--file", file)).out == "[2]"


def test_an_event_that_is_not_json_is_never_sent(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("invoke", "hello", "{name: Ada}"))
    assert done.code == 2
    assert "not JSON" in done.err
    assert fake.requests == []


def test_two_events_are_refused(call: Call, fake: FakePlatform) -> None:
    assert call(*fake.arguments("invoke", "hello", "{}", "--file", __file__)).code == 2


def test_a_functions_error_goes_to_stderr_with_exit_code_1(call: Call, fake: FakePlatform) -> None:
    document = {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": ["  File app.py\n"]}
    error = Answer(200, json.dumps(document).encode(), {"X-Amz-Function-Error": "Unhandled"})
    fake.answer("POST", PATH, error)
    done = call(*fake.arguments("invoke", "hello"))
    assert (done.code, done.out) == (1, "")
    assert done.err == "mayfly: hello failed with KeyError: 'x'\n  File app.py\n"


def test_log_is_printed_on_stderr(call: Call, fake: FakePlatform) -> None:
    tail = base64.b64encode(b"START\nEND\n").decode()
    fake.answer("POST", PATH, Answer(200, b"1", {"X-Amz-Log-Result": tail}))
    done = call(*fake.arguments("invoke", "hello", "--log"))
    assert (done.out, done.err) == ("1", "START\nEND\n")
    assert fake.last.headers["x-amz-log-type"] == "Tail"


def test_async_is_accepted_and_prints_the_request_id(call: Call, fake: FakePlatform) -> None:
    fake.answer("POST", PATH, Answer(202, b"", {"X-Amzn-RequestId": "r-1"}))
    done = call(*fake.arguments("invoke", "hello", "--async"))
    assert done.code == 0
    assert "r-1" in done.err
    assert fake.last.headers["x-amz-invocation-type"] == "Event"


def test_a_name_is_one_segment_of_the_path_and_a_qualifier_travels(
    call: Call, fake: FakePlatform
) -> None:
    path = "/2015-03-31/functions/a%2F..%2Fb%3Ac/invocations"
    fake.answer("POST", path, lambda request: json_answer(dict(request.query)))
    done = call(*fake.arguments("invoke", "a/../b:c", "--qualifier", "$LATEST"))
    assert json.loads(done.out) == {"Qualifier": "$LATEST"}


def test_amazons_error_message_is_shown(call: Call, fake: FakePlatform) -> None:
    fake.answer("POST", PATH, json_answer({"Type": "User", "Message": "Rate exceeded"}, 429))
    done = call(*fake.arguments("invoke", "hello"))
    assert (done.code, done.err) == (1, "mayfly: Rate exceeded\n")


def test_a_file_written_as_curl_has_it_is_told_how_it_is_given(
    call: Call, fake: FakePlatform
) -> None:
    done = call(*fake.arguments("invoke", "hello", "@event.json"))
    assert done.code == 2
    assert "a file is given by --file event.json" in done.err


def test_what_cannot_be_reached_is_told_with_the_grants(call: Call, fake: FakePlatform) -> None:
    error = json.dumps({"errorType": "NoCredentialsError", "errorMessage": "Unable to locate"})
    headers = {"x-amz-function-error": "Unhandled"}
    fake.answer("POST", PATH, Answer(200, error.encode(), headers))
    done = call(*fake.arguments("invoke", "hello"))
    assert done.code == 1
    assert "`mayfly grants hello`" in done.err
