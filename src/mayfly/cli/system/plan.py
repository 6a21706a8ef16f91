"""The way from what is there to what is declared, and going it.

    plan:   declared, present, made before -> steps
    apply:  record what will be made -> create and change in order of need -> remove in the opposite

Only what `apply` made is ever removed, and what holds data only when that is asked for. Done twice
it is done once: when nothing differs there is no step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mayfly.cli import document
from mayfly.cli.client import Client, segment
from mayfly.cli.failure import Failed, Refused
from mayfly.cli.system.buckets import Buckets
from mayfly.cli.system.declared import KINDS, Reader, Resource, System
from mayfly.cli.system.functions import Functions, compared, missing_secrets, read_secret
from mayfly.cli.system.kind import Kind, Settings, is_absent
from mayfly.cli.system.needs import Need, needs_of
from mayfly.cli.system.queues import Queues
from mayfly.cli.system.schedules import Schedules
from mayfly.cli.system.tables import Tables

_MADE: Mapping[str, Kind] = {
    "bucket": Buckets(),
    "queue": Queues(),
    "table": Tables(),
    "function": Functions(),
    "schedule": Schedules(),
}
READERS: Mapping[str, Reader] = {
    "secret": read_secret,
    **{kind: made.read for kind, made in _MADE.items()},
}
Thing = tuple[str, str]


class Action(StrEnum):
    """What a step does."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting, as it is and as it is to be."""

    what: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that differs.

    Args:
        action: KEEP is what would be removed, but holds data.
        wanted: What is declared; None where it is to go.
        present: Its settings now, for a change.
    """

    action: Action
    kind: str
    name: str
    differences: tuple[Difference, ...] = ()
    wanted: Resource | None = None
    present: Settings | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that differs.

    Args:
        made: What `apply` made before, of what is there still.
        forgotten: Whether something that it made is gone, by other hands.
    """

    system: str
    steps: tuple[Step, ...]
    made: frozenset[Thing]
    forgotten: bool = False

    @property
    def changes(self) -> bool:
        """Whether there is something to do."""
        return any(one.action is not Action.KEEP for one in self.steps)


def make_plan(client: Client, system: System, *, prune_data: bool) -> Plan:
    """Compare what is declared with what is there; nothing is changed.

    Raises:
        Failed: Something cannot be, such as another key for a table, or something is missing that
            a secret, a grant, a trigger or a dead letter names.
    """
    secrets = {one.name: one for one in system.resources if one.kind == "secret"}
    missing = missing_secrets(client, secrets)
    if missing:
        raise Failed(
            f"there is no secret {', '.join(missing)}; set each first: `mayfly secret set "
            f"{missing[0]}`"
        )
    wanted = [one for one in system.resources if one.kind in _MADE]
    steps = [step for one in wanted if (step := _compare(client, one)) is not None]
    declared = {(one.kind, one.name) for one in wanted}
    _require(client, steps, declared)
    made = _made_before(client, system.name)
    lost: set[Thing] = set()
    for kind, name in sorted(made - declared, key=_removal_order):
        step = _leave(client, kind, name, prune_data=prune_data)
        if step is None:
            lost.add((kind, name))
        else:
            steps.append(step)
    return Plan(system.name, tuple(steps), made - lost, bool(lost))


def apply_plan(client: Client, plan: Plan, tell: Callable[[Step], None]) -> None:
    """Go the way. What was made is recorded also when it ends half way.

    Args:
        tell: Called with each step when it is done.

    Raises:
        Failed: A step failed; those before it are done, and the next run goes on from there.
    """
    made = set(plan.made)
    creates = {(one.kind, one.name) for one in plan.steps if one.action is Action.CREATE}
    if creates:
        _record(client, plan.system, made | creates)
    try:
        for step in plan.steps:
            if step.action is not Action.KEEP:
                _go(client, step)
                tell(step)
            if step.action is Action.CREATE:
                made.add((step.kind, step.name))
            elif step.action is Action.REMOVE:
                made.discard((step.kind, step.name))
    finally:
        if made != plan.made or creates or plan.forgotten:
            _record(client, plan.system, made)


def form_of(plan: Plan) -> dict[str, object]:
    """A plan for programs."""
    return {
        "system": plan.system,
        "changes": [
            {
                "action": step.action.value,
                "kind": step.kind,
                "name": step.name,
                "differences": [
                    {"what": one.what, "old": one.old, "new": one.new} for one in step.differences
                ],
            }
            for step in plan.steps
        ],
    }


def _require(client: Client, steps: list[Step], declared: set[Thing]) -> None:
    """Refuse a plan whose way would end half way, for want of something. Raises Failed."""
    needs = [
        need
        for step in steps
        for need in needs_of(step.kind, step.name, {one.what: one.new for one in step.differences})
    ]
    keys = {one.name: Resource(one.kind, one.name) for one in needs if one.kind == "secret"}
    secrets = missing_secrets(client, keys)
    missing = [
        need.said()
        for need in needs
        if (
            need.name in secrets
            if need.kind == "secret"
            else (need.kind, need.name) not in declared and not _exists(client, need)
        )
    ]
    if missing:
        raise Failed("; ".join(dict.fromkeys(missing)))


def _exists(client: Client, need: Need) -> bool:
    try:
        _MADE[need.kind].holds_data(client, need.name)
    except Refused as error:
        if is_absent(error):
            return False
        raise
    return True


def _compare(client: Client, wanted: Resource) -> Step | None:
    kind = _MADE[wanted.kind]
    present = kind.look(client, wanted)
    if present is None:
        # Of a function, what it will reach and what will call it.
        told = compared(client, wanted) if wanted.kind == "function" else {}
        asked = {key: told[key] for key in ("grants", "triggers") if key in told}
        shown = _shown(asked if told else wanted.settings)
        return Step(Action.CREATE, wanted.kind, wanted.name, shown, wanted)
    after = _after(client, wanted, present)
    differences = tuple(
        Difference(key, value, after[key]) for key, value in present.items() if value != after[key]
    )
    if not differences:
        return None
    fixed = kind.unchangeable() & {one.what for one in differences}
    if fixed:
        said = ", ".join(sorted(fixed))
        raise Failed(
            f'the {wanted.kind} "{wanted.name}" is there with another {said}, which cannot be '
            "changed; take another name, or remove it first"
        )
    return Step(Action.CHANGE, wanted.kind, wanted.name, differences, wanted, present)


def _after(client: Client, wanted: Resource, present: Settings) -> Settings:
    """What is declared; of a function, what a deploy would make of that which differs."""
    if wanted.kind != "function" or present == wanted.settings:
        return wanted.settings
    told = document.parts(compared(client, wanted), "changes")
    return {**wanted.settings, **{document.text(one, "what"): one.get("new") for one in told}}


def _shown(settings: Settings) -> tuple[Difference, ...]:
    """What is said of a new thing: the settings that are not empty."""
    empty: tuple[object, ...] = ("", [], False, 0, None)
    return tuple(
        Difference(key, None, value) for key, value in settings.items() if value not in empty
    )


def _leave(client: Client, kind: str, name: str, *, prune_data: bool) -> Step | None:
    """The step for what is declared no more; None when it is gone already."""
    if kind not in _MADE:
        return None
    try:
        keeps = _MADE[kind].holds_data(client, name) and not prune_data
        if kind in ("function", "schedule") and not _is_there(client, kind, name):
            return None
    except Refused as error:
        if is_absent(error):
            return None
        raise
    return Step(Action.KEEP if keeps else Action.REMOVE, kind, name)


def _is_there(client: Client, kind: str, name: str) -> bool:
    if kind == "schedule":
        return _MADE[kind].look(client, Resource(kind, name)) is not None
    client.call("GET", f"/_mayfly/v1/functions/{segment(name)}")
    return True


def _go(client: Client, step: Step) -> None:
    kind = _MADE[step.kind]
    if step.action is Action.REMOVE:
        kind.remove(client, step.name)
        return
    assert step.wanted is not None
    if step.action is Action.CREATE:
        kind.create(client, step.wanted)
        return
    assert step.present is not None
    kind.change(client, step.wanted, step.present)


def _removal_order(thing: Thing) -> tuple[int, str]:
    """The opposite of that in which things are made."""
    kind, name = thing
    return -(KINDS.index(kind) if kind in KINDS else 0), name


def _made_before(client: Client, system: str) -> frozenset[Thing]:
    told = client.call("GET", f"/_mayfly/v1/systems/{segment(system)}").document()
    return frozenset(
        (document.text(one, "kind"), document.text(one, "name"))
        for one in document.parts(told, "made")
    )


def _record(client: Client, system: str, made: set[Thing]) -> None:
    things = [{"kind": kind, "name": name} for kind, name in sorted(made)]
    body = json.dumps({"made": things}).encode()
    client.call("PUT", f"/_mayfly/v1/systems/{segment(system)}", body=body)
