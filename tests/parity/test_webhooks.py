"""Webhooks and secrets as a person makes them and as GitHub and Stripe post to them."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.control import ask, follow_log
from tests.support.functions import Functions
from tests.support.platform import HttpAnswer, Platform, fetch

PRINTS = """
    import json

    def handler(event, context):
        event["length"] = len(event.get("body", ""))
        if event["length"] > 1000:
            del event["body"]
        print("GOT", json.dumps(event))
"""
SECRET = "it is a secret to everybody but us"
PUSH = {"ref": "refs/heads/main", "text": "\u00fc"}


def now_s() -> int:
    """The sender's clock."""
    return int(datetime.now(UTC).timestamp())  # noqa: TID251  the real one, as Stripe's is


class Shell:
    """Runs `mayfly` on one platform."""

    def __init__(self, platform: Platform) -> None:
        self._environment = platform.environment

    def __call__(self, *words: str, stdin: bytes = b"", code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mayfly.cli", *words],
            env=self._environment,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        return (done.stderr if code else done.stdout).decode()


@pytest.fixture
def shell(platform: Platform) -> Shell:
    return Shell(platform)


class Hook:
    """A webhook of one function, and how its sender signs."""

    def __init__(self, platform: Platform, function: str, url: str, scheme: str) -> None:
        self.platform = platform
        self.function = function
        self.url = url
        self.scheme = scheme
        self._events: Iterator[dict[str, object]] = self._follow()

    def post(self, body: bytes, *, delivery: str = "", **changed: str) -> HttpAnswer:
        headers = {"Content-Type": "application/json"}
        key, seconds = SECRET.encode(), now_s()
        if self.scheme == "github":
            signature = hmac.new(key, body, hashlib.sha256).hexdigest()
            headers["X-Hub-Signature-256"] = f"sha256={signature}"
            headers["X-GitHub-Event"] = "push"
            headers["X-GitHub-Delivery"] = delivery
        elif self.scheme == "stripe":
            signature = hmac.new(key, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
            headers["Stripe-Signature"] = f"t={seconds},v1={signature}"
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        return fetch(self.url, data=body, method="POST", headers=headers)

    def event(self) -> dict[str, object]:
        """The next event that the function printed."""
        return next(self._events)

    def _follow(self) -> Iterator[dict[str, object]]:
        for line in follow_log(self.platform, self.function):
            if line.startswith("GOT "):
                yield json.loads(line.removeprefix("GOT "))


@pytest.fixture(params=["github", "stripe"])
def hook(request: pytest.FixtureRequest, functions: Functions, shell: Shell) -> Iterator[Hook]:
    scheme: str = request.param
    function = functions.make(PRINTS)
    shell("secret", "set", "hook-secret", stdin=SECRET.encode() + b"\n")
    made = shell(
        *("webhook", "add", function, "--function", function),
        *("--scheme", scheme, "--secret", "hook-secret"),
    )
    yield Hook(functions.platform, function, made.strip(), scheme)
    shell("webhook", "rm", function)
    shell("secret", "rm", "hook-secret")


def counted(platform: Platform, outcome: str) -> float:
    marked = f'mayfly_webhook_deliveries_total{{outcome="{outcome}"}} '
    for line in platform.get("/metrics").body.decode().splitlines():
        if line.startswith(marked):
            return float(line.removeprefix(marked))
    return 0.0


def test_a_signed_delivery_is_accepted_at_once_and_calls_the_function(hook: Hook) -> None:
    body = json.dumps(PUSH).encode()
    answer = hook.post(body, delivery="d-1")
    assert (answer.status, json.loads(answer.body)["status"]) == (202, "accepted")
    event = hook.event()
    assert (event["version"], event["isBase64Encoded"]) == ("2.0", False)
    assert event["body"] == body.decode()
    assert event["rawPath"] == "/"
    headers, webhook = event["headers"], event["webhook"]
    assert isinstance(headers, dict)
    assert headers["content-type"] == "application/json"
    assert isinstance(webhook, dict)
    assert (webhook["id"], webhook["scheme"]) == (hook.function, hook.scheme)


def test_the_same_delivery_calls_the_function_once(hook: Hook) -> None:
    first, second = b'{"id": "evt_1", "n": 1}', b'{"id": "evt_2", "n": 2}'
    before = counted(hook.platform, "duplicate")
    told = [
        json.loads(hook.post(body, delivery=delivery).body)["status"]
        for body, delivery in ((first, "g-1"), (first, "g-1"), (second, "g-2"))
    ]
    assert told == ["accepted", "duplicate", "accepted"]
    assert {hook.event()["body"], hook.event()["body"]} == {first.decode(), second.decode()}
    assert counted(hook.platform, "duplicate") == before + 1


def test_a_delivery_that_is_not_signed_rightly_is_refused_and_counted(hook: Hook) -> None:
    before = counted(hook.platform, "refused")
    name = {"github": "X_Hub_Signature_256", "stripe": "Stripe_Signature"}[hook.scheme]
    wrong = {"github": f"sha256={'0' * 64}", "stripe": f"t={now_s()},v1={'0' * 64}"}
    for value in (wrong[hook.scheme], "", "nonsense"):
        answer = hook.post(b"{}", delivery="d", **{name: value})
        assert answer.status == 401, answer.body
        assert "signature" in json.loads(answer.body)["error"]["message"].lower()
    assert counted(hook.platform, "refused") == before + 3


def test_a_body_over_a_mebibyte_is_refused_and_one_of_it_is_not(hook: Hook) -> None:
    assert hook.post(b"x" * ((1 << 20) + 1)).status == 413
    assert hook.post(b"x" * (1 << 20), delivery="large").status == 202
    assert hook.event()["length"] == 1 << 20


def test_a_longer_path_is_the_functions_and_another_method_is_refused(hook: Hook) -> None:
    hook.url += "/a/b%20c?x=1"
    assert hook.post(b"{}", delivery="p").status == 202
    event = hook.event()
    assert (event["rawPath"], event["rawQueryString"]) == ("/a/b%20c", "x=1")
    assert fetch(hook.url).status == 405


def test_a_webhook_keeps_its_url_when_it_is_changed_and_loses_it_when_it_is_removed(
    hook: Hook, shell: Shell
) -> None:
    again = shell(
        *("webhook", "add", hook.function, "--function", hook.function),
        *("--scheme", "hmac", "--secret", "hook-secret"),
    )
    assert again.strip() == hook.url
    assert hook.url in shell("webhook", "ls")
    shell("webhook", "rm", hook.function)
    assert hook.post(b"{}").status == 404
    shell("webhook", "add", hook.function, "--function", hook.function, "--scheme", "none")
    (listed,) = [
        one
        for one in json.loads(shell("webhook", "ls", "--json"))["webhooks"]
        if one["name"] == hook.function
    ]
    assert listed["url"] != hook.url
    assert fetch(listed["url"], data=b"hello", method="POST").status == 202
    assert fetch(listed["url"], data=b"", headers={"Host": "evil.example"}).status == 403


def test_githubs_ping_is_answered(functions: Functions, shell: Shell) -> None:
    function = functions.make(PRINTS)
    shell("secret", "set", "ping-secret", stdin=SECRET.encode())
    url = shell(
        *("webhook", "add", "ping", "--function", function),
        *("--scheme", "github", "--secret", "ping-secret"),
    )
    hook = Hook(functions.platform, function, url.strip(), "github")
    assert hook.post(b'{"zen": "Design for failure."}', X_GitHub_Event="ping").status == 200
    refused = hook.post(b"{}", X_GitHub_Event="ping", X_Hub_Signature_256="sha256=00")
    assert refused.status == 401
    shell("webhook", "rm", "ping")
    shell("secret", "rm", "ping-secret")


def test_a_webhook_whose_secret_is_gone_asks_to_come_again(hook: Hook, shell: Shell) -> None:
    shell("secret", "rm", "hook-secret")
    answer = hook.post(b"{}", delivery="d")
    assert answer.status == 503
    assert b"hook-secret" not in answer.body
    assert "hook-secret" in hook.platform.log()
    shell("secret", "set", "hook-secret", stdin=SECRET.encode())
    assert hook.post(b"{}", delivery="d").status == 202


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--function", "nobody", "--scheme", "none"), "no function has the name"),
        (("--function", "f", "--scheme", "github"), "needs the name of the secret"),
        (("--function", "f", "--scheme", "none", "--secret", "s"), "takes no secret"),
        (("--function", "f", "--scheme", "what"), "what"),
        (("--function", "f", "--scheme", "hmac", "--secret", "missing"), "mayfly secret set"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(
    functions: Functions, shell: Shell, words: tuple[str, ...], said: str
) -> None:
    function = functions.make()
    words = tuple(function if one == "f" else one for one in words)
    code = 2 if "what" in words else 1
    assert said in shell("webhook", "add", "w", *words, code=code)


def test_secrets_are_set_from_a_pipe_and_a_file_and_never_shown(
    platform: Platform, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "value").write_text("from-a-file\n")
    shell("secret", "set", "piped", stdin=b"from-a-pipe\n")
    assert "version 1" in shell("secret", "set", "filed", "--from-file", str(tmp_path / "value"))
    assert "version 2" in shell("secret", "set", "filed", "--from-file", str(tmp_path / "value"))
    listed = shell("secret", "ls") + shell("secret", "ls", "--json")
    assert "piped" in listed
    assert "filed" in listed
    answer = ask(platform, "GET", "/_mayfly/v1/secrets/piped")
    assert answer.status == 405
    everything = listed + platform.log() + answer.body.decode()
    assert "from-a-" not in everything
    held = b"".join(one.read_bytes() for one in platform.data.glob("mayfly.db*"))
    assert b"from-a-" not in held
    (key,) = (platform.data.parent / ".config/mayfly/secrets").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    assert "was not removed" in shell("secret", "rm", "piped", "nothing", code=1)
    shell("secret", "rm", "filed")
    assert "not UTF-8" in shell("secret", "set", "binary", stdin=b"\xff", code=1)
