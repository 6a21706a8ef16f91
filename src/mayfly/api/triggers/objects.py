"""Triggers of the type "object": rules in a bucket's notification configuration.

A rule's id is "mayfly:FUNCTION:N", so that whoever reads the configuration sees whose it is; the
rules that other people put there stay. A bucket's rules are replaced in one transaction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from mayfly.api.s3.notifications import require_apart
from mayfly.api.triggers.room import function_arn, shown
from mayfly.model.errors import CallerError
from mayfly.model.trigger import ObjectEvent, ObjectTrigger, Trigger, TriggerKind
from mayfly.stores.objects.bucket import BucketSettings, NotificationRule, NotificationSettings
from mayfly.stores.objects.refusals import NoSuchBucket
from mayfly.stores.objects.store import ObjectStore
from mayfly.stores.triggers.store import Made

_EVENTS = {
    ObjectEvent.CREATED: "s3:ObjectCreated:*",
    ObjectEvent.REMOVED: "s3:ObjectRemoved:*",
}


class ObjectRoom:
    """Works on the buckets."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def plan(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[Made]:
        """One rule for each (port `Room`)."""
        return [
            Made(TriggerKind.OBJECT, f"{bucket}/{rule.rule_id}", shown(trigger))
            for trigger, (bucket, rule) in zip(
                triggers, _rules(function_name, triggers), strict=True
            )
        ]

    def problems(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[str]:
        """Buckets that are missing, and rules that meet others (port `Room`)."""
        found = []
        for bucket, rules in _by_bucket(function_name, triggers).items():
            try:
                settings = self._store.buckets.find_nowait(bucket).settings
                after = _changed(settings, function_name, rules)
                require_apart(after.notifications.rules)
            except NoSuchBucket:
                found.append(
                    f'there is no bucket "{bucket}"; make it first: `aws s3 mb s3://{bucket}`'
                )
            except CallerError as error:
                found.append(f'the bucket "{bucket}" cannot tell this function: {error.message}')
        return found

    async def converge(
        self, function_name: str, triggers: Sequence[Trigger], gone: Sequence[Made]
    ) -> bool:
        """Set the rules of each bucket that has or had one (port `Room`)."""
        wanted = _by_bucket(function_name, triggers)
        buckets = dict.fromkeys([*wanted, *(one.made_id.partition("/")[0] for one in gone)])
        changed = False
        for bucket in buckets:
            changed |= await self._set(function_name, bucket, wanted.get(bucket, []))
        return changed

    async def _set(
        self, function_name: str, bucket: str, rules: Sequence[NotificationRule]
    ) -> bool:
        try:
            settings = self._store.buckets.find_nowait(bucket).settings
            if _changed(settings, function_name, rules) == settings:
                return False
            await self._store.buckets.change(
                bucket, lambda now: _checked(_changed(now, function_name, rules))
            )
        except NoSuchBucket:
            if rules:
                raise
            return False  # its rules went with it
        return True


def _checked(settings: BucketSettings) -> BucketSettings:
    require_apart(settings.notifications.rules)
    return settings


def _changed(
    settings: BucketSettings, function_name: str, rules: Sequence[NotificationRule]
) -> BucketSettings:
    """The settings with these rules in the place of the function's own."""
    own = _rule_id(function_name, "")
    others = [one for one in settings.notifications.rules if not one.rule_id.startswith(own)]
    return dataclasses.replace(settings, notifications=NotificationSettings((*others, *rules)))


def _rules(
    function_name: str, triggers: Sequence[Trigger]
) -> Sequence[tuple[str, NotificationRule]]:
    rules = []
    for number, trigger in enumerate(triggers):
        assert isinstance(trigger, ObjectTrigger)
        rule = NotificationRule(
            rule_id=_rule_id(function_name, number),
            target_arn=function_arn(function_name),
            events=tuple(_EVENTS[one] for one in trigger.events),
            prefix=trigger.prefix,
            suffix=trigger.suffix,
        )
        rules.append((trigger.bucket, rule))
    return rules


def _by_bucket(
    function_name: str, triggers: Sequence[Trigger]
) -> Mapping[str, list[NotificationRule]]:
    found: dict[str, list[NotificationRule]] = {}
    for bucket, rule in _rules(function_name, triggers):
        found.setdefault(bucket, []).append(rule)
    return found


def _rule_id(function_name: str, number: int | str) -> str:
    return f"mayfly:{function_name}:{number}"
