"""How a function is changed: read, altered, put back if nobody was faster, and told to the engine.

The caller's RevisionId, when there is one, must be the current one; without one, a change that
lost a race is made again on the newer function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mayfly.api.lambda_.names import Reference, find_function
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.model.errors import Conflict, PreconditionFailed
from mayfly.model.function import Function

TRIES_MAX = 8
_STALE = (
    "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias "
    "API to retrieve the latest RevisionId"
)


async def change_function(
    platform: LambdaPlatform,
    reference: Reference,
    change: Callable[[Function], Function],
    *,
    revision_id: str = "",
) -> Function:
    """Apply `change` to the function; the function as it now is.

    Raises:
        NotFound: There is no such function.
        PreconditionFailed: It is not at `revision_id`.
        Conflict: Others changed it, every time that this was tried.
        StorageFailed: Nothing was changed.
    """
    for _ in range(TRIES_MAX):
        before = find_function(platform.registry, reference)
        check_revision(before, revision_id)
        after = replace(
            change(before),
            revision_id=platform.ids.uuid(),
            modified_ms=int(platform.clock.now_ms()),
        )
        try:
            await platform.registry.replace_function(after, expected_revision_id=before.revision_id)
        except PreconditionFailed as error:
            if revision_id:
                raise PreconditionFailed(_STALE) from error
            continue
        platform.engine.function_changed(after.name)
        return after
    raise Conflict(
        "The operation cannot be performed at this time. An update is in progress for resource: "
        f"{reference.arn}"
    )


def check_revision(function: Function, revision_id: str) -> None:
    """Refuse a revision that is not the current one; "" is any.

    Raises:
        PreconditionFailed: In AWS's words.
    """
    if revision_id and revision_id != function.revision_id:
        raise PreconditionFailed(_STALE)
