"""Triggers: what a function's manifest says that it is called for. Values only.

A trigger names a resource that is there already, and how its changes become calls. What it takes
to make it so (a bucket's notification, an event source mapping, a schedule, a webhook) is `api`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mayfly.model.webhook import Scheme


class TriggerKind(StrEnum):
    """What can make events."""

    OBJECT = "object"
    TABLE = "table"
    QUEUE = "queue"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


class ObjectEvent(StrEnum):
    """What can happen to an object."""

    CREATED = "created"
    REMOVED = "removed"


class Starting(StrEnum):
    """From where a new mapping reads a table's stream."""

    LATEST = "latest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class ObjectTrigger:
    """Changes of a bucket's objects, whose keys begin and end so."""

    bucket: str
    events: tuple[ObjectEvent, ...] = (ObjectEvent.CREATED,)
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class TableTrigger:
    """Changes of a table's items, by its stream.

    Args:
        batch: The most records of one call.
        window_s: How long a batch may wait to be filled.
        filters: Patterns as JSON; a record that none matches is left out. Empty: all.
        retries: Of a batch that fails; -1 is until it succeeds or is too old.
        age_s_max: An older record is given up; -1 is never.
        bisect: A batch that fails is halved, to find what it fails by.
        parallel: Batches of one shard at once; those of one item stay in order.
        partial: The function's answer says which records failed.
        on_failure: Who is told of what was given up: "queue:NAME" or "bucket:NAME"; or "".
    """

    table: str
    batch: int = 100
    window_s: int = 0
    starting: Starting = Starting.LATEST
    filters: tuple[str, ...] = ()
    retries: int = -1
    age_s_max: int = -1
    bisect: bool = False
    parallel: int = 1
    partial: bool = False
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """Messages of a queue.

    Args:
        concurrency: Calls at once, 2 or more; 0 is "as many as there are".
    """

    queue: str
    batch: int = 10
    window_s: int = 0
    filters: tuple[str, ...] = ()
    concurrency: int = 0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """A clock.

    Args:
        expression: "rate(5 minutes)", "cron(0 8 * * ? *)" or "at(2026-01-31T08:00:00)".
        timezone: An IANA name.
        input: The event, as JSON; None is Scheduler's own.
    """

    expression: str
    timezone: str = "UTC"
    input: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookTrigger:
    """A URL that strangers post to.

    Args:
        name: The webhook's; "" is the function's.
        secret: The name of the secret that deliveries are signed with, or "".
    """

    scheme: Scheme
    secret: str = ""
    name: str = ""


Trigger = ObjectTrigger | TableTrigger | QueueTrigger | ScheduleTrigger | WebhookTrigger
