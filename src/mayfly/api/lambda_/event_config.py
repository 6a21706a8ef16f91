"""What is set for a function's asynchronous calls: how often, for how long, and who is told.

A destination may be a function, a standard queue, or, for failures, a bucket. That it exists is not
asked here: who applies a whole system makes things in any order. A record whose target is gone is
kept, with its event, among the failed ones.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from mayfly.api.lambda_.names import Reference, find_function, parse_reference
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.refusals import NotImplementedYet
from mayfly.api.wire.params import Params
from mayfly.model.errors import InvalidParameter, NotFound
from mayfly.model.event import EventSettings
from mayfly.model.function import ACCOUNT_ID, LATEST, REGION

_MEMBERS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
_LACKING = {"sns": "SNS topics", "events": "EventBridge event buses"}
_OURS = rf"{REGION}:{ACCOUNT_ID}"
_FUNCTION = re.compile(
    rf"arn:aws:lambda:{_OURS}:function:[A-Za-z0-9_-]{{1,64}}(:(\$LATEST|[A-Za-z0-9_-]+))?", re.ASCII
).fullmatch
_QUEUE = re.compile(rf"arn:aws:sqs:{_OURS}:[A-Za-z0-9_-]{{1,80}}", re.ASCII).fullmatch
_FIFO_QUEUE = re.compile(rf"arn:aws:sqs:{_OURS}:[A-Za-z0-9_-]{{1,75}}\.fifo", re.ASCII).fullmatch
_BUCKET = re.compile(r"arn:aws:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII).fullmatch


class EventConfigOperations:
    """The operations on a function's EventInvokeConfig."""

    def __init__(self, platform: LambdaPlatform) -> None:
        self._platform = platform

    async def put(self, params: Params) -> dict[str, object]:
        """PutFunctionEventInvokeConfig: what is not given is back at its default.

        Raises:
            InvalidParameter: Nothing is given, or a destination that cannot be used.
        """
        reference = self._reference(params)
        _require_something(params)
        return await self._keep(EventSettings(reference.name, reference.qualifier, 0), params)

    async def update(self, params: Params) -> dict[str, object]:
        """UpdateFunctionEventInvokeConfig: what is given is changed, the rest stays.

        Raises:
            NotFound: Nothing was set before.
            InvalidParameter: As `put`.
        """
        reference = self._reference(params)
        _require_something(params)
        return await self._keep(self._held(reference), params)

    async def get(self, params: Params) -> dict[str, object]:
        """GetFunctionEventInvokeConfig."""
        return _told(self._held(self._reference(params)))

    async def list(self, params: Params) -> dict[str, object]:
        """ListFunctionEventInvokeConfigs: of each qualifier; a page's marker is its last one."""
        reference = parse_reference(params.text("FunctionName"))
        find_function(self._platform.registry, Reference(reference.name))
        marker, count = params.text("Marker"), params.number("MaxItems", 50)
        held = self._platform.registry.all_event_settings_nowait(reference.name)
        left = [one for one in held if one.qualifier > marker]
        page = left[:count]
        return {
            "FunctionEventInvokeConfigs": [_told(one) for one in page],
            "NextMarker": page[-1].qualifier if len(left) > count else None,
        }

    async def delete(self, params: Params) -> dict[str, object]:
        """DeleteFunctionEventInvokeConfig."""
        reference = self._reference(params)
        self._held(reference)
        await self._platform.registry.delete_event_settings(reference.name, reference.qualifier)
        return {}

    async def _keep(self, before: EventSettings, params: Params) -> dict[str, object]:
        after = replace(before, modified_ms=int(self._platform.clock.now_ms()))
        if "MaximumRetryAttempts" in params:
            after = replace(after, retries_max=params.number("MaximumRetryAttempts", 0))
        if "MaximumEventAgeInSeconds" in params:
            after = replace(after, age_s_max=params.number("MaximumEventAgeInSeconds", 0))
        if "DestinationConfig" in params:
            wanted = params.structure("DestinationConfig")
            after = replace(
                after,
                on_success=_destination(wanted, "OnSuccess"),
                on_failure=_destination(wanted, "OnFailure"),
            )
        await self._platform.registry.put_event_settings(after)
        return _told(after)

    def _reference(self, params: Params) -> Reference:
        """The function that is meant, its qualifier written out.

        Raises:
            NotFound: There is no such function or version.
        """
        written, qualifier = params.text("FunctionName"), params.text("Qualifier")
        reference = parse_reference(written, qualifier)
        try:
            find_function(self._platform.registry, reference)
        except NotFound as error:
            raise NotFound("The function doesn't exist.") from error
        return Reference(reference.name, reference.qualifier or LATEST)

    def _held(self, reference: Reference) -> EventSettings:
        registry = self._platform.registry
        held = registry.event_settings_nowait(reference.name, reference.qualifier)
        if held is None:
            raise NotFound(f"The function {reference.arn} doesn't have an EventInvokeConfig")
        return held


def dead_letter_target(params: Params) -> str:
    """The queue that a DeadLetterConfig names, or "".

    Raises:
        NotImplementedYet: It names a topic.
        InvalidParameter: It names anything else but a standard queue.
    """
    arn = params.structure("DeadLetterConfig").text("TargetArn")
    if not arn or _QUEUE(arn):
        return arn
    _refuse_lacking(arn, "DeadLetterConfig")
    raise InvalidParameter(
        f"The dead-letter target {arn[:350]} cannot be used: give the ARN of a standard queue of "
        f"this account and region, as arn:aws:sqs:{REGION}:{ACCOUNT_ID}:NAME"
    )


def _destination(wanted: Params, condition: str) -> str:
    """The ARN of a destination, or "".

    Raises:
        NotImplementedYet: A topic, an event bus or a Kafka topic.
        InvalidParameter: Any other that cannot be used.
    """
    arn = wanted.structure(condition).text("Destination")
    if not arn or _FUNCTION(arn) or _QUEUE(arn):
        return arn
    _refuse_lacking(arn, condition)
    if _BUCKET(arn):
        if condition == "OnFailure":
            return arn
        raise InvalidParameter(
            f"The destination ARN {arn} is invalid for {condition}: a bucket takes records of "
            "failures only; give a function or a queue"
        )
    if _FIFO_QUEUE(arn):
        raise InvalidParameter(
            f"The destination ARN {arn} is invalid: a FIFO queue takes no records; give a standard "
            "queue"
        )
    raise InvalidParameter(
        f"The destination ARN {arn} is invalid: give a function or a standard queue of this account"
        f" and region ({ACCOUNT_ID}, {REGION}), or a bucket for failures"
    )


def _refuse_lacking(arn: str, place: str) -> None:
    parts = arn.split(":", 3)
    what = "Kafka topics" if arn.startswith("kafka://") else _LACKING.get("".join(parts[2:3]))
    if what:
        raise NotImplementedYet(
            f"Mayfly does not have {what} yet, so {place} cannot name {arn}; give a queue or a "
            "function"
        )


def _require_something(params: Params) -> None:
    if not any(member in params for member in _MEMBERS):
        raise InvalidParameter(
            "You must specify at least one of error handling or destination setting."
        )


def _told(settings: EventSettings) -> dict[str, object]:
    """The shape FunctionEventInvokeConfig."""
    return {
        "LastModified": datetime.fromtimestamp(settings.modified_ms / 1000, UTC),
        "FunctionArn": Reference(settings.function_name, settings.qualifier).arn,
        "MaximumRetryAttempts": settings.retries_max,
        "MaximumEventAgeInSeconds": settings.age_s_max,
        "DestinationConfig": {
            "OnSuccess": {"Destination": settings.on_success} if settings.on_success else {},
            "OnFailure": {"Destination": settings.on_failure} if settings.on_failure else {},
        },
    }
