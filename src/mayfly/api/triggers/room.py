"""What each kind of trigger needs: to know what it would make, to check it, to make it so.

A `Room` is one kind's place of work. It never decides what is to be there: `triggers` does, from
the manifest and from what the manifest made before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Protocol

from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.trigger import (
    ObjectTrigger,
    QueueTrigger,
    ScheduleTrigger,
    TableTrigger,
    Trigger,
    TriggerKind,
)
from mayfly.stores.triggers.store import Made

QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:"
BUCKET_ARN = "arn:aws:s3:::"
# The manifest's words, where an attribute has another one.
_WRITTEN = {"window_s": "window", "age_s_max": "max_age", "filters": "filter"}
_SECONDS = ("window_s", "age_s_max")


class Room(Protocol):
    """One kind of trigger."""

    def plan(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[Made]:
        """What these triggers of one function make; only after `problems` found none."""
        ...

    def problems(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[str]:
        """Why they cannot be made now, a sentence each; empty where they can."""
        ...

    async def converge(
        self, function_name: str, triggers: Sequence[Trigger], gone: Sequence[Made]
    ) -> bool:
        """Make what is missing, change what differs, remove `gone`; whether anything changed.

        Cancelled or failed half way: to be called again with the same.

        Raises:
            MayflyError: It was refused.
        """
        ...


def kind_of(trigger: Trigger) -> TriggerKind:
    """The word for a trigger in a manifest."""
    match trigger:
        case ObjectTrigger():
            return TriggerKind.OBJECT
        case TableTrigger():
            return TriggerKind.TABLE
        case QueueTrigger():
            return TriggerKind.QUEUE
        case ScheduleTrigger():
            return TriggerKind.SCHEDULE
        case _:
            return TriggerKind.WEBHOOK


def shown(trigger: Trigger) -> Mapping[str, object]:
    """A trigger for people and programs: its type, and what is not the default, as it is written.

    An object trigger's events are always told, for they are what it is about.
    """
    told: dict[str, object] = {"type": kind_of(trigger).value}
    for one in fields(trigger):
        value = getattr(trigger, one.name)
        if value != one.default or one.name == "events":
            told[_WRITTEN.get(one.name, one.name)] = _plain(value, seconds=one.name in _SECONDS)
    return told


def function_arn(function_name: str) -> str:
    """The ARN of a function's newest version."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function_name}"


def _plain(value: object, *, seconds: bool) -> object:
    match value:
        case StrEnum():
            return value.value
        case tuple():
            return [_plain(one, seconds=False) for one in value]
        case _:
            return f"{value}s" if seconds else value
