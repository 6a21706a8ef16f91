"""What a declared thing needs that somebody else must have made: secrets, sources, dead letters.

Read from a plan's differences, so that what is not changed is not asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SECRETS = "secrets:"
_SOURCES = ("bucket", "queue", "table")


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be declared or there.

    Args:
        whose: Who needs it, as it is said.
    """

    kind: str
    name: str
    whose: str

    def said(self) -> str:
        """That it is missing, and what to do."""
        if self.kind == "secret":
            cure = f"there is no such secret: `mayfly secret set {self.name}`"
        else:
            cure = f"neither declared nor there: add a [[{self.kind}]] to system.toml"
        return f'{self.whose} needs the {self.kind} "{self.name}", {cure}'


def needs_of(kind: str, name: str, settings: Mapping[str, object]) -> Iterator[Need]:
    """What a function's grants and triggers, or a queue's dead letters, need.

    Args:
        settings: Those that are new or change.
    """
    whose = f'the {kind} "{name}"'
    if kind == "queue":
        dead_letter = settings.get("dead_letter")
        if isinstance(dead_letter, str) and dead_letter:
            yield Need("queue", dead_letter, whose)
    if kind != "function":
        return
    for grant in _listed(settings, "grants"):
        if isinstance(grant, str) and grant.startswith(_SECRETS):
            yield Need("secret", grant.removeprefix(_SECRETS), whose)
    for trigger in _listed(settings, "triggers"):
        if isinstance(trigger, dict):
            yield from _of_trigger(trigger, f"a trigger of {whose}")


def _of_trigger(trigger: Mapping[str, object], whose: str) -> Iterator[Need]:
    for kind in (*_SOURCES, "secret"):
        name = trigger.get(kind)
        if isinstance(name, str):
            yield Need(kind, name, whose)
    kind, _, name = str(trigger.get("on_failure", "")).partition(":")
    if kind in _SOURCES:
        yield Need(kind, name, whose)


def _listed(settings: Mapping[str, object], key: str) -> list[object]:
    found = settings.get(key)
    return found if isinstance(found, list) else []
