"""From what a function asked for to the smallest grants that a person would write. Pure.

    photos/in/a.jpg:read, photos/in/b.jpg:read   -->  photos/in/:read    they follow the event
    photos/settings.json:read                    -->  itself             the event does not name it
    photos:read (a list)                         -->  photos:read        and it covers the others

A key whose last part stands in a sample event, or that is one of several in its folder, will be
another one tomorrow: then its folder is proposed, and a key without a folder means its bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mayfly.model.grant import Grant, GrantKind

# What is shorter stands in an event by chance.
_STEM_LENGTH_MIN = 2


def smallest(asked: Iterable[Grant], events: str) -> tuple[Grant, ...]:
    """Grants that allow all that was asked, in the order of `[grants]`, none within another.

    Args:
        asked: Of an object, its full key.
        events: The sample events as text.
    """
    wanted = tuple(dict.fromkeys(asked))
    folded = {_folded(one, wanted, events) for one in wanted}
    kept = [one for one in folded if not any(_covers(other, one) for other in folded - {one})]
    return tuple(sorted(kept, key=_order))


def covered(grants: Sequence[Grant], asked: Grant) -> bool:
    """Whether some grant allows what was asked."""
    return any(_covers(one, asked) for one in grants)


def _folded(asked: Grant, wanted: Sequence[Grant], events: str) -> Grant:
    bucket, slash, key = asked.target.partition("/")
    if asked.kind is not GrantKind.OBJECTS or not slash:
        return asked
    folder = key[: key.rfind("/") + 1]
    place = f"{bucket}/{folder}" if folder else bucket
    if _varies(key, events) or _neighbours(asked, place, wanted) > 1:
        return Grant(asked.kind, place, asked.verb)
    return asked


def _varies(key: str, events: str) -> bool:
    """Whether it follows from the event: the event has the key's last part, or its stem."""
    last = PurePosixPath(key)
    return any(len(one) >= _STEM_LENGTH_MIN and one in events for one in (last.name, last.stem))


def _neighbours(asked: Grant, place: str, wanted: Sequence[Grant]) -> int:
    """How many keys right in this folder were asked for the same verb."""
    return sum(
        one.kind is asked.kind
        and one.verb == asked.verb
        and "/" in one.target
        and one.target.rpartition("/")[0] == place.rstrip("/")
        for one in wanted
    )


def _covers(grant: Grant, other: Grant) -> bool:
    return grant.allows(other.kind, other.target, other.verb)


def _order(grant: Grant) -> tuple[int, str, str]:
    return list(GrantKind).index(grant.kind), grant.target, grant.verb
