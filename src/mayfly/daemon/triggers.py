"""Gives the manifests' triggers what they are made of: the stores, and AWS's operations on them.

Opened last, for a trigger may be made of anything that makes events. A platform without a source
refuses triggers of its kind, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mayfly.api.dispatch import Services
from mayfly.api.platform import Platform
from mayfly.api.triggers.asking import Asking
from mayfly.api.triggers.mappings import MappingRoom
from mayfly.api.triggers.objects import ObjectRoom
from mayfly.api.triggers.room import Room
from mayfly.api.triggers.schedules import ScheduleRoom
from mayfly.api.triggers.triggers import Triggers
from mayfly.api.triggers.webhooks import WebhookRoom
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.daemon.events import Events
from mayfly.model.errors import MayflyError
from mayfly.model.function import Settings
from mayfly.model.grant import GrantKind
from mayfly.model.trigger import QueueTrigger, Trigger, TriggerKind
from mayfly.stores.objects.refusals import NoSuchBucket
from mayfly.stores.triggers.store import TriggerStore


async def open_triggers(
    triggers: Triggers, platform: Platform, store: SqliteStore, services: Services, events: Events
) -> None:
    """Fit `triggers` with a room for every kind that this platform has."""
    lambda_ = Asking("lambda", services.operations["lambda"], platform.ids)
    mappings = MappingRoom(lambda_, _Sources(events))
    rooms: dict[TriggerKind, Room] = {TriggerKind.TABLE: mappings, TriggerKind.QUEUE: mappings}
    if events.object_store is not None:
        rooms[TriggerKind.OBJECT] = ObjectRoom(events.object_store)
    if "scheduler" in services.operations:
        scheduler = Asking("scheduler", services.operations["scheduler"], platform.ids)
        rooms[TriggerKind.SCHEDULE] = ScheduleRoom(scheduler)
    if events.webhooks is not None and events.secrets is not None:
        rooms[TriggerKind.WEBHOOK] = WebhookRoom(
            events.webhooks, events.secrets, platform.clock, platform.ids
        )
    triggers.use(await TriggerStore.open(store), rooms, partial(_unfit, events))


def _unfit(events: Events, settings: Settings, triggers: Sequence[Trigger]) -> Sequence[str]:
    """What of a function's settings does not fit the stores: a sentence each."""
    found: list[str] = []
    for trigger in triggers:
        queue = None
        if isinstance(trigger, QueueTrigger) and events.queues is not None:
            queue = events.queues.catalogue.find(trigger.queue)
        if queue is not None and queue.settings.visibility_s < settings.timeout_s:
            found.append(
                f'the queue "{queue.name}" hides a message for {queue.settings.visibility_s} s, '
                f"less than the function's timeout of {settings.timeout_s} s, so that others would "
                "get it meanwhile; make the queue's VisibilityTimeout longer or the timeout shorter"
            )
    for grant in settings.grants:
        if grant.kind is GrantKind.SECRETS and events.secrets is not None:
            try:
                events.secrets.resolve_nowait([grant.target])
            except MayflyError as error:
                found.append(f"it is granted a secret: {error.message}")
    return found


@dataclass(frozen=True, slots=True)
class _Sources:
    """What there is to read from, by the stores."""

    events: Events

    def has_table(self, name: str) -> bool:
        tables = self.events.tables
        return tables is not None and name in tables.catalog.tables

    def stream_arn(self, table: str) -> str | None:
        tables = self.events.tables
        found = None if tables is None else tables.catalog.tables.get(table)
        stream = None if found is None else found.live_stream
        return None if stream is None else stream.arn

    def has_queue(self, name: str) -> bool:
        queues = self.events.queues
        return queues is not None and queues.catalogue.find(name) is not None

    def has_bucket(self, name: str) -> bool:
        store = self.events.object_store
        try:
            return store is not None and bool(store.buckets.find_nowait(name))
        except NoSuchBucket:
            return False
