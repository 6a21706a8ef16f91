"""Converges on a manifest's triggers: makes what is new, changes what differs, removes what left.

    manifest's triggers --check--> nothing yet changed
                        --record before and after--> rooms converge --record after-->

Only what manifests made is touched, and done twice it is done once. The record is written before
anything is made, so that what a crash leaves half done is known, and finished by the next deploy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from mayfly.api.triggers.room import Room, kind_of
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Settings
from mayfly.model.trigger import Trigger, TriggerKind
from mayfly.stores.triggers.store import TriggerStore

Unfit = Callable[[Settings, Sequence[Trigger]], Sequence[str]]


def _nothing_is(settings: Settings, triggers: Sequence[Trigger]) -> Sequence[str]:
    """Nobody looks at the settings."""
    del settings, triggers
    return ()


class Triggers:
    """All functions' triggers; fits the platform's `FunctionTriggers` once `use` was called."""

    def __init__(self) -> None:
        self._store: TriggerStore | None = None
        self._rooms: Mapping[TriggerKind, Room] = {}
        self._unfit: Unfit = _nothing_is
        self._turn = asyncio.Lock()

    def use(
        self,
        store: TriggerStore,
        rooms: Mapping[TriggerKind, Room],
        unfit: Unfit | None = None,
    ) -> None:
        """Work with these from now on: the stores are opened after the platform is made.

        Args:
            unfit: What of a function's settings does not fit what is there: a sentence each.
        """
        self._store = store
        self._rooms = rooms
        self._unfit = unfit or _nothing_is

    def require(
        self, function_name: str, triggers: Sequence[Trigger], settings: Settings | None = None
    ) -> None:
        """Refuse triggers that cannot be made now, and settings that do not fit what is there.

        Raises:
            InvalidParameter: With everything that is missing, and what to do about it.
        """
        problems: list[str] = []
        for kind, room, own in self._by_room(triggers):
            if room is None:
                problems.append(f'this platform has no source for triggers of type "{kind}"')
            else:
                problems += room.problems(function_name, own)
        if problems:
            said = "; ".join(dict.fromkeys(problems))
            raise InvalidParameter(f'nothing was changed: a trigger of "{function_name}": {said}')
        unfit = () if settings is None else self._unfit(settings, triggers)
        if unfit:
            raise InvalidParameter(f'nothing was changed: "{function_name}": {"; ".join(unfit)}')

    async def converge(self, function_name: str, triggers: Sequence[Trigger]) -> bool:
        """Make it so; whether anything changed.

        Raises:
            MayflyError: Something refused; what was done is recorded, and the next call goes on.
        """
        store = self._store
        if store is None:
            return False
        # One at a time: two deploys of one function must not take each other's for strangers'.
        async with self._turn:
            return await self._converge(store, function_name, triggers)

    async def remove(self, function_name: str) -> None:
        """Remove all that the function's manifest made. Raises MayflyError."""
        await self.converge(function_name, ())

    def shown_nowait(self, function_name: str) -> Sequence[Mapping[str, object]]:
        """The function's triggers, as people and programs are shown them."""
        if self._store is None:
            return []
        return [one.shown for one in self._store.of_nowait(function_name)]

    async def _converge(
        self, store: TriggerStore, function_name: str, triggers: Sequence[Trigger]
    ) -> bool:
        before = store.of_nowait(function_name)
        planned = [
            made
            for _, room, own in self._by_room(triggers)
            if room is not None
            for made in room.plan(function_name, own)
        ]
        keys = {(one.kind, one.made_id) for one in planned}
        gone = [one for one in before if (one.kind, one.made_id) not in keys]
        if not planned and not gone:
            return False
        if not keys <= {(one.kind, one.made_id) for one in before}:
            await store.put(function_name, [*planned, *gone])
        changed = False
        for kinds, room in self._distinct_rooms():
            own = [one for one in triggers if kind_of(one) in kinds]
            left = [one for one in gone if one.kind in kinds]
            if own or left:
                changed |= await room.converge(function_name, own, left)
        if [*before] != planned:
            await store.put(function_name, planned)
        return changed

    def _by_room(
        self, triggers: Sequence[Trigger]
    ) -> list[tuple[TriggerKind, Room | None, list[Trigger]]]:
        kinds = dict.fromkeys(kind_of(one) for one in triggers)
        return [
            (kind, self._rooms.get(kind), [one for one in triggers if kind_of(one) is kind])
            for kind in kinds
        ]

    def _distinct_rooms(self) -> list[tuple[set[TriggerKind], Room]]:
        """Each room once, with the kinds that are its own."""
        found: dict[int, tuple[set[TriggerKind], Room]] = {}
        for kind, room in self._rooms.items():
            found.setdefault(id(room), (set(), room))[0].add(kind)
        return list(found.values())
