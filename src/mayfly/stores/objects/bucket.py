"""A bucket and its settings: frozen values, with no format of AWS in them.

A bucket is a name, when it was made, and settings that are replaced whole. Its notification rules
hold event patterns as plain strings: what they mean is known to `sources.objects` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Versioning(StrEnum):
    """Whether a write keeps what was there before. A bucket never goes back to NEVER."""

    NEVER = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True)
class CorsRule:
    """One rule of who may call from a browser; kept and given back, judged by `api`."""

    allowed_origins: tuple[str, ...]
    allowed_methods: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_s: int | None = None
    rule_id: str = ""


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """One target for some changes.

    Args:
        rule_id: Unique in its bucket; S3's configurationId.
        target_arn: A function (qualified or not) or a queue.
        events: Patterns as S3 writes them: "s3:ObjectCreated:*".
        prefix: What the key begins with; "" is every key.
        suffix: What the key ends with.
    """

    rule_id: str
    target_arn: str
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """Who is told of a bucket's changes; empty for nobody."""

    rules: tuple[NotificationRule, ...] = ()


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What can be changed about a bucket; replaced whole."""

    versioning: Versioning = Versioning.NEVER
    cors: tuple[CorsRule, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    notifications: NotificationSettings = NotificationSettings()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is now.

    Args:
        bucket_id: The database's number for it; a name that is made again gets another one.
        created_ms: Unix milliseconds.
    """

    bucket_id: int
    name: str
    created_ms: int
    settings: BucketSettings = BucketSettings()
