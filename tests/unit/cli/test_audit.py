"""audit: the page, rules for pipelines, and the difference between two versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mayfly.cli import auditing
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import FakePlatform, json_answer

FACTS: dict[str, object] = {
    "driver": "process",
    "kernel": "Linux 6.18.0",
    "architecture": "x86_64",
    "runtime": "python3.11",
    "code": "aa",
    "dependencies": None,
    "grants": ["net=api.example.com:443"],
    "triggers": [],
    "syscalls": ["clone", "read"],
    "syscalls_conditional": ["clone"],
    "image": {"files": 3, "programs": ["/usr/bin/python3.11"], "setuid": []},
    "writable": [{"path": "/tmp", "bytes": 512}],
    "limits": {"timeout_s": 3},
}
AUDIT: dict[str, object] = {
    "format": 1,
    "function": "hello",
    "facts": FACTS,
    "rows": [
        {
            "name": "network",
            "says": "api.example.com:443",
            "why": "granted, host by host",
            "docker": "every address",
        }
    ],
    "findings": [
        {"rule": "net", "meaning": "it reaches a host", "what": ["net=api.example.com:443"]}
    ],
    "syscall_reasons": {"clone": "threads", "read": "read an open file"},
}
RULES = {"rules": {"net": "it reaches a host", "secrets": "it is given secrets"}}


@pytest.fixture(autouse=True)
def answers(fake: FakePlatform) -> None:
    fake.answer("GET", "/_mayfly/v1/audit/hello", json_answer(AUDIT))
    fake.answer("GET", "/_mayfly/v1/audit", json_answer(RULES))


def earlier(tmp_path: Path, **facts: object) -> str:
    file = tmp_path / "before.json"
    file.write_text(json.dumps({**AUDIT, "facts": {**FACTS, **facts}}))
    return str(file)


def test_a_row_is_shown_with_its_reason_and_docker_s(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("audit", "hello"))
    assert done.code == 0
    for line in (
        "hello: python3.11, Linux 6.18.0 x86_64, driver process",
        "network       api.example.com:443",
        "  why         granted, host by host",
        "  docker      every address",
        "rules broken  net",
    ):
        assert line in done.out.splitlines()
    assert "threads" not in done.out


def test_verbose_shows_each_call_s_reason(call: Call, fake: FakePlatform) -> None:
    lines = call(*fake.arguments("audit", "hello", "--verbose")).out.splitlines()
    assert [one.split() for one in lines if "threads" in one] == [["clone*", "threads"]]
    assert "  /usr/bin/python3.11" in lines


def test_json_is_the_platform_s_document(call: Call, fake: FakePlatform) -> None:
    assert json.loads(call(*fake.arguments("audit", "hello", "--json")).out) == AUDIT


def test_a_broken_rule_fails_and_is_named(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("audit", "hello", "--fail-on", "secrets,net"))
    assert done.code == 1
    assert done.err == "mayfly: net: it reaches a host: net=api.example.com:443\n"
    assert call(*fake.arguments("audit", "hello", "--fail-on", "secrets")).code == 0


def test_rules_are_listed(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("audit", "--fail-on", "list"))
    assert done.code == 0
    assert [one.split()[0] for one in done.out.splitlines()] == [
        *("net", "secrets"),
        *auditing.COMPARED,
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("audit",), "say which function"),
        (("audit", "hello", "--fail-on", "nets"), 'there is no rule "nets"'),
        (("audit", "hello", "--fail-on", "grown"), "give --against FILE"),
    ],
)
def test_a_wrong_use_is_told(
    call: Call, fake: FakePlatform, words: tuple[str, ...], says: str
) -> None:
    done = call(*fake.arguments(*words))
    assert done.code == 2
    assert says in done.err


def test_a_file_that_is_no_audit_is_told(call: Call, fake: FakePlatform, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for text in ("", "[]", "{}"):
        file.write_text(text)
        done = call(*fake.arguments("audit", "hello", "--against", str(file)))
        assert done.code == 1
        assert "is no audit" in done.err


def test_two_versions_are_compared_fact_by_fact(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    before = earlier(
        tmp_path, grants=["queues=mail:send"], limits={"timeout_s": 10}, dependencies="dd"
    )
    done = call(*fake.arguments("audit", "hello", "--against", before))
    assert done.code == 0
    assert done.out.splitlines() == [
        "~ dependencies: dd -> none",
        "- grants: queues=mail:send",
        "+ grants: net=api.example.com:443",
        "~ limits.timeout_s: 10 -> 3",
    ]


def test_what_two_versions_differ_in_can_fail(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    less = earlier(tmp_path, grants=[])
    rules = "dependencies-changed,grown,grants-changed"
    done = call(*fake.arguments("audit", "hello", "--against", less, "--fail-on", rules))
    assert done.code == 1
    assert [one.split()[1] for one in done.err.splitlines()] == ["grown:", "grants-changed:"]
    more = earlier(tmp_path, grants=["net=api.example.com:443", "invoke=f"])
    done = call(*fake.arguments("audit", "hello", "--against", more, "--fail-on", "grown"))
    assert done.code == 0


def test_nothing_changed_is_said(call: Call, fake: FakePlatform, tmp_path: Path) -> None:
    done = call(*fake.arguments("audit", "hello", "--against", earlier(tmp_path)))
    assert "nothing changed" in done.out
