"""Bringing a version up once: from a function's value to a brood whose snapshot is ready.

Who waits for it, and what a failure means for them, is the pool's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mayfly.engine.bounds import pids_of
from mayfly.engine.brood import Brood, Owner
from mayfly.engine.journal import init_start_line
from mayfly.engine.node import Node
from mayfly.model.errors import NotFound, SnapshotFailed
from mayfly.model.function import Function
from mayfly.ports import SnapshotSpec, Trace
from mayfly.telemetry import LogEvent, event_log

_SNAPSHOT_ID_LENGTH = 16


async def make_brood(
    node: Node,
    owner: Owner,
    function: Function,
    *,
    script: str | None = None,
    on_trace: Callable[[Trace], None] | None = None,
) -> Brood:
    """Make a snapshot. The brood is in `node.broods` from now until `close_brood`.

    A failed import is no exception: it is in the snapshot's facts.

    Raises:
        SealStepFailed: The kernel refused a step.
        SnapshotFailed: It could not be made for another reason of ours.
    """
    ports = node.ports
    brood = Brood(owner, ports.ids.token(_SNAPSHOT_ID_LENGTH), function, ports.clock, ports.metrics)
    start_s = ports.clock.monotonic_s()
    node.broods[brood.snapshot_id] = brood
    try:
        spec = await _spec(node, function, brood.snapshot_id, script)
        spec = replace(spec, on_trace=on_trace)
        brood.snapshot_output(init_start_line(function.settings.runtime))
        brood.snapshot = await ports.driver.snapshot(spec, brood)
    except BaseException:
        node.broods.pop(brood.snapshot_id, None)
        ports.grants.take_back(brood.snapshot_id)
        raise
    brood.ready_s = ports.clock.monotonic_s()
    ports.metrics.snapshot_seconds.observe(brood.ready_s - start_s)
    event_log(
        LogEvent.SNAPSHOT_MADE,
        function=function.name,
        version=function.version,
        snapshot=brood.snapshot_id,
        init_ms=brood.snapshot.facts.init_ms,
    )
    return brood


async def close_brood(node: Node, brood: Brood) -> None:
    """Close a snapshot with all of its isolates, and forget it. Does not raise."""
    try:
        await brood.close()
    except Exception as error:  # noqa: BLE001 the border of a task: reported, never fatal
        event_log(LogEvent.SNAPSHOT_FAILED, snapshot=brood.snapshot_id, error=str(error))
    node.broods.pop(brood.snapshot_id, None)
    node.ports.grants.take_back(brood.snapshot_id)
    event_log(LogEvent.SNAPSHOT_CLOSED, function=brood.function.name, snapshot=brood.snapshot_id)


async def _spec(
    node: Node, function: Function, snapshot_id: str, script: str | None
) -> SnapshotSpec:
    code = function.code
    ports = node.ports
    try:
        code_path = ports.code.tree_path(code.digest)
        dependencies = code.dependencies
        dependencies_path = (
            None if dependencies is None else ports.code.dependencies_path(dependencies)
        )
    except NotFound as error:
        text = f"the code of function {function.name} is not in the store ({error}); deploy again"
        raise SnapshotFailed(text) from error
    given = await ports.grants.give(function, snapshot_id)
    return SnapshotSpec(
        snapshot_id=snapshot_id,
        function=function,
        code_path=code_path,
        dependencies_path=dependencies_path,
        environment=given.environment,
        init_timeout_s=max(node.limits.init_timeout_s, function.settings.timeout_s),
        pids_max=pids_of(function.settings.memory_mib, node.limits.pids_max),
        script=script,
        doors=given.doors,
    )
