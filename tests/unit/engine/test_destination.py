from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.destination import farewell, record
from mayfly.engine.verdict import Decision, Verdict
from mayfly.model.event import Condition, Event, EventSettings
from mayfly.model.function import Code, Function, Settings
from mayfly.model.invocation import ErrorKind, Outcome
from mayfly.testing.ids import SeededIds

NOW_MS = 1_767_323_045_678.0
QUEUE = "arn:aws:sqs:us-east-1:000000000000:records"
LETTERS = "arn:aws:sqs:us-east-1:000000000000:letters"
BUCKET = "arn:aws:s3:::failures"
FUNCTION = Function("f", Code("0" * 64, 1), Settings("a.b", "python3.11"), "r", 0)
EVENT = Event("id", "f", "", b'{"a": 1.50}', accepted_ms=0, due_ms=0, attempts=3)
ANSWER = Outcome(b'"yes"', None, "", "$LATEST", b"", 1.0)
FAILURE = Outcome(b'{"errorType":"E"}', ErrorKind.UNHANDLED, "E", "$LATEST", b"", 1.0)
GIVEN_UP = Decision(
    Verdict.FAIL, error='{"errorMessage": "no"}', condition=Condition.RETRIES_EXHAUSTED
)


def settings(success: str = "", failure: str = "") -> EventSettings:
    return EventSettings("f", "$LATEST", 0, on_success=success, on_failure=failure)


def test_a_record_holds_request_and_answer_as_they_were_written() -> None:
    body = record(EVENT, FUNCTION, Condition.SUCCESS, ANSWER, now_ms=NOW_MS)
    assert b'"requestPayload":{"a": 1.50}' in body
    told = json.loads(body)
    assert told["timestamp"] == "2026-01-02T03:04:05.678Z"
    assert told["requestContext"]["functionArn"].endswith(":function:f:$LATEST")
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert told["responsePayload"] == "yes"


def test_a_record_of_a_failure_names_it() -> None:
    told = json.loads(record(EVENT, FUNCTION, Condition.RETRIES_EXHAUSTED, FAILURE, now_ms=NOW_MS))
    assert told["responseContext"]["functionError"] == "Unhandled"
    assert told["responsePayload"] == {"errorType": "E"}


@pytest.mark.parametrize(
    ("error", "payload"), [('{"errorType":"E"}', {"errorType": "E"}), ("{cut", None), ("", None)]
)
def test_an_event_that_grew_too_old_tells_its_last_answer_where_there_is_one(
    error: str, payload: object
) -> None:
    event = replace(EVENT, error=error)
    body = record(event, FUNCTION, Condition.EVENT_AGE_EXCEEDED, None, now_ms=NOW_MS)
    assert json.loads(body).get("responsePayload") == payload


@given(st.binary(max_size=60))
def test_whatever_the_last_error_was_a_record_is_json(error: bytes) -> None:
    event = replace(EVENT, error=error.decode("utf-8", "replace"))
    json.loads(record(event, FUNCTION, Condition.EVENT_AGE_EXCEEDED, None, now_ms=NOW_MS))


def test_failures_go_to_their_destination_and_to_the_dead_letters() -> None:
    function = replace(FUNCTION, settings=replace(FUNCTION.settings, dead_letter_arn=LETTERS))
    wanted = settings(QUEUE, BUCKET)
    left = farewell(EVENT, function, wanted, GIVEN_UP, FAILURE, now_ms=NOW_MS, ids=SeededIds())
    told, letter = left.parcels
    assert told.target_arn == BUCKET
    assert told.name.startswith("aws/lambda/async/f/2026/01/02/2026-01-02T03.04.05-")
    assert (letter.target_arn, letter.body) == (LETTERS, EVENT.payload)
    assert letter.attributes["ErrorMessage"] == "no"
    assert told.parcel_id != letter.parcel_id


def test_an_answer_leaves_no_dead_letter_and_without_settings_nothing() -> None:
    function = replace(FUNCTION, settings=replace(FUNCTION.settings, dead_letter_arn=LETTERS))
    decision = Decision(Verdict.SETTLE, condition=Condition.SUCCESS)
    for wanted in (None, settings("", BUCKET)):
        left = farewell(EVENT, function, wanted, decision, ANSWER, now_ms=NOW_MS, ids=SeededIds())
        assert not left.parcels


def test_a_deleted_function_has_nobody_to_tell() -> None:
    left = farewell(EVENT, None, None, GIVEN_UP, None, now_ms=NOW_MS, ids=SeededIds())
    assert not left.parcels


def test_a_bucket_takes_what_is_too_large_for_a_queue() -> None:
    event = replace(EVENT, payload=b'"' + b"x" * 1_048_576 + b'"')
    for target, kept in ((QUEUE, False), (BUCKET, True)):
        left = farewell(
            event,
            FUNCTION,
            settings("", target),
            GIVEN_UP,
            FAILURE,
            now_ms=NOW_MS,
            ids=SeededIds(),
        )
        assert bool(left.parcels) is kept
        assert bool(left.unsendable) is not kept
