"""ps, stats, timeline, env."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import ACCESS_KEY_ID, SECRET, FakePlatform, json_answer

LIFE = {
    "request_id": "r-1",
    "function_name": "hello",
    "version": "$LATEST",
    "isolate_id": "i-1",
    "born_ms": 999.25,
    "parked_ms": 999.75,
    "event_ms": 1_000.0,
    "answered_ms": 1_000.41,
    "died_ms": 1_000.9,
    "bytes_in": 12,
    "bytes_out": 1_485_159,
    "cold": True,
    "error_type": "",
    "grants": ["net:api.example.com:443"],
}


def test_the_timeline_counts_from_the_event(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", "/_mayfly/v1/lives", json_answer({"lives": [LIFE]}))
    out = call(*fake.arguments("timeline")).out
    told = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:6]}
    assert told == {
        "born": "-0.75",
        "parked": "-0.25",
        "event": "+0.00",
        "answered": "+0.41",
        "died": "+0.90",
    }
    assert "in 12 B, out 1.5 MB, granted: net:api.example.com:443" in out
    assert out.splitlines()[0].endswith("cold")


def test_the_timeline_shows_what_still_lives_and_what_failed(
    call: Call, fake: FakePlatform
) -> None:
    life = LIFE | {"died_ms": None, "error_type": "KeyError", "grants": []}
    fake.answer("GET", "/_mayfly/v1/lives", json_answer({"lives": [life]}))
    out = call(*fake.arguments("timeline")).out
    assert "lives on" in out
    assert "with KeyError" in out
    assert "granted: nothing" in out


def test_the_timeline_may_be_of_one_function_and_is_in_order(
    call: Call, fake: FakePlatform
) -> None:
    others = [LIFE | {"function_name": "x", "event_ms": index} for index in (3, 1, 2)]
    fake.answer("GET", "/_mayfly/v1/lives", json_answer({"lives": [LIFE, *others]}))
    shown = json.loads(call(*fake.arguments("timeline", "x", "-n", "2", "--json")).out)
    assert [one["event_ms"] for one in shown] == [2, 3]


def test_ps_lists_what_is_alive(call: Call, fake: FakePlatform) -> None:
    resident = {
        "kind": "isolate",
        "id": "i-1",
        "function": "hello",
        "version": "$LATEST",
        "stage": "parked",
        "pid": 4711,
        "born_ms": 0,
        "private_kib": 640,
        "proportional_kib": 24_000,
    }
    fake.answer("GET", "/_mayfly/v1/ps", json_answer({"residents": [resident]}))
    out = call(*fake.arguments("ps")).out
    assert "640 KiB" in out
    assert "23.4 MiB" in out
    assert json.loads(call(*fake.arguments("ps", "--json")).out) == [resident]


def test_ps_of_an_idle_platform_says_that_nothing_runs(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", "/_mayfly/v1/ps", json_answer({"residents": []}))
    assert "nothing is alive" in call(*fake.arguments("ps")).out


def test_stats_without_a_terminal_prints_once(call: Call, fake: FakePlatform) -> None:
    counted = {"calls": 7, "errors": 1, "p50_ms": None}
    node = {"snapshots": 1, "isolates_parked": 2, "resident_kib": 60_000, "uptime_s": 3_700}
    fake.answer(
        "GET", "/_mayfly/v1/stats", json_answer({"functions": {"hello": counted}, "node": node})
    )
    out = call(*fake.arguments("stats")).out
    assert out.splitlines()[1].split() == ["hello", "7", "-", "1", "0", "0", "0", "0", "-", "-"]
    assert "1 snapshots, 2 parked" in out
    assert "up 1h" in out


def test_env_is_what_a_shell_can_evaluate(call: Call, fake: FakePlatform) -> None:
    out = call(*fake.arguments("env")).out.splitlines()
    assert f"export AWS_ENDPOINT_URL={fake.endpoint}" in out
    assert f"export AWS_ACCESS_KEY_ID={ACCESS_KEY_ID}" in out
    assert f"export AWS_SECRET_ACCESS_KEY={SECRET}" in out
    assert "export AWS_DEFAULT_REGION=us-east-1" in out
    assert json.loads(call(*fake.arguments("env", "--json")).out)["AWS_REGION"] == "us-east-1"
