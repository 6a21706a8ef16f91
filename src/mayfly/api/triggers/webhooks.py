"""Triggers of the type "webhook": a URL that strangers post to.

It is named after its function unless the manifest names it otherwise, and keeps its URL for as long
as the manifest has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mayfly.api.triggers.room import shown
from mayfly.model.errors import MayflyError, NotFound
from mayfly.model.trigger import Trigger, TriggerKind, WebhookTrigger
from mayfly.model.webhook import HOOK_ID_LENGTH, Webhook
from mayfly.ports import Clock, Ids
from mayfly.stores.secrets.store import SecretStore
from mayfly.stores.triggers.store import Made
from mayfly.stores.webhooks.store import WebhookStore


class WebhookRoom:
    """Works on the webhooks."""

    def __init__(self, store: WebhookStore, secrets: SecretStore, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._ids = ids

    def plan(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[Made]:
        """One webhook for each (port `Room`)."""
        return [
            Made(TriggerKind.WEBHOOK, _name(function_name, one), shown(one)) for one in triggers
        ]

    def problems(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[str]:
        """Secrets that are missing, and names that others have (port `Room`)."""
        found = []
        for trigger in triggers:
            assert isinstance(trigger, WebhookTrigger)
            present = self._find(_name(function_name, trigger))
            if present is not None and present.function_name != function_name:
                found.append(
                    f'the webhook "{present.name}" calls "{present.function_name}"; give this one '
                    "another name"
                )
            if trigger.secret:
                try:
                    self._secrets.resolve_nowait([trigger.secret])
                except MayflyError as error:
                    found.append(f"the webhook's secret: {error.message}")
        return found

    async def converge(
        self, function_name: str, triggers: Sequence[Trigger], gone: Sequence[Made]
    ) -> bool:
        """Make, change and remove webhooks (port `Room`)."""
        changed = False
        for one in gone:
            changed |= await self._drop(function_name, one.made_id)
        for trigger in triggers:
            assert isinstance(trigger, WebhookTrigger)
            changed |= await self._put(function_name, trigger)
        return changed

    async def _put(self, function_name: str, trigger: WebhookTrigger) -> bool:
        now_ms = int(self._clock.now_ms())
        wanted = Webhook(
            name=_name(function_name, trigger),
            hook_id=self._ids.token(HOOK_ID_LENGTH),
            function_name=function_name,
            scheme=trigger.scheme,
            secret_name=trigger.secret,
            created_ms=now_ms,
            modified_ms=now_ms,
        )
        present = self._find(wanted.name)
        if present is not None:
            kept = (present.hook_id, present.created_ms, present.modified_ms)
            if present == replace(wanted, hook_id=kept[0], created_ms=kept[1], modified_ms=kept[2]):
                return False
        await self._store.put(wanted)
        return True

    async def _drop(self, function_name: str, name: str) -> bool:
        present = self._find(name)
        if present is None or present.function_name != function_name:
            return False
        try:
            await self._store.delete(name)
        except NotFound:
            return False
        return True

    def _find(self, name: str) -> Webhook | None:
        return next((one for one in self._store.all_nowait() if one.name == name), None)


def _name(function_name: str, trigger: Trigger) -> str:
    assert isinstance(trigger, WebhookTrigger)
    return trigger.name or function_name
