"""Which records a function says have failed, by Lambda's conditions of success and failure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.model.invocation import ErrorKind, Outcome
from mayfly.sources.mapping.answers import failures_of

ALL = frozenset({"a", "b", "c"})
NONE: frozenset[str] = frozenset()


def read(payload: bytes, *, partial: bool = True, error: ErrorKind | None = None) -> frozenset[str]:
    return failures_of(Outcome(payload, error, "", "$LATEST", b"", 1.0), ALL, partial=partial)


@pytest.mark.parametrize(
    "answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, {"other": 1}]
)
def test_these_answers_are_complete_success(answer: object) -> None:
    assert read(json.dumps(answer).encode()) == NONE
    assert read(b"") == NONE


@pytest.mark.parametrize(
    "answer",
    [
        *("ok", 1, True, [], [{"itemIdentifier": "a"}]),
        *({"batchItemFailures": "a"}, {"batchItemFailures": {}}, {"batchItemFailures": ["a"]}),
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": 1}]},
        {"batchItemFailures": [{"itemidentifier": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {}]},
        {"batchItemFailures": [{"itemIdentifier": "stranger"}]},
    ],
)
def test_these_answers_fail_the_whole_batch(answer: object) -> None:
    assert read(json.dumps(answer).encode()) == ALL
    assert read(json.dumps(answer).encode(), partial=False) == NONE, "where nobody asked for it"


def test_only_what_is_named_failed() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "b"}]}
    assert read(json.dumps(answer).encode()) == {"b"}


def test_an_error_fails_the_whole_batch() -> None:
    assert read(b"{}", error=ErrorKind.UNHANDLED) == ALL
    assert read(b"{}", error=ErrorKind.UNHANDLED, partial=False) == ALL


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer(payload: bytes) -> None:
    assert read(payload) <= ALL


def test_an_answer_that_is_nested_without_end_is_malformed() -> None:
    assert read(b'{"batchItemFailures":' + b"[" * 100_000 + b"]" * 100_000 + b"}") == ALL
