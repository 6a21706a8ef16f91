"""The control API's asynchronous events: what waits, what failed, and running it again.

GET    v1/events          newest first: ?function= &state= &source= &since_ms= &until_ms= &limit=
GET    v1/events/{id}     one, with its payload
DELETE v1/events/{id}     forget one
POST   v1/events/replay   run some again now       {"ids"} or {"all": true, "function", "source"}
POST   v1/events/remove   forget some              the same
POST   v1/events/redrive  a queue's dead letters back to their function   {"queue", "function"}

"all" means all failed ones. An event that is being delivered is left alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

import msgspec

from mayfly.api.control.redrive import redrive
from mayfly.api.control.routes import Call, Routes
from mayfly.api.exchange import query_number
from mayfly.api.message import Response
from mayfly.model.errors import Conflict, InvalidParameter, NotFound
from mayfly.model.event import Event, EventFilter, EventState
from mayfly.stores.queues.store import QueueStore

LIMIT_DEFAULT, LIMIT_MAX = 100, 10_000
_IDS_MAX = 1_000
T = TypeVar("T")
_IDLE = frozenset({EventState.WAITING, EventState.FAILED})
_FAILED = frozenset({EventState.FAILED})


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """Which events a change is about: some by id, or all failed ones, perhaps of one function."""

    ids: Annotated[list[str], msgspec.Meta(max_length=_IDS_MAX)] = msgspec.field(
        default_factory=list
    )
    all: bool = False
    function: str = ""
    source: str = ""


class Redrive(msgspec.Struct, forbid_unknown_fields=True):
    """From which queue to which function; "" is the one that a message itself tells of."""

    queue: str
    function: str = ""


class EventControl:
    """Routes over the backlog and the queues."""

    def __init__(self, queues: QueueStore) -> None:
        self._queues = queues

    @property
    def routes(self) -> Routes:
        """For the control API."""
        return {
            ("events", False): {"GET": self._list},
            ("events", True): {"GET": self._show, "DELETE": self._delete, "POST": self._act},
        }

    async def _list(self, call: Call) -> None:
        query = call.query
        count_max = min(int(query_number(query, "limit", LIMIT_DEFAULT)), LIMIT_MAX)
        wanted = EventFilter(
            function_name=query.get("function", ""),
            states=_states(query.get("state", "")),
            source=query.get("source", ""),
            since_ms=int(query_number(query, "since_ms", 0)),
            until_ms=int(query_number(query, "until_ms", 0)),
        )
        backlog = call.platform.backlog
        found = await backlog.find(wanted, count_max=count_max)
        counts = await backlog.counts()
        await call.reply({"events": [_form(one) for one in found], "counts": counts})

    async def _show(self, call: Call) -> None:
        event = await call.platform.backlog.event(call.name)
        if event is None:
            raise _not_kept(call.name)
        await call.reply(_whole_form(event))

    async def _delete(self, call: Call) -> None:
        backlog = call.platform.backlog
        if not await backlog.remove(EventFilter(event_ids=(call.name,))):
            if await backlog.event(call.name) is None:
                raise _not_kept(call.name)
            raise Conflict(f'event "{call.name[:80]}" is being delivered; remove it afterwards')
        await call.exchange.reply(Response(204))

    async def _act(self, call: Call) -> None:
        act = {"replay": self._replay, "remove": self._remove, "redrive": self._redrive}.get(
            call.name
        )
        if act is None:
            raise NotFound(f'events can be asked to replay, remove or redrive, not "{call.name}"')
        await act(call)

    async def _replay(self, call: Call) -> None:
        backlog, now_ms = call.platform.backlog, int(call.platform.clock.now_ms())
        await _change(call, "replayed", lambda wanted: backlog.replay(wanted, now_ms=now_ms))

    async def _remove(self, call: Call) -> None:
        await _change(call, "removed", call.platform.backlog.remove)

    async def _redrive(self, call: Call) -> None:
        request = _read(call.body, Redrive)
        moved = await redrive(
            call.platform, self._queues, queue=request.queue, function_name=request.function
        )
        await call.reply({"moved": moved.moved, "left": moved.left, "why": moved.why})


async def _change(call: Call, word: str, change: Callable[[EventFilter], Awaitable[int]]) -> None:
    """Change the events that the body chooses, and say which of those named were not there."""
    choice = _read(call.body, Choice)
    if bool(choice.ids) == choice.all:
        raise InvalidParameter('give "ids", or "all": true for every failed event')
    if choice.all:
        wanted = EventFilter(function_name=choice.function, source=choice.source, states=_FAILED)
        await call.reply({word: await change(wanted), "missing": []})
        return
    wanted = EventFilter(event_ids=tuple(choice.ids), states=_IDLE)
    found = await call.platform.backlog.find(wanted, count_max=_IDS_MAX)
    there = {event.event_id for event in found}
    missing = [one for one in dict.fromkeys(choice.ids) if one not in there]
    await call.reply({word: await change(wanted), "missing": missing})


def _states(written: str) -> frozenset[EventState]:
    """States that are separated by commas; "" and "all" are every state."""
    if written in ("", "all"):
        return frozenset()
    try:
        return frozenset(EventState(one) for one in written.split(","))
    except ValueError:
        raise InvalidParameter(
            f'state must be of {", ".join(EventState)} or all, got "{written[:40]}"'
        ) from None


def _form(event: Event) -> dict[str, object]:
    """An event in a list."""
    return {
        "id": event.event_id,
        "function": event.function_name,
        "qualifier": event.qualifier,
        "state": event.state.value,
        "source": event.source,
        "attempts": event.attempts,
        "accepted_ms": event.accepted_ms,
        "due_ms": event.due_ms,
        "failed_ms": event.failed_ms,
        "replayed_ms": event.replayed_ms,
        "condition": event.condition,
        "error": event.error,
    }


def _whole_form(event: Event) -> Mapping[str, object]:
    """All of an event; its payload is JSON text, checked when it was accepted."""
    return {
        **_form(event),
        "trace_id": event.trace_id,
        "client_context": event.client_context,
        "payload": event.payload.decode("utf-8", "replace"),
        "payload_bytes": len(event.payload),
    }


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameter(f"the request cannot be used: {error}") from error


def _not_kept(event_id: str) -> NotFound:
    return NotFound(
        f'no event "{event_id[:80]}" is kept: it was answered, removed, or never accepted; '
        "`mayfly events ls` lists them"
    )
