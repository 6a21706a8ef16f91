"""Deploy: a folder becomes a function in service, and says step by step how.

Everything that can fail because of the folder happens before the registry is touched; the switch
is one compare-and-set there. A client that goes away after its upload does not stop the rest.

    unpack, dependencies (builder) --> registry, URL, triggers --> snapshot ahead of the first call
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from mayfly.api.control.forms import inspect_form
from mayfly.api.platform import BuiltFunction, Platform
from mayfly.api.triggers.room import shown
from mayfly.model import granting
from mayfly.model.errors import (
    Conflict,
    NotFound,
    PlatformError,
    PreconditionFailed,
    SnapshotFailed,
    TooManyRequests,
)
from mayfly.model.function import Function, FunctionUrl, Settings
from mayfly.model.grant import Grant

_TRIES_MAX = 5
_URL_ID_LENGTH = 32
# The words of the inspect form, by the attribute of Settings that they stand for.
_WORDS: Mapping[str, str] = {
    "handler": "handler",
    "runtime": "runtime",
    "description": "description",
    "memory_mib": "memory",
    "timeout_s": "timeout",
    "tmp_mib": "tmp",
    "environment": "environment",
    "reuse": "reuse",
    "isolate": "isolate",
    "concurrency": "concurrency",
    "grants": "grants",
    "tags": "tags",
}


async def deploy(
    platform: Platform, archive: bytes, on_step: Callable[[Mapping[str, object]], object]
) -> Mapping[str, object]:
    """Put the function in the zip into service; the last line of the reply.

    Raises:
        MayflyError: Nothing was changed, unless it says otherwise.
    """
    built = await platform.builder.deploy(archive, on_step)
    platform.triggers.require(built.name, built.triggers, built.settings)
    function, changed, lost = await _put_function(platform, built)
    if lost:
        on_step({"step": "grants", "ms": 0.0, "taken": [granting.written(one) for one in lost]})
    if await _put_url(platform, function, built):
        changed.append("url")
    if await platform.triggers.converge(function.name, built.triggers):
        changed.append("triggers")
    on_step(await snapshot_step(platform, function))
    return {"function": inspect_form(platform, function), "changed": changed}


async def compare(platform: Platform, archive: bytes) -> Mapping[str, object]:
    """What a deploy of the zip would change, old and new; nothing is changed or kept.

    Whether the resources of its triggers are there is not asked: they may come with it.

    Raises:
        MayflyError: The upload is refused.
    """
    built = await platform.builder.look(archive)
    present = platform.registry.function_nowait(built.name)
    told = {
        "function": built.name,
        "grants": [str(one) for one in built.settings.grants],
        "triggers": [shown(one) for one in built.triggers],
    }
    if present is None:
        return {**told, "create": True, "changes": []}
    changes: list[dict[str, object]] = []
    if present.code != built.code:
        changes.append(_change("code", present.code.digest[:12], built.code.digest[:12]))
    changes += [
        _change(word, _plain(getattr(present.settings, key)), _plain(getattr(built.settings, key)))
        for key, word in _WORDS.items()
        if getattr(present.settings, key) != getattr(built.settings, key)
    ]
    url = platform.registry.url_nowait(built.name)
    urls = (url and [url.auth.value, url.cors], built.url_auth and [built.url_auth, built.url_cors])
    if urls[0] != urls[1]:
        changes.append(_change("url", urls[0], urls[1]))
    before = platform.triggers.shown_nowait(built.name)
    after = [shown(one) for one in built.triggers]
    if _in_order(before) != _in_order(after):
        changes.append(_change("triggers", before, after))
    return {**told, "create": False, "changes": changes}


def _in_order(triggers: Sequence[Mapping[str, object]]) -> list[bytes]:
    return sorted(msgspec.json.encode(one, order="deterministic") for one in triggers)


def _change(what: str, old: object, new: object) -> dict[str, object]:
    return {"what": what, "old": old, "new": new}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [str(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


async def snapshot_step(platform: Platform, function: Function) -> Mapping[str, object]:
    """Make the snapshot; a node without room leaves that to the first call.

    Returns:
        The step, with "failure" where the import failed and "skipped" where there is no room.

    Raises:
        SnapshotFailed: It could not be made; the function is in service all the same.
    """
    started_s = platform.clock.monotonic_s()
    step: dict[str, object] = {"step": "snapshot"}
    try:
        failure = await platform.engine.prepare(function)
        if failure is not None:
            step["failure"] = msgspec.json.decode(failure.payload)
    except TooManyRequests as error:
        step["skipped"] = error.message
    except PlatformError as error:
        raise SnapshotFailed(
            f'"{function.name}" is in service, but its snapshot could not be made: {error.message}'
        ) from error
    step["ms"] = (platform.clock.monotonic_s() - started_s) * 1000
    return step


async def _put_function(
    platform: Platform, built: BuiltFunction
) -> tuple[Function, list[str], tuple[Grant, ...]]:
    """Create or replace; a change by somebody else in between is met by trying again.

    Returns:
        The function, what changed, and the grants by others that its manifest does not give.
    """
    for _ in range(_TRIES_MAX):
        present = platform.registry.function_nowait(built.name)
        try:
            if present is None:
                return await _create(platform, built), ["created"], ()
            function, changed = await _replace(platform, present, built)
        except (Conflict, NotFound, PreconditionFailed):
            continue
        return function, changed, granting.lost(present.settings, function.settings)
    raise Conflict(
        f'function "{built.name}" was changed by others each of the {_TRIES_MAX} times that this '
        "deploy tried to change it; try again"
    )


async def _create(platform: Platform, built: BuiltFunction) -> Function:
    function = Function(
        name=built.name,
        code=built.code,
        settings=built.settings,
        revision_id=platform.ids.uuid(),
        modified_ms=int(platform.clock.now_ms()),
    )
    await platform.registry.create_function(function)
    platform.engine.function_changed(function.name)
    return function


async def _replace(
    platform: Platform, present: Function, built: BuiltFunction
) -> tuple[Function, list[str]]:
    # What a manifest cannot say, and AWS's API can, stays as it is.
    settings = replace(
        built.settings,
        role=present.settings.role,
        extra=present.settings.extra,
        dead_letter_arn=present.settings.dead_letter_arn,
    )
    changed = _changes(present.settings, settings)
    if present.code != built.code:
        changed.insert(0, "code")
    if not changed and present.settings.granted_by == settings.granted_by:
        return present, []
    function = replace(
        present,
        code=built.code,
        settings=settings,
        revision_id=platform.ids.uuid(),
        modified_ms=int(platform.clock.now_ms()),
    )
    await platform.registry.replace_function(function, expected_revision_id=present.revision_id)
    platform.engine.function_changed(function.name)
    return function, changed


def _changes(before: Settings, after: Settings) -> list[str]:
    return [word for key, word in _WORDS.items() if getattr(before, key) != getattr(after, key)]


async def _put_url(platform: Platform, function: Function, built: BuiltFunction) -> bool:
    """Make the URL what the manifest says; its id stays. Returns whether it changed."""
    auth, cors = built.url_auth, built.url_cors
    present = platform.registry.url_nowait(function.name)
    now_ms = int(platform.clock.now_ms())
    if auth is None:
        if present is not None:
            await platform.registry.delete_url(function.name)
        return present is not None
    if present is None:
        url_id = platform.ids.token(_URL_ID_LENGTH)
        url = FunctionUrl(function.name, url_id, auth, now_ms, now_ms, cors)
        await platform.registry.put_url(url)
        return True
    if present.auth is auth and present.cors == cors:
        return False
    await platform.registry.put_url(replace(present, auth=auth, cors=cors, modified_ms=now_ms))
    return True
