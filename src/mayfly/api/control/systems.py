"""The control API's systems: what `mayfly apply` made, kept for its next run.

GET v1/systems/{name}   {"made": [{"kind": "bucket", "name": "photos"}, ...]}
PUT v1/systems/{name}   the same; the answer is 204
"""

from __future__ import annotations

import re

import msgspec

from mayfly.api.control.routes import Call, Routes
from mayfly.api.message import Response
from mayfly.model import limits
from mayfly.model.errors import InvalidParameter
from mayfly.stores.systems.store import SystemStore, Thing

_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{limits.NAME_LENGTH_MAX}}}", re.ASCII)
_THINGS_MAX = 10_000


class _Made(msgspec.Struct, forbid_unknown_fields=True):
    made: list[Thing]


class SystemControl:
    """Routes over the store of systems."""

    def __init__(self, store: SystemStore) -> None:
        self._store = store

    @property
    def routes(self) -> Routes:
        """For the control API."""
        return {("systems", True): {"GET": self._get, "PUT": self._put}}

    async def _get(self, call: Call) -> None:
        made = self._store.made_nowait(_checked(call.name))
        await call.reply({"made": [{"kind": one.kind, "name": one.name} for one in made]})

    async def _put(self, call: Call) -> None:
        name = _checked(call.name)
        try:
            told = msgspec.json.decode(call.body, type=_Made)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidParameter(
                f'a system is {{"made": [{{"kind", "name"}}]}}: {error}'
            ) from error
        if len(told.made) > _THINGS_MAX:
            raise InvalidParameter(f"a system has at most {_THINGS_MAX} things")
        await self._store.put(name, told.made)
        await call.exchange.reply(Response(204))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            f'the system\'s name "{name[:80]}" must be 1 to {limits.NAME_LENGTH_MAX} letters, '
            "digits, dots, dashes and underscores"
        )
    return name
