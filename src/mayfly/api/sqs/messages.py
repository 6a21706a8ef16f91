"""Operations on messages: sent, received, deleted and hidden, alone or in batches of ten.

Each asks first whether its caller may, then checks what is asked for, then calls the store once:
a batch is one transaction. A long poll looks once before it waits, so that a busy queue costs no
task.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from mayfly.api.sqs import requests
from mayfly.api.sqs.batches import ENTRIES_MAX, Document, judged, outcome, read_entries
from mayfly.api.sqs.call import Call
from mayfly.api.sqs.incoming import View, written_sequence
from mayfly.api.sqs.outgoing import Outgoing, read_outgoing
from mayfly.api.sqs.refusals import (
    BatchTooLong,
    MessageNotInflight,
    MissingParameter,
    ReceiptHandleIsInvalid,
    invalid_value,
    require_between,
)
from mayfly.model.errors import MayflyError
from mayfly.ports import Ids
from mayfly.stores.queues.digests import attributes_md5, body_md5
from mayfly.stores.queues.queue import BODY_BYTES_MAX, VISIBILITY_S_MAX, Fate, Message, Sent
from mayfly.stores.queues.store import QueueStore

_WAIT_S_MAX = 20
_ATTEMPT_ID = re.compile(r"[\x21-\x7e]{1,128}")


class MessageOperations:
    """Operations on messages."""

    def __init__(self, store: QueueStore, ids: Ids) -> None:
        self._store = store
        self._ids = ids

    async def send(self, call: Call, wanted: requests.SendMessage) -> Document:
        """SendMessage."""
        queue = self._store.catalogue.queue(call.may_send(wanted.queue_url))
        one = read_outgoing(wanted, queue.settings, message_id=self._ids.uuid(), sender=call.sender)
        (sent,) = await self._store.send(queue.name, [one.draft])
        return _sent(one, sent, fifo=queue.settings.fifo)

    async def send_batch(self, call: Call, wanted: requests.SendMessageBatch) -> Document:
        """SendMessageBatch: what is wrong with one entry is that entry's failure."""
        queue = self._store.catalogue.queue(call.may_send(wanted.queue_url))
        fifo = queue.settings.fifo

        def read(entry: requests.OutgoingEntry) -> Outgoing:
            message_id = self._ids.uuid()
            return read_outgoing(entry, queue.settings, message_id=message_id, sender=call.sender)

        accepted, failed = read_entries(call.operation, wanted.entries, read)
        size = sum(one.size for _, one in accepted)
        if size > BODY_BYTES_MAX:
            raise BatchTooLong(size, BODY_BYTES_MAX)
        drafts = [one.draft for _, one in accepted]
        sent = await self._store.send(queue.name, drafts) if drafts else []
        successful = [
            {"Id": entry_id, **_sent(one, kept, fifo=fifo)}
            for (entry_id, one), kept in zip(accepted, sent, strict=True)
        ]
        return outcome(successful, failed)

    async def receive(self, call: Call, wanted: requests.ReceiveMessage) -> Document:
        """ReceiveMessage."""
        queue = self._store.catalogue.queue(call.may_receive(wanted.queue_url))
        view, fifo = View(wanted), queue.settings.fifo
        count_max = 1 if wanted.max_number_of_messages is None else wanted.max_number_of_messages
        require_between(count_max, "MaxNumberOfMessages", 1, ENTRIES_MAX)
        wait_s, hidden_s = wanted.wait_time_seconds, wanted.visibility_timeout
        if wait_s is None:
            wait_s = queue.settings.wait_s
        require_between(wait_s, "WaitTimeSeconds", 0, _WAIT_S_MAX)
        if hidden_s is not None:
            require_between(hidden_s, "VisibilityTimeout", 0, VISIBILITY_S_MAX)
        attempt_id = wanted.receive_request_attempt_id or ""
        if attempt_id and not _ATTEMPT_ID.fullmatch(attempt_id):
            raise invalid_value(
                attempt_id,
                "ReceiveRequestAttemptId",
                "It can only include alphanumeric and punctuation characters. 1 to 128 in length",
            )

        async def take(seconds: int) -> Sequence[Message]:
            return await self._store.receive(
                queue.name,
                count_max=count_max,
                visibility_s=hidden_s,
                wait_s=seconds,
                attempt_id=attempt_id,
            )

        messages = await take(0)
        if not messages and wait_s:
            messages = await _Poll(call, take, wait_s).run()
        if not messages:
            return {}
        return {"Messages": [view.show(one, fifo=fifo) for one in messages]}

    async def delete(self, call: Call, wanted: requests.DeleteMessage) -> None:
        """DeleteMessage."""
        queue = self._store.catalogue.queue(call.may_receive(wanted.queue_url))
        handle = _handle(wanted.receipt_handle)
        (fate,) = await self._store.delete(queue.name, [handle])
        _require_deleted(fate, handle, fifo=queue.settings.fifo)

    async def delete_batch(self, call: Call, wanted: requests.DeleteMessageBatch) -> Document:
        """DeleteMessageBatch."""
        queue = self._store.catalogue.queue(call.may_receive(wanted.queue_url))
        fifo = queue.settings.fifo
        accepted, failed = read_entries(
            call.operation, wanted.entries, lambda one: _handle(one.receipt_handle)
        )
        fates = await self._store.delete(queue.name, [handle for _, handle in accepted])
        return judged(
            accepted, fates, failed, lambda fate, one: _require_deleted(fate, one, fifo=fifo)
        )

    async def change(self, call: Call, wanted: requests.ChangeMessageVisibility) -> None:
        """ChangeMessageVisibility."""
        queue = self._store.catalogue.queue(call.may_receive(wanted.queue_url))
        change = _change(wanted.receipt_handle, wanted.visibility_timeout)
        (fate,) = await self._store.change_visibility(queue.name, [change])
        _require_changed(fate, change)

    async def change_batch(
        self, call: Call, wanted: requests.ChangeMessageVisibilityBatch
    ) -> Document:
        """ChangeMessageVisibilityBatch."""
        queue = self._store.catalogue.queue(call.may_receive(wanted.queue_url))
        accepted, failed = read_entries(
            call.operation,
            wanted.entries,
            lambda one: _change(one.receipt_handle, one.visibility_timeout),
        )
        changes = [change for _, change in accepted]
        fates = await self._store.change_visibility(queue.name, changes)
        return judged(accepted, fates, failed, _require_changed)


class _Poll:
    """A long poll that ends when its caller goes away: nothing is taken for nobody."""

    def __init__(
        self, call: Call, take: Callable[[int], Awaitable[Sequence[Message]]], wait_s: int
    ) -> None:
        self._call = call
        self._take = take
        self._wait_s = wait_s
        self._messages: Sequence[Message] = ()

    async def run(self) -> Sequence[Message]:
        """What came; nothing when time was up or the caller is gone."""
        try:
            async with asyncio.TaskGroup() as group:
                polling = group.create_task(self._poll())
                watching = group.create_task(self._watch(polling))
                polling.add_done_callback(lambda _: watching.cancel())
        except* MayflyError as failed:
            raise failed.exceptions[0] from None
        return self._messages

    async def _poll(self) -> None:
        self._messages = await self._take(self._wait_s)

    async def _watch(self, polling: asyncio.Task[None]) -> None:
        if self._call.disconnected is not None:
            await self._call.disconnected()
            polling.cancel()


def _sent(one: Outgoing, sent: Sent, *, fifo: bool) -> Document:
    document: Document = {
        "MessageId": sent.message_id,
        "MD5OfMessageBody": body_md5(one.draft.body),
    }
    if one.draft.attributes:
        document["MD5OfMessageAttributes"] = attributes_md5(one.draft.attributes)
    if one.system:
        document["MD5OfMessageSystemAttributes"] = attributes_md5(one.system)
    if fifo:
        document["SequenceNumber"] = written_sequence(sent.sequence)
    return document


def _handle(handle: str | None) -> str:
    if not handle:
        raise MissingParameter("ReceiptHandle")
    return handle


def _change(handle: str | None, visibility_s: int | None) -> tuple[str, int]:
    if visibility_s is None:
        raise MissingParameter("VisibilityTimeout")
    require_between(visibility_s, "VisibilityTimeout", 0, VISIBILITY_S_MAX)
    return _handle(handle), visibility_s


def _require_deleted(fate: Fate, handle: str, *, fifo: bool) -> None:
    """A standard queue's old receipt is no error: the message stays with its newer receiver."""
    if fate is Fate.INVALID:
        raise ReceiptHandleIsInvalid(handle)
    if fate is Fate.STALE and fifo:
        raise invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


def _require_changed(fate: Fate, change: tuple[str, int]) -> None:
    handle, visibility_s = change
    if fate is Fate.INVALID:
        raise ReceiptHandleIsInvalid(handle)
    if fate is Fate.VISIBLE:
        raise MessageNotInflight
    if fate is Fate.TOO_LONG:
        raise invalid_value(
            visibility_s,
            "VisibilityTimeout",
            f"Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_S_MAX} "
            "seconds]",
        )
    if fate is not Fate.DONE:
        raise invalid_value(
            handle,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.",
        )
