"""What each kind of thing can do: be read from system.toml, looked at, made, changed and removed.

Settings are plain values in system.toml's words, on both sides: what is declared and what is there.
So a plan is a comparison, and what is shown is what the person wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from mayfly.cli import document
from mayfly.cli.client import Client
from mayfly.cli.failure import Refused
from mayfly.cli.system.declared import Entry, Resource

Settings = Mapping[str, object]
ACCOUNT = "000000000000"
REGION = "us-east-1"
_NOT_FOUND = 404


class Kind(Protocol):
    """One kind of thing."""

    def read(self, entry: Entry, folder: Path) -> Resource:
        """Read one table of system.toml; problems are noted in the entry."""
        ...

    def look(self, client: Client, wanted: Resource) -> Settings | None:
        """Its settings now, of those that system.toml has words for; None: it is not there."""
        ...

    def create(self, client: Client, wanted: Resource) -> None:
        """Make it, and wait until it can be used. Raises Failed."""
        ...

    def change(self, client: Client, wanted: Resource, present: Settings) -> None:
        """Bring it from `present` to what is wanted. Raises Failed."""
        ...

    def unchangeable(self) -> frozenset[str]:
        """The settings that only a new one can have."""
        ...

    def holds_data(self, client: Client, name: str) -> bool:
        """Whether something would be lost with it."""
        ...

    def remove(self, client: Client, name: str) -> None:
        """Remove it with all that it holds; nothing when it is not there. Raises Failed."""
        ...


def ask_json(
    client: Client, service: str, target: str, members: Mapping[str, object]
) -> document.Document:
    """One operation of a service that speaks JSON (DynamoDB, SQS).

    Raises:
        Refused: The service's error, with its code.
    """
    reply = client.call(
        "POST",
        "/",
        headers={"content-type": "application/x-amz-json-1.0", "x-amz-target": target},
        body=json.dumps(members).encode(),
        service=service,
    )
    return reply.document() if reply.body else {}


def is_absent(error: Refused) -> bool:
    """Whether the error says that the thing is not there."""
    absent = ("NotFound", "NonExistent", "DoesNotExist")
    return error.status == _NOT_FOUND or any(one in error.code for one in absent)


def expression_of(entry: Entry) -> str:
    """A schedule's time: one of rate, cron, at and expression, as Scheduler writes it."""
    keys = ("rate", "cron", "at", "expression")
    given = {key: text for key in keys if (text := entry.text(key))}
    if len(given) != 1:
        entry.problem('needs one of rate = "5 minutes", cron = "0 8 * * ? *", at, expression')
        return ""
    ((key, text),) = given.items()
    return text if key == "expression" else f"{key}({text})"
