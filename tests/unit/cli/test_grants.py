"""grants, grant, revoke; and what a deploy takes away."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import FakePlatform, json_answer, lines
from tests.unit.cli.test_functions import FUNCTION

PATH = "/_mayfly/v1/grants/hello"
GRANTED = {
    "function": "hello",
    "grants": [
        {"grant": "net=api.example.com:443", "from": "manifest"},
        {"grant": "queues=mail:send", "from": "hand"},
    ],
}


def test_grants_are_listed_with_where_they_came_from(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", PATH, json_answer(GRANTED))
    done = call(*fake.arguments("grants", "hello"))
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["GRANT", "FROM"],
        ["net=api.example.com:443", "mayfly.toml"],
        ["queues=mail:send", "mayfly", "grant"],
    ]


def test_a_function_without_grants_is_said_to_reach_nothing(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", PATH, json_answer({"function": "hello", "grants": []}))
    assert "reaches nothing" in call(*fake.arguments("grants", "hello")).out


def test_grant_and_revoke_send_what_was_typed_and_show_what_holds(
    call: Call, fake: FakePlatform
) -> None:
    for word, method in (("grant", "PUT"), ("revoke", "DELETE")):
        fake.answer(method, PATH, json_answer({**GRANTED, "snapshot": {"failure": None}}))
        done = call(*fake.arguments(word, "hello", "queues=mail:send", "invoke=f"))
        assert done.code == 0
        assert "mail:send" in done.out
        assert fake.last.method == method
        assert json.loads(fake.last.body) == {"grants": ["queues=mail:send", "invoke=f"]}


def test_an_import_that_fails_with_the_new_grants_is_told(call: Call, fake: FakePlatform) -> None:
    failure = {"errorType": "KeyError", "errorMessage": "'STRIPE_KEY'"}
    fake.answer("DELETE", PATH, json_answer({**GRANTED, "snapshot": {"failure": failure}}))
    done = call(*fake.arguments("revoke", "hello", "secrets=stripe-key"))
    assert "KeyError: 'STRIPE_KEY'" in done.err


def test_a_deploy_says_what_it_takes_away(call: Call, fake: FakePlatform, tmp_path: object) -> None:
    assert call("init", f"{tmp_path}/hello").code == 0
    steps = ({"step": "grants", "ms": 0, "taken": ["queues=mail:send"]},)
    last = {"function": FUNCTION, "changed": ["grants"]}
    fake.answer("PUT", "/_mayfly/v1/deploy", lines(*steps, last))
    done = call(*fake.arguments("deploy", f"{tmp_path}/hello"))
    assert done.code == 0
    assert "taken away" in done.err
    assert "    queues=mail:send" in done.err.splitlines()
