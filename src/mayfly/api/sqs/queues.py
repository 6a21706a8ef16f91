"""Operations on queues: made, found, set, tagged and removed.

They are the owner's, but for a queue's URL and attributes, which whoever may send or receive may
read. A policy is kept and shown, and decides nothing: what a key may do, its grants say.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from mayfly.api.sqs import requests
from mayfly.api.sqs.attributes import (
    apply_attributes,
    need_counts,
    require_names,
    write_attributes,
    written_settings,
)
from mayfly.api.sqs.call import Call
from mayfly.api.sqs.refusals import (
    InvalidAttributeValue,
    MissingParameter,
    QueueNameInvalid,
    UnsupportedOperation,
    invalid_value,
    require_between,
)
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import ACCOUNT_ID
from mayfly.model.limits import TAGS_MAX
from mayfly.stores.queues.queue import FIFO_SUFFIX, Queue, QueueExists, QueueSettings
from mayfly.stores.queues.store import QueueStore

_PAGE_MAX = 1_000
_ACTIONS_MAX = 7
_ACTIONS = {
    *("*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"),
    *("GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue"),
}

Document = dict[str, object]


class QueueOperations:
    """Operations on queues."""

    def __init__(self, store: QueueStore) -> None:
        self._store = store
        self._catalogue = store.catalogue

    async def create(self, call: Call, wanted: requests.CreateQueue) -> Document:
        """CreateQueue: the same one again is no error."""
        name = wanted.queue_name or ""
        call.is_owner(name or "-")
        if not name:
            raise MissingParameter("QueueName")
        QueueNameInvalid.require(name)
        given = wanted.attributes or {}
        fifo = given.get("FifoQueue", "false") == "true"
        if fifo != name.endswith(FIFO_SUFFIX):
            reason = "The name of a FIFO queue can only include alphanumeric characters, hyphens, "
            raise invalid_value(
                name, "QueueName", reason + "or underscores, must end with .fifo suffix."
            )
        if given.get("FifoQueue") == "false":
            raise InvalidAttributeValue("FifoQueue")
        settings = apply_attributes(name, QueueSettings(fifo=fifo), given, self._catalogue.find)
        tags = _checked_tags(wanted.tags or {})
        existing = self._catalogue.find(name)
        if existing is None:
            try:
                await self._store.create(name, settings, tags)
            except QueueExists:
                existing = self._catalogue.queue(name)
        if existing is not None:
            _require_same(existing, settings, set(given))
        return {"QueueUrl": call.url(name)}

    async def get_url(self, call: Call, wanted: requests.GetQueueUrl) -> Document:
        """GetQueueUrl."""
        if not wanted.queue_name:
            raise MissingParameter("QueueName")
        name = call.may_know(wanted.queue_name)
        self._catalogue.queue(name)
        return {"QueueUrl": call.url(name)}

    async def list_queues(self, call: Call, wanted: requests.ListQueues) -> Document:
        """ListQueues."""
        call.is_owner("-")
        limit = wanted.max_results
        after = _read_token(wanted.next_token)
        count_max = _PAGE_MAX if limit is None else limit
        require_between(count_max, "MaxResults", 1, _PAGE_MAX)
        prefix = wanted.queue_name_prefix or ""
        page = self._catalogue.page(prefix, after=after, count_max=count_max + 1)
        return _page(call, page, "QueueUrls", count_max, paged=limit is not None)

    async def list_sources(
        self, call: Call, wanted: requests.ListDeadLetterSourceQueues
    ) -> Document:
        """ListDeadLetterSourceQueues."""
        name = call.is_owner(wanted.queue_url)
        self._catalogue.queue(name)
        limit = wanted.max_results
        count_max = _PAGE_MAX if limit is None else limit
        require_between(count_max, "MaxResults", 1, _PAGE_MAX)
        after = _read_token(wanted.next_token)
        found = [one for one in self._catalogue.sources_of(name) if one.name > after]
        page = found[: count_max + 1]
        document = _page(call, page, "queueUrls", count_max, paged=limit is not None)
        return {"queueUrls": [], **document}

    async def delete(self, call: Call, wanted: requests.QueueMembers) -> None:
        """DeleteQueue."""
        await self._store.delete_queue(call.is_owner(wanted.queue_url))

    async def purge(self, call: Call, wanted: requests.QueueMembers) -> None:
        """PurgeQueue: done when it is answered, so one is never in progress."""
        await self._catalogue.purge(call.is_owner(wanted.queue_url))

    async def get_attributes(self, call: Call, wanted: requests.GetQueueAttributes) -> Document:
        """GetQueueAttributes."""
        name = call.may_know(wanted.queue_url)
        self._catalogue.queue(name)
        asked = require_names(wanted.attribute_names or ())
        counts = await self._store.counts(name) if need_counts(asked) else None
        written = write_attributes(self._catalogue.queue(name), counts, asked)
        return {"Attributes": written} if written else {}

    async def set_attributes(self, call: Call, wanted: requests.SetQueueAttributes) -> None:
        """SetQueueAttributes."""
        name, given = call.is_owner(wanted.queue_url), wanted.attributes
        if not given:
            raise MissingParameter("Attributes")
        find = self._catalogue.find

        def change(queue: Queue) -> Queue:
            return replace(queue, settings=apply_attributes(name, queue.settings, given, find))

        await self._catalogue.change(name, change)

    async def tag(self, call: Call, wanted: requests.TagQueue) -> None:
        """TagQueue."""
        name, tags = call.is_owner(wanted.queue_url), wanted.tags
        if not tags:
            raise MissingParameter("Tags")

        def change(queue: Queue) -> Queue:
            return replace(queue, tags=_checked_tags({**queue.tags, **tags}))

        await self._catalogue.change(name, change)

    async def untag(self, call: Call, wanted: requests.UntagQueue) -> None:
        """UntagQueue."""
        name, keys = call.is_owner(wanted.queue_url), set(wanted.tag_keys or ())
        if not keys:
            raise MissingParameter("TagKeys")

        def change(queue: Queue) -> Queue:
            kept = {key: value for key, value in queue.tags.items() if key not in keys}
            return replace(queue, tags=kept)

        await self._catalogue.change(name, change)

    async def list_tags(self, call: Call, wanted: requests.QueueMembers) -> Document:
        """ListQueueTags."""
        tags = self._catalogue.queue(call.is_owner(wanted.queue_url)).tags
        return {"Tags": dict(tags)} if tags else {}

    async def add_permission(self, call: Call, wanted: requests.AddPermission) -> None:
        """AddPermission: kept in the queue's policy; what a key may do, its grants say."""
        name = call.is_owner(wanted.queue_url)
        label, accounts, actions = wanted.label, wanted.aws_account_ids, wanted.actions
        for member, value in (("Label", label), ("AWSAccountIds", accounts), ("Actions", actions)):
            if not value:
                raise MissingParameter(member)
        wrong = [one for one in actions or () if one not in _ACTIONS]
        if wrong or len(actions or ()) > _ACTIONS_MAX:
            raise invalid_value(
                "|".join(wrong),
                "ActionName",
                "Please refer to the appropriate WSDL for a list of valid actions.",
            )
        statement = {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{one}:root" for one in accounts or ()]},
            "Action": [f"SQS:{one}" for one in actions or ()],
        }

        def change(queue: Queue) -> Queue:
            statements = _statements(queue)
            if any(one.get("Sid") == label for one in statements):
                raise InvalidParameter(
                    f"Value {label} for parameter Label is invalid. Reason: Already exists."
                )
            return _with_statements(queue, [*statements, {**statement, "Resource": queue.arn}])

        await self._catalogue.change(name, change)

    async def remove_permission(self, call: Call, wanted: requests.RemovePermission) -> None:
        """RemovePermission."""
        name, label = call.is_owner(wanted.queue_url), wanted.label
        if not label:
            raise MissingParameter("Label")

        def change(queue: Queue) -> Queue:
            statements = _statements(queue)
            kept = [one for one in statements if one.get("Sid") != label]
            if len(kept) == len(statements):
                raise invalid_value(label, "Label", "can't find label.")
            return _with_statements(queue, kept)

        await self._catalogue.change(name, change)


def _require_same(queue: Queue, settings: QueueSettings, given: set[str]) -> None:
    """Refuse a queue that is there with other values than those that are given."""
    have, want = written_settings(queue.settings), written_settings(settings)
    for name in sorted(given):
        if have.get(name) != want.get(name):
            raise QueueExists(
                "A queue already exists with the same name and a different value for attribute "
                f"{name}"
            )


def _checked_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise InvalidParameter(f"Too many tags added for queue. Max tags allowed: {TAGS_MAX}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidParameter(
                "Tag keys must be between 1 and 128 characters in length, values up to 256."
            )
    return tags


def _page(
    call: Call, queues: Sequence[Queue], member: str, count_max: int, *, paged: bool
) -> Document:
    """A page's URLs; without MaxResults there is no next page, as AWS has it."""
    document: Document = {}
    if queues:
        document[member] = [call.url(one.name) for one in queues[:count_max]]
    if paged and len(queues) > count_max:
        document["NextToken"] = b64encode(queues[count_max - 1].name.encode()).decode()
    return document


def _read_token(token: str | None) -> str:
    try:
        return b64decode(token or "", validate=True).decode()
    except (Base64Error, ValueError) as error:
        raise invalid_value(token, "NextToken", "Invalid or expired next token.") from error


Statement = dict[str, object]


def _statements(queue: Queue) -> list[Statement]:
    if not queue.settings.policy:
        return []
    held = msgspec.json.decode(queue.settings.policy, type=dict[str, object])
    statements = held.get("Statement", [])
    if not isinstance(statements, list):
        raise UnsupportedOperation("The queue's policy has one statement that is not in a list.")
    return [one for one in statements if isinstance(one, dict)]


def _with_statements(queue: Queue, statements: Sequence[Statement]) -> Queue:
    document = {"Version": "2012-10-17", "Id": f"{queue.arn}/{ACCOUNT_ID}", "Statement": statements}
    policy = msgspec.json.encode(document).decode() if statements else ""
    return replace(queue, settings=replace(queue.settings, policy=policy))
