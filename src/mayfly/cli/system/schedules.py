"""Schedules that call a function or send to a queue, by EventBridge Scheduler's API.

They stand in the group "default"; those of a function's own manifest stand in "mayfly".
"""

from __future__ import annotations

import json
from pathlib import Path

from mayfly.cli import document
from mayfly.cli.client import Client, segment
from mayfly.cli.failure import Refused
from mayfly.cli.system.declared import Entry, Resource
from mayfly.cli.system.kind import ACCOUNT, REGION, Settings, expression_of, is_absent

_NAME = r"[A-Za-z0-9_.-]{1,64}"
_FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
_QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/mayfly"


class Schedules:
    """Kind `schedule`."""

    def read(self, entry: Entry, folder: Path) -> Resource:
        """name, one of rate, cron, at and expression, timezone, function or queue, input."""
        del folder
        name = entry.required("name", form=_NAME, must="1 to 64 letters, digits, _ . -")
        function, queue = entry.text("function"), entry.text("queue")
        if bool(function) is bool(queue):
            entry.problem('needs a target: write function = "name" or queue = "name"')
        given = entry.value("input")
        try:
            text = "" if given is None else json.dumps(given, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError):
            entry.problem("input must be what JSON can hold: no dates, no times, no nan")
            text = ""
        settings: dict[str, object] = {
            "expression": expression_of(entry),
            "timezone": entry.text("timezone", default="UTC"),
            "target": f"{_FUNCTION_ARN}{function}" if function else f"{_QUEUE_ARN}{queue}",
            "input": text,
            "enabled": entry.value("enabled") is not False,
        }
        return Resource("schedule", name, settings)

    def look(self, client: Client, wanted: Resource) -> Settings | None:
        """What Scheduler says of it."""
        try:
            found = client.call("GET", _path(wanted.name), service="scheduler").document()
        except Refused as error:
            if is_absent(error):
                return None
            raise
        target = document.part(found, "Target")
        return {
            "expression": document.text(found, "ScheduleExpression"),
            "timezone": document.text(found, "ScheduleExpressionTimezone", "UTC"),
            "target": document.text(target, "Arn"),
            "input": document.text(target, "Input"),
            "enabled": document.text(found, "State", "ENABLED") == "ENABLED",
        }

    def create(self, client: Client, wanted: Resource) -> None:
        """CreateSchedule."""
        self._put(client, "POST", wanted)

    def change(self, client: Client, wanted: Resource, present: Settings) -> None:
        """UpdateSchedule."""
        del present
        self._put(client, "PUT", wanted)

    def unchangeable(self) -> frozenset[str]:
        """Nothing."""
        return frozenset()

    def holds_data(self, client: Client, name: str) -> bool:
        """Nothing."""
        del client, name
        return False

    def remove(self, client: Client, name: str) -> None:
        """DeleteSchedule."""
        try:
            client.call("DELETE", _path(name), service="scheduler")
        except Refused as error:
            if not is_absent(error):
                raise

    def _put(self, client: Client, method: str, wanted: Resource) -> None:
        settings = wanted.settings
        target = {"Arn": settings["target"], "RoleArn": _ROLE}
        if settings["input"]:
            target["Input"] = settings["input"]
        members = {
            "ScheduleExpression": settings["expression"],
            "ScheduleExpressionTimezone": settings["timezone"],
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED" if settings["enabled"] else "DISABLED",
            "Target": target,
        }
        body = json.dumps(members).encode()
        headers = {"content-type": "application/json"}
        client.call(method, _path(wanted.name), headers=headers, body=body, service="scheduler")


def _path(name: str) -> str:
    return f"/schedules/{segment(name)}"
