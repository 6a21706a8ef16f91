"""A request's members made a `Schedule`, with AWS's refusals for what it cannot be.

Targets are functions and queues. Every other kind, the universal ones included, is refused by name
when the schedule is made, so that none waits for a moment at which nothing can happen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from mayfly.api.refusals import NotImplementedYet, ValidationFailed
from mayfly.api.wire.params import Params
from mayfly.model import limits
from mayfly.model.errors import CallerError
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.stores.schedules.schedule import DEFAULT_GROUP, Schedule, Target, ever_due

INPUT_BYTES_MAX = 256 * limits.KIB
_START_GRACE_MS = 5 * 60_000
_ARN = re.compile(
    r"arn:aws[a-z-]*:(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>\d{12}|):.+"
)
_FUNCTION = re.compile(r"function:[A-Za-z0-9_-]{1,64}(:(\$LATEST|[A-Za-z0-9_-]{1,128}))?")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
_FIFO = ".fifo"
# Members of a target that belong to kinds of targets which are not offered.
_FOREIGN = (
    "EcsParameters",
    "EventBridgeParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
    "KinesisParameters",
    "SageMakerPipelineParameters",
)


def read_schedule(
    params: Params, now_ms: int, revision_id: str, before: Schedule | None = None
) -> Schedule:
    """The schedule that a CreateSchedule or UpdateSchedule asks for.

    Args:
        revision_id: Of the schedule as it will be.
        before: The schedule that is updated; an update that leaves out a member resets it.

    Raises:
        CallerError: It cannot be made; the message says why.
    """
    if params.text("KmsKeyArn"):
        raise NotImplementedYet("Mayfly does not take a KmsKeyArn: it has no keys of AWS's")
    expression = params.text("ScheduleExpression")
    zone = params.text("ScheduleExpressionTimezone") or "UTC"
    start_ms, end_ms = _moment_ms(params, "StartDate"), _moment_ms(params, "EndDate")
    same = before is not None and (expression, zone, start_ms) == (
        *(before.expression, before.zone, before.start_ms),
    )
    schedule = Schedule(
        group=params.text("GroupName") or DEFAULT_GROUP,
        name=params.text("Name"),
        expression=expression,
        zone=zone,
        target=read_target(params.structure("Target")),
        created_ms=before.created_ms if before else now_ms,
        modified_ms=now_ms,
        anchor_ms=before.anchor_ms if before and same else start_ms or now_ms,
        revision_id=revision_id,
        start_ms=start_ms,
        end_ms=end_ms,
        window_min=_window_min(params.structure("FlexibleTimeWindow")),
        description=params.text("Description"),
        enabled=params.text("State", "ENABLED") == "ENABLED",
        delete_after=params.text("ActionAfterCompletion", "NONE") == "DELETE",
    )
    _check_dates(schedule, now_ms, unchanged=same)
    return schedule


def read_target(params: Params) -> Target:
    """A target that can be called.

    Raises:
        CallerError: It cannot.
    """
    arn = params.text("Arn")
    service = check_target_arn(arn)
    for name in _FOREIGN:
        if name in params:
            raise NotImplementedYet(
                f"Mayfly does not implement the target that {name} is for; a schedule's target is "
                "a function or a queue"
            )
    text = params.get("Input")
    assert text is None or isinstance(text, str)
    _check_input(text, service)
    group_id = params.structure("SqsParameters").text("MessageGroupId")
    if service != "sqs" and "SqsParameters" in params:
        raise ValidationFailed(f"SqsParameters is for a queue, and the target is {arn}.")
    if arn.endswith(_FIFO) and not group_id:
        raise ValidationFailed(
            f"A FIFO queue as target needs SqsParameters with a MessageGroupId: {arn}."
        )
    retry = params.structure("RetryPolicy")
    return Target(
        arn=arn,
        role_arn=params.text("RoleArn"),
        input=text,
        group_id=group_id,
        age_s_max=retry.number("MaximumEventAgeInSeconds", 86_400),
        retries_max=retry.number("MaximumRetryAttempts", 185),
        dead_letter_arn=_dead_letter_arn(params.structure("DeadLetterConfig").text("Arn")),
    )


def check_target_arn(arn: str) -> str:
    """The service of a target that can be called: "lambda" or "sqs".

    Raises:
        CallerError: The target is of another kind, or no ARN.
    """
    if arn.startswith("arn:aws:scheduler:::aws-sdk:"):
        raise NotImplementedYet(
            f"Mayfly does not implement the universal target {arn[:120]}; a schedule's target is a "
            "function or a queue"
        )
    found = _ARN.fullmatch(arn)
    if found is None:
        raise _not_correct()
    service, name = found["service"], arn.split(":", 5)[5]
    if service not in ("lambda", "sqs"):
        raise NotImplementedYet(
            f"Mayfly does not implement targets of the service {service} ({arn[:120]}); a "
            "schedule's target is a function or a queue"
        )
    form = _FUNCTION if service == "lambda" else _QUEUE
    if not form.fullmatch(name):
        raise _not_correct()
    if (found["region"], found["account"]) != (REGION, ACCOUNT_ID):
        raise ValidationFailed(
            f"The target {arn[:200]} is of another region or account than {REGION}, {ACCOUNT_ID}."
        )
    return service


def _not_correct() -> CallerError:
    return ValidationFailed("Provided Arn is not in correct format.")


def _dead_letter_arn(arn: str) -> str:
    if arn and (check_target_arn(arn) != "sqs" or arn.endswith(_FIFO)):
        raise ValidationFailed(f"A dead-letter queue must be a standard queue, got {arn[:200]}.")
    return arn


def _check_input(text: str | None, service: str) -> None:
    if text is None:
        return
    size = len(text.encode())
    if size > INPUT_BYTES_MAX:
        raise ValidationFailed(f"Input must be at most {INPUT_BYTES_MAX} bytes, got {size}.")
    if service != "lambda":
        return
    try:
        msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValidationFailed(
            f"Input must be well-formed JSON where the target is a function: {error}."
        ) from error


def _window_min(params: Params) -> int:
    minutes = params.number("MaximumWindowInMinutes", 0)
    if params.text("Mode") == "OFF":
        if minutes:
            raise ValidationFailed(
                "MaximumWindowInMinutes must not be set where the flexible time window is OFF."
            )
        return 0
    if not minutes:
        raise ValidationFailed(
            "MaximumWindowInMinutes must be set where the flexible time window is FLEXIBLE."
        )
    return minutes


def _moment_ms(params: Params, name: str) -> int | None:
    value = params.get(name)
    assert value is None or isinstance(value, datetime)
    return None if value is None else int(value.timestamp() * 1000)


def _check_dates(schedule: Schedule, now_ms: int, *, unchanged: bool) -> None:
    timing = schedule.timing
    if timing.once:
        return
    start_ms, end_ms = schedule.start_ms, schedule.end_ms
    if start_ms is not None and start_ms < now_ms - _START_GRACE_MS and not unchanged:
        raise ValidationFailed("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end_ms is not None and end_ms <= now_ms:
        raise ValidationFailed("The EndDate you specify cannot be in the past.")
    if end_ms is not None and start_ms is not None and end_ms <= start_ms:
        raise ValidationFailed("The EndDate you specify cannot be before the StartDate.")
    if not ever_due(schedule, now_ms):
        raise ValidationFailed(
            f"Invalid Schedule Expression {schedule.expression}. It never comes true again."
        )


def token_request(operation_name: str, params: Mapping[str, object]) -> bytes:
    """What tells a request from another one that comes under the same token."""
    kept = {name: value for name, value in params.items() if name != "ClientToken"}
    return operation_name.encode() + msgspec.json.encode(kept, order="deterministic")
