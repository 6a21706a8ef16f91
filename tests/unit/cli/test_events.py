"""events ls, show, replay, redrive, rm."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import FakePlatform, json_answer

PATH = "/_mayfly/v1/events"
EVENT = {
    "id": "e-1",
    "function": "hello",
    "qualifier": "$LATEST",
    "state": "failed",
    "source": "s3:photos",
    "attempts": 3,
    "accepted_ms": 1_000,
    "due_ms": 2_000,
    "failed_ms": 3_000,
    "replayed_ms": 0,
    "condition": "RetriesExhausted",
    "error": '{"errorType": "KeyError", "errorMessage": "no\\nsize"}',
}
COUNTS = {"failed": 1, "waiting": 2, "leased": 0}


def test_events_are_listed_with_what_went_wrong(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", PATH, json_answer({"events": [EVENT], "counts": COUNTS}))
    done = call(*fake.arguments("events", "ls", "hello", "--failed", "--source", "s3:", "-n", "7"))
    assert fake.last.query == {
        "state": "failed",
        "limit": "7",
        "function": "hello",
        "source": "s3:",
    }
    (row,) = done.out.splitlines()[1:]
    assert row.split()[:5] == ["e-1", "hello", "failed", "s3:photos", "3"]
    assert row.rstrip().endswith("RetriesExhausted KeyError: no size")
    assert done.err == "in all: 1 failed, 2 waiting, 0 leased\n"


def test_a_list_without_events_says_how_many_there_are_in_all(
    call: Call, fake: FakePlatform
) -> None:
    fake.answer("GET", PATH, json_answer({"events": [], "counts": COUNTS}))
    assert call(*fake.arguments("events", "ls")).out == "in all: 1 failed, 2 waiting, 0 leased\n"
    assert fake.last.query == {"state": "all", "limit": "50"}


def test_an_error_that_is_no_json_is_shown_as_it_is(call: Call, fake: FakePlatform) -> None:
    event = EVENT | {"error": "TooManyRequestsException: busy " + "x" * 90, "state": "waiting"}
    fake.answer("GET", PATH, json_answer({"events": [event], "counts": COUNTS}))
    out = call(*fake.arguments("events", "ls")).out
    assert "TooManyRequestsException: busy" in out
    assert out.rstrip().endswith("...")


def test_one_event_is_shown_whole(call: Call, fake: FakePlatform) -> None:
    whole = EVENT | {"payload": '{"a": 1}', "payload_bytes": 8, "trace_id": "Root=1"}
    fake.answer("GET", f"{PATH}/e-1", json_answer(whole))
    out = call(*fake.arguments("events", "show", "e-1")).out
    assert 'payload (8 bytes):\n{\n  "a": 1\n}\n' in out
    assert '"errorType": "KeyError"' in out
    assert "trace      Root=1" in out
    assert "next try" not in out


@pytest.mark.parametrize(("word", "path"), [("replay", "replay"), ("rm", "remove")])
def test_events_are_chosen_by_id_or_all_of_a_function(
    call: Call, fake: FakePlatform, word: str, path: str
) -> None:
    told = {"replayed": 1, "removed": 1, "missing": ["e-2"]}
    fake.answer("POST", f"{PATH}/{path}", json_answer(told))
    done = call(*fake.arguments("events", word, "e-1", "e-2"))
    assert json.loads(fake.last.body) == {"ids": ["e-1", "e-2"]}
    assert done.code == 1
    assert "e-2 is not kept" in done.err
    fake.answer("POST", f"{PATH}/{path}", json_answer(told | {"missing": []}))
    done = call(*fake.arguments("events", word, "--all", "--function", "f"))
    assert json.loads(fake.last.body) == {"all": True, "function": "f", "source": ""}
    assert (done.code, done.out.split()[0]) == (0, "1")


@pytest.mark.parametrize(
    "words", [["replay"], ["replay", "e", "--all"], ["rm", "e", "--function", "f"]]
)
def test_a_choice_that_is_none_is_refused(call: Call, fake: FakePlatform, words: list[str]) -> None:
    done = call(*fake.arguments("events", *words))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert not fake.requests


def test_all_failed_ones_of_a_function_are_run_again(call: Call, fake: FakePlatform) -> None:
    fake.answer("POST", f"{PATH}/replay", json_answer({"replayed": 4, "missing": []}))
    assert call(*fake.arguments("events", "redrive", "f")).out == "4 replayed\n"
    assert json.loads(fake.last.body) == {"all": True, "function": "f"}


def test_a_queues_messages_are_driven_back_and_what_stays_is_told(
    call: Call, fake: FakePlatform
) -> None:
    told = {"moved": 3, "left": 1, "why": "message m: its body is no JSON document"}
    fake.answer("POST", f"{PATH}/redrive", json_answer(told))
    done = call(*fake.arguments("events", "redrive", "f", "--queue", "q"))
    assert json.loads(fake.last.body) == {"queue": "q", "function": "f"}
    assert done.out == "3 moved from q to f\n"
    assert (done.code, "no JSON" in done.err) == (1, True)
