"""Which changes a notification rule is about, and which rules a bucket may have.

A rule's event is a pattern as S3 writes it; those of other kinds of changes (restores, lifecycle,
replication) are refused, since they never happen here. Two rules must not tell of one change: S3
refuses prefixes and suffixes that overlap for a shared event, and so does this.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from mayfly.model.errors import CallerError
from mayfly.stores.objects.bucket import NotificationRule, NotificationSettings
from mayfly.stores.objects.record import ChangeKind

RULES_MAX = 100

# S3's names of the changes, without "s3:".
EVENT_NAMES: Mapping[ChangeKind, str] = {
    ChangeKind.PUT: "ObjectCreated:Put",
    ChangeKind.POST: "ObjectCreated:Post",
    ChangeKind.COPY: "ObjectCreated:Copy",
    ChangeKind.COMPLETE: "ObjectCreated:CompleteMultipartUpload",
    ChangeKind.DELETE: "ObjectRemoved:Delete",
    ChangeKind.MARKER: "ObjectRemoved:DeleteMarkerCreated",
}
_REMOVED = frozenset((ChangeKind.DELETE, ChangeKind.MARKER))
_CREATED = frozenset(ChangeKind) - _REMOVED
PATTERNS: Mapping[str, frozenset[ChangeKind]] = {
    **{f"s3:{name}": frozenset((kind,)) for kind, name in EVENT_NAMES.items()},
    "s3:ObjectCreated:*": _CREATED,
    "s3:ObjectRemoved:*": _REMOVED,
}
_FUNCTIONS, _QUEUES = "arn:aws:lambda:", "arn:aws:sqs:"


class InvalidNotification(CallerError):
    """Rules that a bucket cannot have."""

    code = "InvalidArgument"


def rule_matches(rule: NotificationRule, kind: ChangeKind, key: str) -> bool:
    """Whether the rule tells of this change of this key."""
    return (
        key.startswith(rule.prefix)
        and key.endswith(rule.suffix)
        and any(kind in PATTERNS[event] for event in rule.events)
    )


def check_notifications(settings: NotificationSettings) -> None:
    """Refuse what could never work, or would tell twice.

    Raises:
        InvalidNotification: With the rule's id and what to do.
    """
    if len(settings.rules) > RULES_MAX:
        raise InvalidNotification(f"a bucket has up to {RULES_MAX} notification rules")
    for rule in settings.rules:
        _check_rule(rule)
    ids = [rule.rule_id for rule in settings.rules]
    if len(set(ids)) < len(ids):
        raise InvalidNotification("the ids of a bucket's notification rules must differ")
    for one, other in itertools.combinations(settings.rules, 2):
        if _overlap(one, other):
            raise InvalidNotification(
                "Configurations overlap. Configurations on the same bucket cannot share a common "
                f'event type: "{one.rule_id}" and "{other.rule_id}"; make their prefixes or '
                "suffixes exclude each other"
            )


def _check_rule(rule: NotificationRule) -> None:
    if not rule.events:
        raise InvalidNotification(f'the rule "{rule.rule_id}" names no event')
    for event in rule.events:
        if event not in PATTERNS:
            raise InvalidNotification(
                f'the event "{event[:100]}" is not supported for notifications here; there are '
                f"{', '.join(PATTERNS)}"
            )
    if not rule.target_arn.startswith((_FUNCTIONS, _QUEUES)):
        raise InvalidNotification(
            f'"{rule.target_arn[:200]}" is neither a function nor a queue: only these can be told'
        )
    if rule.target_arn.startswith(_QUEUES) and rule.target_arn.endswith(".fifo"):
        raise InvalidNotification(
            f'"{rule.target_arn[:200]}" is a FIFO queue, which S3 does not notify: '
            "name a standard one"
        )


def _overlap(one: NotificationRule, other: NotificationRule) -> bool:
    kinds = {kind for event in one.events for kind in PATTERNS[event]}
    return (
        any(kinds & PATTERNS[event] for event in other.events)
        and (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix))
        and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))
    )
