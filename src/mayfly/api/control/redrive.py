"""Dead letters back to their function: from a queue into the backlog, one transaction each way.

A message is deleted when its event is durable, and its id becomes the event's: what a crash leaves
between the two is met again, and is one event for as long as that waits. A dead letter is the bare
event; a destination's record holds the event as `requestPayload` and names the function.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated

import msgspec

from mayfly.api.platform import Platform
from mayfly.model import limits
from mayfly.model.errors import Conflict, NotFound
from mayfly.model.event import Event
from mayfly.model.function import LATEST
from mayfly.stores.queues.queue import Message
from mayfly.stores.queues.store import QueueStore

_BATCH = 10
_HIDDEN_S = 60


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of a queue's messages.

    Args:
        left: How many stay in the queue, as nothing can be called with them.
        why: Why the first of those stays, or "".
    """

    moved: int
    left: int
    why: str


class _Context(msgspec.Struct):
    functionArn: Annotated[str, msgspec.Meta(pattern="^arn:aws:lambda:")]  # noqa: N815  AWS's name


class _Record(msgspec.Struct):
    """As much of a destination's record as is of use here."""

    requestContext: _Context  # noqa: N815  AWS's name
    requestPayload: msgspec.Raw  # noqa: N815  AWS's name


class Unusable(Exception):
    """No event can be made of a message."""


async def redrive(
    platform: Platform, queues: QueueStore, *, queue: str, function_name: str
) -> Redriven:
    """Move what is in the queue now into the backlog.

    Args:
        queue: Its name or ARN.
        function_name: For messages that name none; "" is none.

    Raises:
        NotFound: There is no such queue or function.
        StorageFailed: What was not moved is in the queue still.
    """
    if function_name and platform.registry.function_nowait(function_name) is None:
        raise NotFound(f'no function has the name "{function_name[:80]}"; `mayfly ls` lists them')
    # What fails again meanwhile comes back into the queue: it is not met a second time.
    wanted = (await queues.counts(queue)).visible
    moved, why = 0, ""
    left: list[str] = []
    while moved + len(left) < wanted:
        messages = await queues.receive(
            queue, count_max=min(_BATCH, wanted - moved - len(left)), visibility_s=_HIDDEN_S
        )
        if not messages:
            break
        done: list[str] = []
        for message in messages:
            try:
                await _accept(platform, event_of(message, function_name, platform))
            except Unusable as error:
                left.append(message.receipt)
                why = why or f"message {message.message_id}: {error}"
            else:
                done.append(message.receipt)
        await queues.delete(queue, done)
        moved += len(done)
    await queues.change_visibility(queue, [(receipt, 0) for receipt in left])
    return Redriven(moved, len(left), why)


def event_of(message: Message, function_name: str, platform: Platform) -> Event:
    """The event that a message stands for.

    Raises:
        Unusable: It is no JSON, too long, or nobody says which function it is for.
    """
    name, qualifier, payload = function_name, LATEST, message.body.encode()
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Unusable("its body is no JSON document") from None
    with contextlib.suppress(msgspec.ValidationError):
        record = msgspec.json.decode(payload, type=_Record)
        payload = bytes(record.requestPayload)
        if not name:
            name, _, told = record.requestContext.functionArn.split(":", 6)[-1].partition(":")
            qualifier = told or LATEST
    if not name:
        raise Unusable("it names no function; say which one is to be called")
    if len(payload) > limits.ASYNC_PAYLOAD_BYTES_MAX:
        raise Unusable(f"it has {len(payload)} bytes, over {limits.ASYNC_PAYLOAD_BYTES_MAX}")
    now_ms = int(platform.clock.now_ms())
    return Event(
        event_id=message.message_id,
        function_name=name,
        qualifier=qualifier,
        payload=payload,
        accepted_ms=now_ms,
        due_ms=now_ms,
        source="redrive",
        trace_id=message.trace_header,
    )


async def _accept(platform: Platform, event: Event) -> None:
    # A conflict: an earlier redrive ended between the two transactions, and the event is kept.
    with contextlib.suppress(Conflict):
        await platform.engine.accept(event)
