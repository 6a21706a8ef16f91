"""Where messages go: a webhook, Slack, e-mail; each when its address is in the environment.

    WEBHOOK_URL   SLACK_URL   SMTP_HOST and MAIL_TO

Every wait has an end, no redirect is followed, and of an answer only its status matters: it must
be 2xx. The function reaches what its grants name and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import smtplib
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Protocol
from urllib.parse import urlsplit

from messages import Message
from templates import Templates, fill, fill_json

TIMEOUT_S = float(os.environ.get("CHANNEL_TIMEOUT_S", "10"))
_ANSWER_BYTES_MAX = 2_000
_SLACK_TEXT_MAX = 3_000
_SUBJECT_LENGTH_MAX = 200


class NotSent(Exception):
    """A channel did not take the message."""


class Channel(Protocol):
    """One way to tell."""

    @property
    def name(self) -> str:
        """As the log and the answer name it."""
        ...

    def send(self, message: Message, templates: Templates) -> None:
        """Deliver, or raise."""
        ...


def channels() -> list[Channel]:
    """What the environment sets up.

    Raises:
        ValueError: Nothing, or a setting is wrong.
    """
    found: list[Channel] = []
    if url := os.environ.get("WEBHOOK_URL"):
        headers = json.loads(os.environ.get("WEBHOOK_HEADERS") or "{}")
        secret = os.environ.get("WEBHOOK_SECRET", "")
        scheme = os.environ.get("WEBHOOK_SIGNATURE") or "github"
        found.append(Webhook(_checked(url), headers, secret, scheme))
    if url := os.environ.get("SLACK_URL"):
        found.append(Slack(_checked(url)))
    if host := os.environ.get("SMTP_HOST"):
        found.append(Mail.configured(host))
    if not found:
        raise ValueError(
            "there is no channel: set WEBHOOK_URL, SLACK_URL or SMTP_HOST in [function.env] of "
            "mayfly.toml, and net in [grants] to its host:port"
        )
    return found


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is no http or https address")
    return url


@dataclass(frozen=True)
class Webhook:
    """A POST of JSON, signed as GitHub's or as Stripe's webhooks are, where there is a secret."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""
    scheme: str = "github"
    name: str = "webhook"

    def __post_init__(self) -> None:
        if self.scheme not in ("github", "stripe"):
            raise ValueError(f"WEBHOOK_SIGNATURE must be github or stripe, not {self.scheme!r}")

    def send(self, message: Message, templates: Templates) -> None:
        """Post title, text and what happened, or what BODY says."""
        if templates.body is not None:
            document = fill_json(templates.body, message.fields)
        else:
            document = {
                "title": fill(templates.title, message.fields),
                "text": fill(templates.text, message.fields),
                "source": message.source,
                "kind": message.kind,
                "event": message.fields["event"],
            }
        body = json.dumps(document, ensure_ascii=False).encode()
        headers = {**self.headers, **self._signature(body)}
        if message.event_id:
            # The same each time that the event comes: by it a receiver knows what it has had.
            headers["Idempotency-Key"] = hashlib.sha256(message.event_id.encode()).hexdigest()
        _post(self.url, body, headers)

    def _signature(self, body: bytes) -> dict[str, str]:
        if not self.secret:
            return {}
        key = self.secret.encode()
        if self.scheme == "github":
            digest = hmac.new(key, body, hashlib.sha256).hexdigest()
            return {"X-Hub-Signature-256": f"sha256={digest}"}
        at_s = int(time.time())
        digest = hmac.new(key, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={at_s},v1={digest}"}


@dataclass(frozen=True)
class Slack:
    """An incoming webhook of Slack's, or of what speaks its format (Mattermost, Rocket.Chat)."""

    url: str
    name: str = "slack"

    def send(self, message: Message, templates: Templates) -> None:
        """Post the title in bold and the text below it."""
        title = fill(templates.title, message.fields, _slack_quoted)
        text = fill(templates.text, message.fields, _slack_quoted)
        shown = f"*{title}*\n{text}" if text != title else f"*{title}*"
        _post(self.url, json.dumps({"text": shown[:_SLACK_TEXT_MAX]}).encode(), {})


def _slack_quoted(value: str) -> str:
    """Slack's three control characters; so a value can neither link nor call everybody."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True)
class Mail:
    """A plain-text message over SMTP, by STARTTLS unless SMTP_TLS says otherwise.

    Args:
        tls: "starttls", "tls" (from the first byte), or "none".
    """

    host: str
    port: int
    tls: str
    user: str
    password: str
    sender: str
    recipients: tuple[str, ...]
    name: str = "mail"

    @classmethod
    def configured(cls, host: str) -> Mail:
        """From SMTP_* and MAIL_*.

        Raises:
            ValueError: One is wrong, or MAIL_TO is missing.
        """
        tls = os.environ.get("SMTP_TLS") or "starttls"
        if tls not in ("starttls", "tls", "none"):
            raise ValueError(f"SMTP_TLS must be starttls, tls or none, not {tls!r}")
        to = tuple(filter(None, (one.strip() for one in os.environ.get("MAIL_TO", "").split(","))))
        if not to:
            raise ValueError("SMTP_HOST is set, so MAIL_TO must be as well")
        user, password = os.environ.get("SMTP_USER", ""), os.environ.get("SMTP_PASSWORD", "")
        if user and tls == "none":
            raise ValueError("a password does not go over a line that anybody reads: set SMTP_TLS")
        port = int(os.environ.get("SMTP_PORT") or ("465" if tls == "tls" else "587"))
        return cls(host, port, tls, user, password, os.environ.get("MAIL_FROM") or to[0], to)

    def send(self, message: Message, templates: Templates) -> None:
        """Hand the message to the server."""
        mail = EmailMessage()
        title = " ".join(fill(templates.title, message.fields).split())
        mail["Subject"] = title[:_SUBJECT_LENGTH_MAX]
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail["Date"] = formatdate()
        if message.event_id:
            digest = hashlib.sha256(message.event_id.encode()).hexdigest()
            mail["Message-ID"] = f"<{digest}@mayfly.invalid>"
        mail.set_content(fill(templates.text, message.fields) + "\n")
        context = ssl.create_default_context()
        if self.tls == "tls":
            line: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=TIMEOUT_S, context=context
            )
        else:
            line = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        with line:
            if self.tls == "starttls":
                line.starttls(context=context)
            if self.user:
                line.login(self.user, self.password)
            refused = line.send_message(mail)
        if refused:
            raise NotSent(f"{self.host} refused {', '.join(refused)}")


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """POST JSON; anything but 2xx is NotSent."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        line: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_S, context=context
        )
    else:
        line = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    plain = {"Content-Type": "application/json", "User-Agent": "mayfly-notify"}
    with closing(line):
        line.request("POST", target, body, plain | dict(headers))
        answer = line.getresponse()
        said = answer.read(_ANSWER_BYTES_MAX)
    if not 200 <= answer.status < 300:
        raise NotSent(f"{host} answered {answer.status}: {said[:200].decode(errors='replace')}")
