"""The ready function notify: real receivers on loopback, events of every source."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mailbox import Mailbox, run_mailbox, running
from tests.support.prebuilt import loaded, run_its_own_tests


@dataclass
class Posts:
    """What a receiver got, and how it answers."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def last(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.bodies[-1])
        return document


@pytest.fixture
def posts() -> Iterator[Posts]:
    got = Posts()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            got.headers.append(dict(self.headers))
            self.send_response(got.statuses.pop(0) if got.statuses else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    got.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    with running(server):
        yield got


def bucket_event(
    key: str = "in/my+photo.jpg", name: str = "ObjectCreated:Put"
) -> dict[str, object]:
    told = {"bucket": {"name": "photos"}, "object": {"key": key, "size": 7, "sequencer": "0A"}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": told}]}


def table_record(number: int, **change: object) -> dict[str, object]:
    return {
        "eventID": f"e{number}",
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026",
        "dynamodb": {"SequenceNumber": str(number), "Keys": {"id": {"S": f"o{number}"}}, **change},
    }


def queue_record(number: int, body: str) -> dict[str, object]:
    return {"eventSource": "aws:sqs", "messageId": f"m{number}", "body": body}


def test_a_change_in_a_bucket_is_posted_with_its_record(posts: Posts) -> None:
    with loaded("notify", {"WEBHOOK_URL": posts.url}) as handler:
        assert handler(bucket_event(), None) == {"sent": 1, "channels": ["webhook"]}
        assert posts.last["title"] == "photos/in/my photo.jpg was created"
        assert posts.last["event"] == bucket_event()["Records"][0]  # type: ignore[index]
        handler(bucket_event(name="ObjectRemoved:Delete"), None)
        assert posts.last["kind"] == "removed"
        assert handler({"Event": "s3:TestEvent"}, None)["sent"] == 0


def test_a_redelivered_event_has_the_same_key_and_another_another(posts: Posts) -> None:
    with loaded("notify", {"WEBHOOK_URL": posts.url}) as handler:
        for event in (bucket_event(), bucket_event(), bucket_event("other")):
            handler(event, None)
    first, again, other = (one["Idempotency-Key"] for one in posts.headers)
    assert first == again != other


@pytest.mark.parametrize("scheme", ["github", "stripe"])
def test_a_webhook_is_signed_over_its_raw_body(posts: Posts, scheme: str) -> None:
    settings = {"WEBHOOK_SECRET": "s3cret", "WEBHOOK_SIGNATURE": scheme}
    settings["WEBHOOK_HEADERS"] = '{"X-Team": "photos"}'
    with loaded("notify", {"WEBHOOK_URL": posts.url, **settings}) as handler:
        handler({"summary": "hé"}, None)
    headers, body = posts.headers[0], posts.bodies[0]
    assert headers["X-Team"] == "photos"
    if scheme == "github":
        digest = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert headers["X-Hub-Signature-256"] == f"sha256={digest}"
    else:
        at, digest = (part.partition("=")[2] for part in headers["Stripe-Signature"].split(","))
        expected = hmac.new(b"s3cret", at.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert digest == expected


def test_a_tables_change_can_be_named_by_its_plain_values(posts: Posts) -> None:
    text = "${keys.id}: ${old.price} -> ${new.price}, ${new.tags.1}, ${new.none:-nothing}, $$5"
    image = {
        "price": {"N": "12.50"},
        "tags": {"L": [{"S": "a"}, {"M": {"b": {"BOOL": True}}}]},
        "none": {"NULL": True},
    }
    record = table_record(1, NewImage=image, OldImage={"price": {"N": "1" * 38}})
    with loaded("notify", {"WEBHOOK_URL": posts.url, "TEXT": text}) as handler:
        assert handler({"Records": [record]}, None) == {"batchItemFailures": []}
    assert posts.last["text"] == f'o1: {"1" * 38} -> 12.5, {{"b": true}}, nothing, $5'
    assert posts.last["title"] == "id o1 was changed in orders"


def test_a_stream_stops_at_the_first_that_failed(posts: Posts) -> None:
    posts.statuses = [200, 500, 200]
    with loaded("notify", {"WEBHOOK_URL": posts.url}) as handler:
        answer = handler({"Records": [table_record(n) for n in (1, 2, 3)]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert len(posts.bodies) == 2


def test_of_a_queue_each_that_failed_comes_again(posts: Posts) -> None:
    posts.statuses = [500, 200, 503]
    records = [queue_record(n, '{"order": {"total": 3}}') for n in range(3)]
    settings = {"WEBHOOK_URL": posts.url, "TEXT": "total ${body.order.total}"}
    with loaded("notify", settings) as handler:
        answer = handler({"Records": records}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m2"}]}
    assert posts.last["text"] == "total 3"


@pytest.mark.parametrize("status", [301, 302, 400, 404, 500])
def test_anything_but_2xx_fails_the_event(posts: Posts, status: int) -> None:
    posts.statuses = [status]
    with (
        loaded("notify", {"WEBHOOK_URL": posts.url}) as handler,
        pytest.raises(Exception, match=f"answered {status}: no"),
    ):
        handler({"summary": "x"}, None)
    assert len(posts.bodies) == 1


def test_one_channel_that_fails_does_not_keep_the_message_from_the_others(posts: Posts) -> None:
    posts.statuses = [500, 200]
    settings = {"WEBHOOK_URL": posts.url, "SLACK_URL": posts.url}
    with loaded("notify", settings) as handler, pytest.raises(Exception, match="answered 500"):
        handler({"summary": "x"}, None)
    assert posts.last == {
        "text": '*x*\nx\n\nsource: event\nkind:   event\nevent:  {"summary": "x"}'
    }


def test_in_slack_a_value_neither_links_nor_calls_everybody(posts: Posts) -> None:
    with loaded("notify", {"SLACK_URL": posts.url, "TEXT": "<${who}>"}) as handler:
        handler({"summary": "a & b", "who": "<!channel> <http://x|y>"}, None)
    assert posts.last["text"] == "*a &amp; b*\n<&lt;!channel&gt; &lt;http://x|y&gt;>"


def test_a_body_template_keeps_types_and_quotes(posts: Posts) -> None:
    body = '{"n": "${n}", "all": "${list}", "text": "is ${s}!", "no": "${none}", "or": "${no:-7}"}'
    with loaded("notify", {"WEBHOOK_URL": posts.url, "BODY": body}) as handler:
        handler({"n": 3, "list": [1, {"a": None}], "s": 'x", "admin": "y'}, None)
    assert posts.last == {
        "n": 3,
        "all": [1, {"a": None}],
        "text": 'is x", "admin": "y!',
        "no": None,
        "or": "7",
    }


def test_a_scheduled_event_and_a_value_that_is_no_object_are_told(posts: Posts) -> None:
    event = {"id": "1", "detail-type": "Tick", "source": "clock", "detail": {}, "time": "t"}
    with loaded("notify", {"WEBHOOK_URL": posts.url}) as handler:
        handler(event, None)
        assert posts.last["title"] == "Tick from clock"
        handler([1, 2], None)
    assert json.loads(posts.bodies[1])["title"] == "[1, 2]"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "there is no channel"),
        ({"WEBHOOK_URL": "ftp://x"}, "no http or https"),
        ({"WEBHOOK_URL": "http://x", "WEBHOOK_SIGNATURE": "md5"}, "must be github or stripe"),
        ({"WEBHOOK_URL": "http://x", "TEXT": "file:../../etc/passwd"}, "no such file"),
        ({"WEBHOOK_URL": "http://x", "BODY": "{no"}, "Expecting property name"),
        ({"SMTP_HOST": "x"}, "MAIL_TO must be"),
        ({"SMTP_HOST": "x", "MAIL_TO": "a@b", "SMTP_TLS": "maybe"}, "SMTP_TLS must be"),
        ({"SMTP_HOST": "x", "MAIL_TO": "a", "SMTP_TLS": "none", "SMTP_USER": "u"}, "anybody reads"),
    ],
)
def test_a_wrong_setting_fails_the_import(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told), loaded("notify", settings):
        pass


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    with run_mailbox(tmp_path) as box:
        yield box


def test_mail_goes_by_starttls_with_a_login(mailbox: Mailbox) -> None:
    settings = {
        "SMTP_HOST": "localhost",
        "SMTP_PORT": str(mailbox.port),
        "SMTP_USER": "me",
        "SMTP_PASSWORD": "pass",
        "MAIL_FROM": "mayfly@example.com",
        "MAIL_TO": "ops@example.com, dev@example.com",
        "TITLE": "${who}",
        "TEXT": "Grüße\n${who}",
        "SSL_CERT_FILE": str(mailbox.authority),
    }
    with loaded("notify", settings) as handler:
        handler({"who": "x\r\nBcc: all@example.com"}, None)
    mail = message_from_bytes(mailbox.mails[0], policy=policy.default)
    assert mail["Subject"] == "x Bcc: all@example.com"
    assert mail["Bcc"] is None
    body = mail.get_content()
    assert body.splitlines()[0] == "Grüße"
    verbs = [line.split()[0].upper() for line in mailbox.lines]
    assert verbs.index("STARTTLS") < verbs.index("AUTH") < verbs.index("DATA")
    assert verbs.count("RCPT") == 2


def test_mail_does_not_go_to_a_server_whose_certificate_nobody_vouches_for(
    mailbox: Mailbox,
) -> None:
    settings = {"SMTP_HOST": "localhost", "SMTP_PORT": str(mailbox.port), "MAIL_TO": "a@b.example"}
    with loaded("notify", settings) as handler, pytest.raises(ssl.SSLCertVerificationError):
        handler({"summary": "x"}, None)
    assert mailbox.mails == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(template=st.text(st.sampled_from("${}:-.ab0 "), max_size=30), fields=VALUES)
def test_no_template_fails_and_no_value_is_a_template(template: str, fields: object) -> None:
    with loaded("notify", {"WEBHOOK_URL": "http://x"}):
        from templates import fill  # type: ignore[import-not-found]  # noqa: PLC0415

        fill(template, {"a": fields})
        assert fill("${a}", {"a": "${b}", "b": "never"}) == "${b}"


def test_its_own_tests_pass_in_a_users_folder(tmp_path: Path) -> None:
    run_its_own_tests("notify", tmp_path)
