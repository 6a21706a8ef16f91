"""The control API's grants: a function's are changed without a deploy.

GET    v1/grants/{name}   each with where it came from
PUT    v1/grants/{name}   {"grants": ["net=api.example.com:443"]}: these as well
DELETE v1/grants/{name}   {"grants": [...]}: these no longer

A change is a compare-and-set on the registry, and the new snapshot is made before the reply. Calls
that run finish on what they began with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from mayfly.api.control.deploy import snapshot_step
from mayfly.api.control.routes import Call, Routes
from mayfly.api.lambda_.changes import change_function
from mayfly.api.lambda_.names import Reference
from mayfly.model import granting
from mayfly.model.errors import InvalidParameter, NotFound
from mayfly.model.function import Function, Settings
from mayfly.model.grant import Grant, GrantOrigin

Change = Callable[[Settings, Sequence[Grant]], Settings]


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """`revision_id`, where it is given, must be the function's now."""

    grants: list[str]
    revision_id: str = ""


async def show_grants(call: Call) -> None:
    """GET: what the function was granted."""
    await call.reply(grants_form(call.function()))


async def add_grants(call: Call) -> None:
    """PUT: grant by hand."""
    await _change(call, _added)


async def remove_grants(call: Call) -> None:
    """DELETE: revoke, wherever it came from."""
    await _change(call, _removed)


ROUTES: Routes = {
    ("grants", True): {"GET": show_grants, "PUT": add_grants, "DELETE": remove_grants},
}


def grants_form(function: Function) -> dict[str, object]:
    """A function's grants, as the command line gets them."""
    settings = function.settings
    return {
        "function": function.name,
        "revision_id": function.revision_id,
        "grants": [
            {
                "grant": granting.written(one),
                "kind": one.kind.value,
                "target": one.target,
                "verb": one.verb,
                "from": granting.origin(settings, one).value,
            }
            for one in settings.grants
        ],
    }


async def _change(call: Call, change: Change) -> None:
    wanted, grants = _wanted(call)
    before = call.function()
    if wanted.revision_id in ("", before.revision_id) and (
        change(before.settings, grants) == before.settings
    ):
        await call.reply({**grants_form(before), "changed": False})
        return
    function = await change_function(
        call.platform,
        Reference(call.name),
        lambda one: replace(one, settings=change(one.settings, grants)),
        revision_id=wanted.revision_id,
    )
    step = await snapshot_step(call.platform, function)
    await call.reply({**grants_form(function), "changed": True, "snapshot": step})


def _added(settings: Settings, grants: Sequence[Grant]) -> Settings:
    return granting.with_grants(settings, grants, GrantOrigin.HAND)


def _removed(settings: Settings, grants: Sequence[Grant]) -> Settings:
    strange = [granting.written(one) for one in grants if one not in settings.grants]
    if strange:
        has = ", ".join(granting.written(one) for one in settings.grants) or "none"
        raise NotFound(f"it was not granted {', '.join(strange)}; its grants: {has}")
    return granting.without_grants(settings, grants)


def _wanted(call: Call) -> tuple[_Wanted, tuple[Grant, ...]]:
    """The request's document. Raises InvalidParameter."""
    try:
        wanted = msgspec.json.decode(call.body, type=_Wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameter(
            f'grants are given as {{"grants": ["net=api.example.com:443"]}}: {error}'
        ) from error
    if not wanted.grants:
        raise InvalidParameter("no grant was given; write at least one")
    return wanted, granting.parse_grants(wanted.grants)
