"""Queues: attributes, FIFO and dead letters, by SQS's API.

No message is received, sent or purged here. Attributes that system.toml has no word for stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mayfly.cli import document
from mayfly.cli.client import Client
from mayfly.cli.failure import Refused
from mayfly.cli.system.declared import Entry, Resource
from mayfly.cli.system.kind import ACCOUNT, REGION, Settings, ask_json, is_absent

_NAME = r"[A-Za-z0-9_-]{1,80}(\.fifo)?"
_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
# The words of system.toml, by SQS's attributes: those that are numbers.
_NUMBERS = {
    "visibility": ("VisibilityTimeout", 43_200, 30),
    "retention": ("MessageRetentionPeriod", 1_209_600, 345_600),
    "delay": ("DelaySeconds", 900, 0),
    "wait": ("ReceiveMessageWaitTimeSeconds", 20, 0),
}
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Queues:
    """Kind `queue`."""

    def read(self, entry: Entry, folder: Path) -> Resource:
        """name, fifo, deduplicate, visibility, retention, delay, wait, dead_letter, receives."""
        del folder
        name = entry.required("name", form=_NAME, must="1 to 80 letters, digits, - and _")
        fifo = entry.flag("fifo")
        if fifo is not name.endswith(".fifo"):
            entry.problem("the name of a FIFO queue, and of no other, ends in .fifo")
        settings: dict[str, object] = {
            key: entry.seconds(key, high=high, default=default)
            for key, (_, high, default) in _NUMBERS.items()
        }
        settings["fifo"] = fifo
        settings["deduplicate"] = entry.flag("deduplicate")
        settings["dead_letter"] = entry.text("dead_letter", form=_NAME, must="a queue's name")
        receives = entry.whole("receives", low=1, high=1_000, default=5)
        settings["receives"] = receives if settings["dead_letter"] else 0
        return Resource("queue", name, settings)

    def look(self, client: Client, wanted: Resource) -> Settings | None:
        """What SQS says of it."""
        try:
            attributes = _attributes(client, wanted.name, ["All"])
        except Refused as error:
            if is_absent(error):
                return None
            raise
        policy = json.loads(document.text(attributes, "RedrivePolicy") or "{}")
        return {
            **{key: int(str(attributes[name])) for key, (name, _, _) in _NUMBERS.items()},
            "fifo": attributes.get("FifoQueue") == "true",
            "deduplicate": attributes.get("ContentBasedDeduplication") == "true",
            "dead_letter": str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2],
            "receives": int(policy.get("maxReceiveCount", 0)),
        }

    def create(self, client: Client, wanted: Resource) -> None:
        """CreateQueue."""
        attributes = _wanted_attributes(wanted.settings)
        if wanted.settings["fifo"]:
            attributes["FifoQueue"] = "true"
        attributes = {key: value for key, value in attributes.items() if value}
        members = {"QueueName": wanted.name, "Attributes": attributes}
        ask_json(client, "sqs", "AmazonSQS.CreateQueue", members)

    def change(self, client: Client, wanted: Resource, present: Settings) -> None:
        """SetQueueAttributes."""
        del present
        members = {
            "QueueUrl": _url(client, wanted.name),
            "Attributes": _wanted_attributes(wanted.settings),
        }
        ask_json(client, "sqs", "AmazonSQS.SetQueueAttributes", members)

    def unchangeable(self) -> frozenset[str]:
        """Whether it is FIFO."""
        return frozenset({"fifo"})

    def holds_data(self, client: Client, name: str) -> bool:
        """Messages, waiting or under way."""
        counted = _attributes(client, name, list(_COUNTS))
        return any(document.text(counted, one, "0") != "0" for one in _COUNTS)

    def remove(self, client: Client, name: str) -> None:
        """DeleteQueue."""
        try:
            members = {"QueueUrl": _url(client, name)}
            ask_json(client, "sqs", "AmazonSQS.DeleteQueue", members)
        except Refused as error:
            if not is_absent(error):
                raise


def _wanted_attributes(settings: Mapping[str, object]) -> dict[str, str]:
    attributes = {name: str(settings[key]) for key, (name, _, _) in _NUMBERS.items()}
    if settings["fifo"]:
        attributes["ContentBasedDeduplication"] = "true" if settings["deduplicate"] else "false"
    target = settings["dead_letter"]
    policy = {"deadLetterTargetArn": f"{_ARN}{target}", "maxReceiveCount": settings["receives"]}
    return attributes | {"RedrivePolicy": json.dumps(policy) if target else ""}


def _attributes(client: Client, name: str, wanted: list[str]) -> document.Document:
    members = {"QueueUrl": _url(client, name), "AttributeNames": wanted}
    answer = ask_json(client, "sqs", "AmazonSQS.GetQueueAttributes", members)
    return document.part(answer, "Attributes")


def _url(client: Client, name: str) -> str:
    return f"{client.platform.endpoint}/{ACCOUNT}/{name}"
