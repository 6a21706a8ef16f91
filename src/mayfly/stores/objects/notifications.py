"""Which changes a notification rule is about.

A rule's event is a pattern as S3 writes it. Patterns of changes that never happen here (restores,
lifecycle, replication) match nothing; `api` refuses them when rules are written.
"""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.stores.objects.bucket import NotificationRule
from mayfly.stores.objects.record import ChangeKind

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
_NOTHING: frozenset[ChangeKind] = frozenset()


def rule_matches(rule: NotificationRule, kind: ChangeKind, key: str) -> bool:
    """Whether the rule tells of this change of this key."""
    return (
        key.startswith(rule.prefix)
        and key.endswith(rule.suffix)
        and any(kind in PATTERNS.get(event, _NOTHING) for event in rule.events)
    )
