"""A schedule, its group, and when it is due next. Pure.

    occurrence   the moment that the expression names        plan() finds the next one
    due          when it is handed over: the occurrence, or a random moment of its window

`as_of_ms` is what the wall clock showed when `due` was found. A clock that later shows less was put
back, and then what is due is found anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.stores.schedules.timing import Timing, parse_timing

DEFAULT_GROUP = "default"
# A one-time schedule may be for the minute that has begun; an older one is over.
_ONCE_GRACE_MS = 60_000
_RANDOM_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a schedule is for.

    Args:
        arn: A function's or a queue's.
        role_arn: Kept and shown; grants are Mayfly's.
        input: What the target gets, or None: a notification.
        group_id: For a FIFO queue, or "".
        age_s_max: How old an event may get before it is given up.
        retries_max: How often a failed event is tried again.
        dead_letter_arn: A queue for events that failed, or "".
    """

    arn: str
    role_arn: str
    input: str | None = None
    group_id: str = ""
    age_s_max: int = 86_400
    retries_max: int = 185
    dead_letter_arn: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule as its owner wrote it.

    Args:
        start_ms: Not due before, or None. One-time schedules ignore it.
        end_ms: Not due after, or None. One-time schedules ignore it.
        window_min: Length of the flexible window in minutes; 0 is none.
        delete_after: It goes when it has been due for the last time.
        anchor_ms: Where a rate begins.
        revision_id: Anew with each change.
    """

    group: str
    name: str
    expression: str
    zone: str
    target: Target
    created_ms: int
    modified_ms: int
    anchor_ms: int
    revision_id: str
    start_ms: int | None = None
    end_ms: int | None = None
    window_min: int = 0
    description: str = ""
    enabled: bool = True
    delete_after: bool = False

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/{self.group}/{self.name}"

    @property
    def timing(self) -> Timing:
        """Its expression in its zone. Raises InvalidParameter."""
        return parse_timing(self.expression, self.zone)


@dataclass(frozen=True, slots=True)
class Group:
    """A group of schedules."""

    name: str
    created_ms: int
    modified_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule-group/{self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """When a schedule is due next.

    Args:
        as_of_ms: What the clock showed when this was found.
        occurrence_ms: The moment that the expression names, or None: never again.
        due_ms: When it is handed over, in its window.
        last_ms: The occurrence that was handed over last, or None.
    """

    as_of_ms: int
    occurrence_ms: int | None = None
    due_ms: int | None = None
    last_ms: int | None = None


def first_plan(schedule: Schedule, now_ms: int, chance: str) -> Plan:
    """For a new or changed schedule; a rate without a start begins now.

    Args:
        chance: Random [a-z0-9], for the flexible window.
    """
    return _plan(schedule, Plan(now_ms), now_ms - 1, now_ms, chance)


def plan_after(schedule: Schedule, before: Plan, now_ms: int, chance: str) -> Plan:
    """When what `before` says has been handed over at `now_ms`.

    Occurrences that were missed meanwhile are left out; of those whose window is still open, none.
    """
    assert before.occurrence_ms is not None
    handed_over = replace(before, last_ms=before.occurrence_ms)
    after_ms = max(before.occurrence_ms, now_ms - schedule.window_min * 60_000)
    return _plan(schedule, handed_over, after_ms, now_ms, chance)


def plan_anew(schedule: Schedule, before: Plan, now_ms: int, chance: str) -> Plan:
    """When the clock was put back after `before` was found. What happened once is not repeated."""
    return _plan(schedule, before, now_ms, now_ms, chance)


def ever_due(schedule: Schedule, now_ms: int) -> bool:
    """Whether a recurring schedule has an occurrence at or after now; a one-time one always has."""
    timing = schedule.timing
    return timing.once or _occurrence(schedule, timing, now_ms - 1) is not None


def _plan(schedule: Schedule, before: Plan, after_ms: int, now_ms: int, chance: str) -> Plan:
    occurrence_ms = None
    timing = schedule.timing
    if schedule.enabled and not (timing.once and before.last_ms is not None):
        if timing.once:
            after_ms = now_ms - _ONCE_GRACE_MS
        occurrence_ms = _occurrence(schedule, timing, after_ms)
    if occurrence_ms is None:
        return Plan(now_ms, last_ms=before.last_ms)
    due_ms = occurrence_ms
    if schedule.window_min:
        opens_ms = max(occurrence_ms, now_ms)
        room_ms = max(1, occurrence_ms + schedule.window_min * 60_000 - opens_ms)
        due_ms = opens_ms + int(chance[:_RANDOM_LENGTH], 36) % room_ms
    return Plan(now_ms, occurrence_ms, due_ms, before.last_ms)


def _occurrence(schedule: Schedule, timing: Timing, after_ms: int) -> int | None:
    """The first occurrence after a moment, within the schedule's dates."""
    if not timing.once and schedule.start_ms is not None:
        after_ms = max(after_ms, schedule.start_ms - 1)
    found = timing.next_ms(after_ms, schedule.anchor_ms)
    over = found is None or (
        not timing.once and schedule.end_ms is not None and found > schedule.end_ms
    )
    return None if over else found
