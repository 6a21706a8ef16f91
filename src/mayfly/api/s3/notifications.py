"""Notification configuration: who is told of a bucket's changes.

The document is S3's; the store keeps rules, and sends each queue S3's test event. Targets are
checked when the configuration is put, so that a mistake shows at once, not at the first change.

Source: "PutBucketNotificationConfiguration", Amazon S3 API Reference.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from mayfly.api.message import Response
from mayfly.api.permits import require_owner
from mayfly.api.s3.buckets import DOCUMENT_BYTES_MAX
from mayfly.api.s3.call import Call
from mayfly.api.s3.documents import read_as, written_as, xml_answer
from mayfly.api.s3.payload import read_document
from mayfly.api.s3.refusals import InvalidArgument, MalformedXml, NotImplementedInS3
from mayfly.api.s3.settings import structures
from mayfly.api.wire.params import Params
from mayfly.stores.objects.bucket import NotificationRule, NotificationSettings
from mayfly.stores.objects.notifications import PATTERNS

_SHAPE = "NotificationConfiguration"
_RULES_MAX = 100
_TARGETS = ("arn:aws:lambda:", "arn:aws:sqs:")
# The model's members that hold rules, each with the member that holds its target.
_KINDS = {
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
    "QueueConfigurations": "QueueArn",
}
_UNKNOWN_KINDS = ("TopicConfigurations", "EventBridgeConfiguration")


async def get_notifications(call: Call) -> Response:
    """GetBucketNotificationConfiguration."""
    require_owner(call.principal, "s3:GetBucketNotification")
    rules = call.store.buckets.find_nowait(call.bucket).settings.notifications.rules
    value: dict[str, list[object]] = {}
    for rule in rules:
        kind = (
            "QueueConfigurations" if _is_queue(rule.target_arn) else "LambdaFunctionConfigurations"
        )
        value.setdefault(kind, []).append(_written(rule, _KINDS[kind]))
    return xml_answer(written_as(_SHAPE, _SHAPE, value))


async def put_notifications(call: Call) -> Response:
    """PutBucketNotificationConfiguration."""
    require_owner(call.principal, "s3:PutBucketNotification")
    call.store.buckets.find_nowait(call.bucket)
    read = read_as(_SHAPE, await read_document(call, bytes_max=DOCUMENT_BYTES_MAX))
    if any(kind in read for kind in _UNKNOWN_KINDS):
        raise NotImplementedInS3("Only functions and queues can be told of a bucket's changes.")
    settings = NotificationSettings(tuple(_rules(call, read)))
    require_apart(settings.rules)
    if call.headers.get("x-amz-skip-destination-validation").lower() != "true":
        _require_targets(call, settings)
    await call.store.buckets.change(
        call.bucket, lambda old: dataclasses.replace(old, notifications=settings), call.cause
    )
    return Response(200)


def _rules(call: Call, read: Params) -> Iterator[NotificationRule]:
    for kind, target in _KINDS.items():
        for one in structures(read, kind):
            events = tuple(one.texts("Events"))
            if not events or not one.text(target):
                raise MalformedXml
            _require_known(events, one.text(target))
            prefix, suffix = _filter(one)
            yield NotificationRule(
                rule_id=one.text("Id") or call.room.ids.uuid(),
                target_arn=one.text(target),
                events=events,
                prefix=prefix,
                suffix=suffix,
            )


def _filter(one: Params) -> tuple[str, str]:
    found: dict[str, str] = {}
    for rule in structures(one.structure("Filter").structure("Key"), "FilterRules"):
        name = rule.text("Name").lower()
        if name not in ("prefix", "suffix"):
            raise InvalidArgument(
                "filter rule name must be either prefix or suffix", ArgumentName="FilterRule.Name"
            )
        if name in found:
            raise InvalidArgument(
                f"Cannot specify more than one {name} rule in a filter.",
                ArgumentName="FilterRule.Name",
            )
        found[name] = rule.text("Value")
    return found.get("prefix", ""), found.get("suffix", "")


def _require_known(events: Sequence[str], target_arn: str) -> None:
    for event in events:
        if event not in PATTERNS:
            raise InvalidArgument(
                f"The event is not supported for notifications; there are {', '.join(PATTERNS)}",
                ArgumentName="Event",
                ArgumentValue=event[:100],
            )
    if not target_arn.startswith(_TARGETS) or target_arn.endswith(".fifo"):
        raise InvalidArgument(
            "The ARN could not be parsed: a function or a standard queue can be told",
            ArgumentName="Arn",
            ArgumentValue=target_arn[:200],
        )


def require_apart(rules: Sequence[NotificationRule]) -> None:
    """Refuse two rules that would tell of one change. Raises InvalidArgument."""
    if len(rules) > _RULES_MAX:
        raise InvalidArgument(f"A bucket has up to {_RULES_MAX} notification configurations")
    if len({one.rule_id for one in rules}) < len(rules):
        raise InvalidArgument("Configurations must have different ids.")
    for one, other in itertools.combinations(rules, 2):
        if _overlap(one, other):
            raise InvalidArgument(
                "Configurations overlap. Configurations on the same bucket cannot share a "
                f'common event type: "{one.rule_id}" and "{other.rule_id}".'
            )


def _overlap(one: NotificationRule, other: NotificationRule) -> bool:
    kinds = {kind for event in one.events for kind in PATTERNS[event]}
    return (
        any(kinds & PATTERNS[event] for event in other.events)
        and (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix))
        and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))
    )


def _require_targets(call: Call, settings: NotificationSettings) -> None:
    missing = call.room.missing(list(dict.fromkeys(one.target_arn for one in settings.rules)))
    if missing:
        raise InvalidArgument(
            "Unable to validate the following destination configurations",
            ArgumentName=", ".join(missing)[:500],
            ArgumentValue="The destination does not exist",
        )


def _is_queue(arn: str) -> bool:
    return arn.startswith("arn:aws:sqs:")


def _written(rule: NotificationRule, target: str) -> dict[str, object]:
    filters = [
        {"Name": name, "Value": value}
        for name, value in (("Prefix", rule.prefix), ("Suffix", rule.suffix))
        if value
    ]
    return {
        "Id": rule.rule_id,
        target: rule.target_arn,
        "Events": rule.events,
        "Filter": {"Key": {"FilterRules": filters}} if filters else None,
    }
