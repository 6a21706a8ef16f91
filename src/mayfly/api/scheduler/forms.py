"""Schedules and groups under AWS's names, and the tokens by which lists go on.

A token is the last entry's names, so that a list goes on after it whatever was added or removed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from mayfly.api.refusals import ValidationFailed
from mayfly.stores.schedules.schedule import Group, Schedule, Target


def schedule_form(schedule: Schedule) -> dict[str, object]:
    """GetSchedule's answer."""
    window: dict[str, object] = {"Mode": "FLEXIBLE" if schedule.window_min else "OFF"}
    if schedule.window_min:
        window["MaximumWindowInMinutes"] = schedule.window_min
    form: dict[str, object] = {
        **_head(schedule),
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.zone,
        "FlexibleTimeWindow": window,
        "ActionAfterCompletion": "DELETE" if schedule.delete_after else "NONE",
        "Target": _target_form(schedule.target),
    }
    if schedule.description:
        form["Description"] = schedule.description
    if schedule.start_ms is not None:
        form["StartDate"] = schedule.start_ms / 1000
    if schedule.end_ms is not None:
        form["EndDate"] = schedule.end_ms / 1000
    return form


def summary_form(schedule: Schedule) -> dict[str, object]:
    """One of ListSchedules' answer."""
    return {**_head(schedule), "Target": {"Arn": schedule.target.arn}}


def group_form(group: Group) -> dict[str, object]:
    """GetScheduleGroup's answer, and one of ListScheduleGroups'."""
    return {
        "Arn": group.arn,
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": group.created_ms / 1000,
        "LastModificationDate": group.modified_ms / 1000,
    }


def _head(schedule: Schedule) -> dict[str, object]:
    return {
        "Arn": schedule.arn,
        "GroupName": schedule.group,
        "Name": schedule.name,
        "State": "ENABLED" if schedule.enabled else "DISABLED",
        "CreationDate": schedule.created_ms / 1000,
        "LastModificationDate": schedule.modified_ms / 1000,
    }


def _target_form(target: Target) -> dict[str, object]:
    form: dict[str, object] = {
        "Arn": target.arn,
        "RoleArn": target.role_arn,
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": target.age_s_max,
            "MaximumRetryAttempts": target.retries_max,
        },
    }
    if target.input is not None:
        form["Input"] = target.input
    if target.group_id:
        form["SqsParameters"] = {"MessageGroupId": target.group_id}
    if target.dead_letter_arn:
        form["DeadLetterConfig"] = {"Arn": target.dead_letter_arn}
    return form


def write_token(parts: Sequence[str]) -> str:
    """A NextToken that stands for the last entry's names."""
    return base64.urlsafe_b64encode("/".join(parts).encode()).decode("ascii")


def read_token(token: str, count: int) -> tuple[str, ...]:
    """The names in a NextToken; `count` empty ones where there is none.

    Raises:
        ValidationFailed: It is none of ours.
    """
    if not token:
        return ("",) * count
    try:
        parts = tuple(base64.b64decode(token, altchars=b"-_", validate=True).decode().split("/"))
    except (binascii.Error, ValueError):
        parts = ()
    if len(parts) != count:
        raise ValidationFailed("Invalid NextToken provided.")
    return parts
