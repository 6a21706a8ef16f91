"""A queue's attributes: AWS's names and texts on one side, `QueueSettings` on the other.

Each number is a row of a table with its bounds; what has a form of its own (the redrive policies)
is parsed here and written again in one form. Source: API Reference, SetQueueAttributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from mayfly.api.sqs.refusals import InvalidAttributeName, InvalidAttributeValue, invalid_value
from mayfly.model.errors import InvalidParameter
from mayfly.stores.queues.queue import (
    BODY_BYTES_MAX,
    VISIBILITY_S_MAX,
    Counts,
    Queue,
    QueueSettings,
    Redrive,
    RedriveAllow,
    queue_arn,
    queue_name,
)

_SOURCES_MAX = 10
_RECEIVES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class _Number:
    """An attribute that is a whole number: its field and its bounds."""

    field: str
    low: int
    high: int


_NUMBERS = {
    "DelaySeconds": _Number("delay_s", 0, 900),
    "MaximumMessageSize": _Number("message_bytes_max", 1_024, BODY_BYTES_MAX),
    "MessageRetentionPeriod": _Number("retention_s", 60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": _Number("wait_s", 0, 20),
    "VisibilityTimeout": _Number("visibility_s", 0, VISIBILITY_S_MAX),
    "KmsDataKeyReusePeriodSeconds": _Number("kms_reuse_s", 60, 86_400),
}
_FLAGS = {
    "ContentBasedDeduplication": "content_deduplication",
    "SqsManagedSseEnabled": "managed_encryption",
}
_TEXTS = {"Policy": "policy", "KmsMasterKeyId": "kms_key_id"}
_CHOICES = {
    "DeduplicationScope": ("deduplication_per_group", {"queue": False, "messageGroup": True}),
    "FifoThroughputLimit": ("throughput_per_group", {"perQueue": False, "perMessageGroupId": True}),
}
_FIFO_ONLY = {"ContentBasedDeduplication", *_CHOICES}
_READ_ONLY = {
    *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "QueueArn"),
    *("ApproximateNumberOfMessagesDelayed", "CreatedTimestamp", "LastModifiedTimestamp"),
}
_COUNTED = {one for one in _READ_ONLY if one.startswith("Approximate")}
_ALL = {
    *_NUMBERS,
    *_FLAGS,
    *_TEXTS,
    *_CHOICES,
    *_READ_ONLY,
    *("FifoQueue", "RedrivePolicy", "RedriveAllowPolicy"),
}


def apply_attributes(
    name: str,
    settings: QueueSettings,
    given: Mapping[str, str],
    find_queue: Callable[[str], Queue | None],
) -> QueueSettings:
    """The settings with these attributes set; none by half.

    Raises:
        InvalidAttributeName: One is no attribute, or not of this kind of queue.
        InvalidAttributeValue: One does not take its value.
        InvalidParameter: A redrive policy cannot be used.
    """
    changed: dict[str, object] = {}
    for attribute, text in given.items():
        if attribute in _FIFO_ONLY and not settings.fifo:
            raise InvalidAttributeName(attribute)
        _apply_one(settings, attribute, text, changed)
    if changed.get("kms_key_id"):
        changed.setdefault("managed_encryption", False)
    new = replace(settings, **changed)  # type: ignore[arg-type]  # fields by the tables above
    if "RedrivePolicy" in given:
        new = replace(new, redrive=_redrive(name, new, given["RedrivePolicy"], find_queue))
    if "RedriveAllowPolicy" in given:
        new = replace(new, redrive_allow=_redrive_allow(given["RedriveAllowPolicy"]))
    if new.throughput_per_group and not new.deduplication_per_group:
        raise InvalidAttributeValue(
            "FifoThroughputLimit", "perMessageGroupId needs DeduplicationScope messageGroup."
        )
    if given.get("KmsMasterKeyId") and given.get("SqsManagedSseEnabled") == "true":
        raise InvalidAttributeValue("SqsManagedSseEnabled", "You can use one type of encryption.")
    return new


def _apply_one(
    settings: QueueSettings, attribute: str, text: str, changed: dict[str, object]
) -> None:
    if attribute in _NUMBERS:
        number = _NUMBERS[attribute]
        changed[number.field] = _number(attribute, text, number)
    elif attribute in _FLAGS:
        changed[_FLAGS[attribute]] = _flag(attribute, text)
    elif attribute in _CHOICES:
        field, choices = _CHOICES[attribute]
        if text not in choices:
            raise InvalidAttributeValue(attribute)
        changed[field] = choices[text]
    elif attribute in _TEXTS:
        changed[_TEXTS[attribute]] = _policy(text) if attribute == "Policy" else text
    elif attribute == "FifoQueue":
        if not settings.fifo or text != "true":
            raise InvalidAttributeValue(attribute)
    elif attribute not in {"RedrivePolicy", "RedriveAllowPolicy"}:
        raise InvalidAttributeName(attribute)


def _number(attribute: str, text: str, bounds: _Number) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not bounds.low <= value <= bounds.high:
        raise InvalidAttributeValue(attribute)
    return value


def _flag(attribute: str, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise InvalidAttributeValue(attribute)
    return text.lower() == "true"


def _policy(text: str) -> str:
    if text and not isinstance(_json(text), dict):
        raise InvalidAttributeValue("Policy")
    return text


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _redrive(
    name: str,
    settings: QueueSettings,
    text: str,
    find_queue: Callable[[str], Queue | None],
) -> Redrive | None:
    if not text:
        return None
    held = _json(text)
    if not isinstance(held, dict) or "deadLetterTargetArn" not in held:
        raise _refused("RedrivePolicy", text, "Redrive policy is not a valid JSON map.")
    count, arn = str(held.get("maxReceiveCount", "")), str(held["deadLetterTargetArn"])
    if not count.isdecimal() or not 1 <= int(count) <= _RECEIVES_MAX:
        reason = f"Invalid value for maxReceiveCount: {count[:20]}, valid values are from 1 to 1000"
        raise _refused("RedrivePolicy", text, f"{reason} both inclusive.")
    target = find_queue(queue_name(arn)) if arn.startswith("arn:") else None
    if target is None:
        raise _refused("RedrivePolicy", text, "Dead letter target does not exist.")
    if target.settings.fifo != settings.fifo:
        kind = "fifo" if settings.fifo else "standard"
        raise _refused(
            "RedrivePolicy", text, f"Dead-letter queue must be same type of queue as a {kind} queue"
        )
    _require_allowed(name, target, text)
    return Redrive(target.name, int(count))


def _require_allowed(name: str, target: Queue, text: str) -> None:
    allow = target.settings.redrive_allow
    if allow is None or allow.permission == "allowAll" or queue_arn(name) in allow.sources:
        return
    raise _refused(
        "RedrivePolicy", text, "The RedriveAllowPolicy of the dead-letter queue does not allow it."
    )


def _redrive_allow(text: str) -> RedriveAllow | None:
    if not text:
        return None
    held = _json(text)
    permission = held.get("redrivePermission") if isinstance(held, dict) else None
    if not isinstance(held, dict) or permission not in {"allowAll", "denyAll", "byQueue"}:
        raise _refused("RedriveAllowPolicy", text, "It must be a JSON map with redrivePermission.")
    sources = held.get("sourceQueueArns", [])
    by_queue = permission == "byQueue"
    if not isinstance(sources, list) or bool(sources) != by_queue or len(sources) > _SOURCES_MAX:
        raise _refused(
            "RedriveAllowPolicy",
            text,
            "sourceQueueArns holds 1 to 10 ARNs with byQueue, and is not given otherwise.",
        )
    return RedriveAllow(str(permission), tuple(map(str, sources)))


def _refused(name: str, text: str, reason: str) -> InvalidParameter:
    return invalid_value(text, name, reason)


def require_names(names: Iterable[str]) -> set[str]:
    """The attributes that are asked for; "All" is all of them. Raises InvalidAttributeName."""
    asked = set(names)
    if "All" in asked:
        return set(_ALL)
    for name in sorted(asked - _ALL):
        raise InvalidAttributeName(name)
    return asked


def need_counts(asked: set[str]) -> bool:
    """Whether messages must be counted for these attributes."""
    return not asked.isdisjoint(_COUNTED)


def write_attributes(queue: Queue, counts: Counts | None, asked: set[str]) -> dict[str, str]:
    """The attributes that were asked for and that the queue has."""
    settings = queue.settings
    every: dict[str, str] = {
        "QueueArn": queue.arn,
        "CreatedTimestamp": str(queue.created_ms // 1000),
        "LastModifiedTimestamp": str(queue.changed_ms // 1000),
    }
    if counts is not None:
        every["ApproximateNumberOfMessages"] = str(counts.visible)
        every["ApproximateNumberOfMessagesNotVisible"] = str(counts.in_flight)
        every["ApproximateNumberOfMessagesDelayed"] = str(counts.delayed)
    every |= written_settings(settings)
    return {name: text for name, text in every.items() if name in asked}


def written_settings(settings: QueueSettings) -> dict[str, str]:
    """What a queue is set to, under AWS's names; what is not set is left out."""
    written = {name: str(getattr(settings, one.field)) for name, one in _NUMBERS.items()}
    if not settings.kms_key_id:
        del written["KmsDataKeyReusePeriodSeconds"]
    written["SqsManagedSseEnabled"] = _written_flag(settings.managed_encryption)
    written |= {name: getattr(settings, one) for name, one in _TEXTS.items()}
    if settings.fifo:
        written["FifoQueue"] = "true"
        written["ContentBasedDeduplication"] = _written_flag(settings.content_deduplication)
        for name, (field, choices) in _CHOICES.items():
            held = getattr(settings, field)
            written[name] = next(text for text, value in choices.items() if value is held)
    if settings.redrive is not None:
        target, count = queue_arn(settings.redrive.target), settings.redrive.receive_count_max
        written["RedrivePolicy"] = json.dumps(
            {"deadLetterTargetArn": target, "maxReceiveCount": count}
        )
    if settings.redrive_allow is not None:
        allow: dict[str, object] = {"redrivePermission": settings.redrive_allow.permission}
        if settings.redrive_allow.sources:
            allow["sourceQueueArns"] = list(settings.redrive_allow.sources)
        written["RedriveAllowPolicy"] = json.dumps(allow)
    return {name: text for name, text in written.items() if text}


def _written_flag(value: bool) -> str:
    return "true" if value else "false"
