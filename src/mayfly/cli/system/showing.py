"""A plan for a person: + what comes, ~ what changes, - what goes, = what stays for its data.

One line a thing, and below it each setting with its old and its new value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mayfly.cli.system.plan import Action, Difference, Plan, Step

_SIGNS = {Action.CREATE: "+", Action.CHANGE: "~", Action.REMOVE: "-", Action.KEEP: "="}
_VALUE_LENGTH_MAX = 100


def lines(plan: Plan) -> Iterator[str]:
    """The plan, and what it comes to."""
    for step in plan.steps:
        yield line(step)
        if step.action is Action.KEEP:
            yield "      is declared no more, and holds data: --prune-data removes it"
        yield from (f"      {_difference(step.action, one)}" for one in step.differences)
    yield summary(plan)


def line(step: Step) -> str:
    """One step."""
    return f"  {_SIGNS[step.action]} {step.kind:9} {step.name}"


def summary(plan: Plan) -> str:
    """How much there is to do."""
    counted = dict.fromkeys(Action, 0)
    for step in plan.steps:
        counted[step.action] += 1
    if not plan.changes:
        return "nothing to do"
    return (
        f"{counted[Action.CREATE]} to create, {counted[Action.CHANGE]} to change, "
        f"{counted[Action.REMOVE]} to remove"
    )


def _difference(action: Action, one: Difference) -> str:
    if action is Action.CREATE:
        return f"{one.what} = {_value(one.new)}"
    return f"{one.what}: {_value(one.old)} -> {_value(one.new)}"


def _value(value: object) -> str:
    if value is None or value in ("", [], {}):
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _VALUE_LENGTH_MAX else f"{text[:_VALUE_LENGTH_MAX]}..."
