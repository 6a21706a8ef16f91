"""The control API's learn: run a function on sample events and say what it needs, no more.

POST v1/learn/{name}   {"events": [...], "allow": ["net=api.example.com:443"]}
                       a line for each run and its output; the last is the proposal

Each event runs in a throw-away snapshot that holds the function's grants and what `allow` adds for
this time only. What it lacks stays refused, and is recorded. The registry is never changed here.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from mayfly.api.control.routes import Call, Routes, last_line
from mayfly.api.control.stream import LineStream, line_stream
from mayfly.engine.learning.folding import covered, smallest
from mayfly.engine.learning.proposal import Rehearsed, propose_bounds
from mayfly.engine.learning.recording import Recording
from mayfly.model import granting, limits
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Function
from mayfly.model.grant import Grant, GrantKind, GrantOrigin
from mayfly.model.invocation import Invocation
from mayfly.ports import Trace

EVENTS_MAX = 50
# A first run may be a slow one; what it took is measured, and no call is held up by it.
_TIMEOUT_S_LEAST = 30
_MESSAGE_LENGTH_MAX = 500

Rehearse = Callable[
    [Function, Invocation, Callable[[bytes], None], Callable[[Trace], None]], Awaitable[Rehearsed]
]
Record = Callable[[str], AbstractContextManager[Recording]]


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=EVENTS_MAX)] = msgspec.field(
        default_factory=list
    )
    allow: Annotated[list[str], msgspec.Meta(max_length=granting.GRANTS_MAX)] = msgspec.field(
        default_factory=list
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """One event, and its number from 0."""

    call: Call
    function: Function
    event: bytes
    number: int


class LearnControl:
    """The route.

    Args:
        record: Records what snapshots of the function with a revision ask for.
        rehearse: Calls a function once in a snapshot of its own (`Engine.rehearse`).
    """

    def __init__(self, record: Record, rehearse: Rehearse) -> None:
        self._record = record
        self._rehearse = rehearse

    @property
    def routes(self) -> Routes:
        """For the control API."""
        return {("learn", True): {"POST": self._learn}}

    async def _learn(self, call: Call) -> None:
        wanted = _wanted(call.body)
        allowed = granting.parse_grants(wanted.allow)
        present = call.function()
        settings = granting.with_grants(present.settings, allowed, GrantOrigin.HAND)
        settings = replace(settings, timeout_s=max(settings.timeout_s, _TIMEOUT_S_LEAST))
        function = replace(present, settings=settings, revision_id=call.platform.ids.uuid())
        events = [bytes(one) for one in wanted.events] or [b"{}"]

        async def work(stream: LineStream) -> Mapping[str, object]:
            with self._record(function.revision_id) as recording:
                runs = [
                    await self._run(_Sample(call, function, event, number), recording, stream)
                    for number, event in enumerate(events)
                ]
            return _proposal(present, allowed, recording, runs, events)

        async with line_stream(
            call.exchange,
            timeout_s=call.platform.limits.send_timeout_s,
            pending_bytes_max=limits.LOG_BYTES_PER_CALL_MAX,
            abandon=True,
        ) as stream:
            stream.put_last_nowait(await last_line(call.exchange, stream, work))

    async def _run(self, sample: _Sample, recording: Recording, stream: LineStream) -> Rehearsed:
        before = set(recording.missing)
        function = sample.function
        invocation = Invocation(
            request_id=sample.call.platform.ids.uuid(),
            function=function,
            payload=sample.event,
            invoked_arn=function.arn,
        )

        def on_output(data: bytes) -> None:
            stream.put_nowait({"output": base64.b64encode(data).decode("ascii")})

        run = await self._rehearse(function, invocation, on_output, recording.tell_trace)
        stream.put_nowait(
            {
                "event": sample.number,
                "duration_ms": run.outcome.duration_ms,
                "init_ms": run.outcome.init_ms,
                "memory_mib": run.memory_mib_max,
                "error_type": run.outcome.error_type,
                "error": _message(run) if run.outcome.error else "",
                "refused": [
                    granting.written(one) for one in recording.missing if one not in before
                ],
            }
        )
        return run


def _wanted(body: bytes) -> _Wanted:
    try:
        return msgspec.json.decode(body or b"{}", type=_Wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameter(
            f'learn takes {{"events": [...], "allow": ["net=api.example.com:443"]}}: {error}'
        ) from error


def _message(run: Rehearsed) -> str:
    try:
        document: object = msgspec.json.decode(run.outcome.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return run.outcome.error_type
    told = document.get("errorMessage") if isinstance(document, dict) else None
    return str(told or run.outcome.error_type)[:_MESSAGE_LENGTH_MAX]


def _proposal(
    present: Function,
    allowed: Sequence[Grant],
    recording: Recording,
    runs: Sequence[Rehearsed],
    events: Sequence[bytes],
) -> Mapping[str, object]:
    """The last line of the reply."""
    failed = sum(one.outcome.error is not None for one in runs)
    granted = present.settings.grants
    text = b"\n".join(events).decode("utf-8", "replace")
    asked = (*recording.asked, *recording.missing)
    wanted = smallest(asked, text)
    missing = smallest(recording.missing, text)
    add = [one for one in wanted if not covered(granted, one)]
    # That a secret is needed is told by whoever allowed it.
    add += [one for one in allowed if one.kind is GrantKind.SECRETS and one not in granted]
    # A run that failed may not have come to what it would have used.
    unused = [] if failed else [one for one in granted if not _was_used(one, recording)]
    kept = [one for one in granted if one not in unused and not covered(add, one)]
    replaced = [one for one in granted if covered(add, one)]
    return {
        "function": present.name,
        "revision_id": present.revision_id,
        "runs": len(runs),
        "failed": failed,
        "missing": [granting.written(one) for one in missing if not covered(allowed, one)],
        "grants": {
            "add": [granting.written(one) for one in add],
            "remove": [granting.written(one) for one in (*unused, *replaced)],
            "keep": [granting.written(one) for one in kept],
            "narrower": {
                granting.written(one): less for one in kept if (less := _less(one, wanted))
            },
            "uses": {granting.written(one): count for one, count in recording.used.items()},
        },
        "hosts_without_port": list(recording.hosts_without_port),
        "bounds": {
            key: {"now": one.now, "seen": one.seen, "proposed": one.proposed}
            for key, one in propose_bounds(
                present.settings, runs, tmp_bytes=recording.tmp_bytes_max
            ).items()
        },
        "seen": {
            "files": sorted(recording.files),
            "syscalls": sorted(recording.calls),
            "tasks": recording.tasks_max,
            "untraced": recording.untraced,
        },
        "not_recorded": recording.overflow,
    }


def _less(grant: Grant, wanted: Sequence[Grant]) -> list[str]:
    """What would have been enough in the place of a wider grant; empty where it is just right."""
    within = [one for one in wanted if covered([grant], one)]
    return [] if grant in within else [granting.written(one) for one in within]


def _was_used(grant: Grant, recording: Recording) -> bool:
    """A secret is a variable: whether it is read, nobody sees."""
    return grant.kind is GrantKind.SECRETS or grant in recording.used
