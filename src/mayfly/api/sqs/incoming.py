"""A message that is received, as its receiver asked to see it.

Both lists of system attributes count, the old and the new one. Of the message's own attributes a
receiver names some, all ("All" or ".*"), or those with a prefix ("foo.*"); their MD5 is of what is
given.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping

from mayfly.api.sqs.refusals import InvalidAttributeName
from mayfly.api.sqs.requests import ReceiveMessage
from mayfly.stores.queues.digests import attributes_md5, body_md5
from mayfly.stores.queues.queue import Attribute, Message

Document = dict[str, object]
_SYSTEM = frozenset(
    {
        *("SenderId", "SentTimestamp", "ApproximateReceiveCount", "SequenceNumber"),
        *("ApproximateFirstReceiveTimestamp", "MessageDeduplicationId", "MessageGroupId"),
        *("AWSTraceHeader", "DeadLetterQueueSourceArn"),
    }
)
# A queue's attributes were allowed here once, and some tools still name them.
_QUEUES_OWN = frozenset({"Policy", "VisibilityTimeout", "QueueArn", "RedrivePolicy"})


class View:
    """What a receive asks to see of each message."""

    def __init__(self, wanted: ReceiveMessage) -> None:
        """Raises InvalidAttributeName: a system attribute that there is not."""
        self._system = _system_names(
            (*(wanted.attribute_names or ()), *(wanted.message_system_attribute_names or ()))
        )
        names = wanted.message_attribute_names or ()
        self._all = any(one in {"All", ".*"} for one in names)
        self._prefixes = tuple(one.removesuffix("*") for one in names if one.endswith(".*"))
        self._names = frozenset(names)

    def show(self, message: Message, *, fifo: bool) -> Document:
        """The message as the answer has it."""
        document: Document = {
            "MessageId": message.message_id,
            "ReceiptHandle": message.receipt,
            "MD5OfBody": body_md5(message.body),
            "Body": message.body,
        }
        if self._system:
            document["Attributes"] = self._system_attributes(message, fifo=fifo)
        shown = self._shown(message.attributes) if message.attributes else {}
        if shown:
            document["MD5OfMessageAttributes"] = attributes_md5(shown)
            document["MessageAttributes"] = {name: _value(one) for name, one in shown.items()}
        return document

    def _system_attributes(self, message: Message, *, fifo: bool) -> dict[str, str]:
        every = {
            "SenderId": message.sender,
            "SentTimestamp": str(message.sent_ms),
            "ApproximateReceiveCount": str(message.receive_count),
            "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
            "SequenceNumber": written_sequence(message.sequence) if fifo else "",
            "MessageDeduplicationId": message.deduplication_id,
            "MessageGroupId": message.group_id,
            "AWSTraceHeader": message.trace_header,
            "DeadLetterQueueSourceArn": message.dead_letter_source,
        }
        return {name: text for name, text in every.items() if text and name in self._system}

    def _shown(self, attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
        return {
            name: one
            for name, one in attributes.items()
            if self._all or name in self._names or name.startswith(self._prefixes or "\0")
        }


def written_sequence(sequence: int) -> str:
    """A sequence number as SQS writes it: 20 digits, so that text compares as numbers do."""
    return f"{sequence:020d}"


def _system_names(names: Iterable[str]) -> frozenset[str]:
    asked = frozenset(names)
    if "All" in asked:
        return _SYSTEM
    for name in sorted(asked - _SYSTEM - _QUEUES_OWN):
        raise InvalidAttributeName(name)
    return asked & _SYSTEM


def _value(attribute: Attribute) -> dict[str, str]:
    if attribute.binary is None:
        return {"StringValue": attribute.text, "DataType": attribute.data_type}
    binary = b64encode(attribute.binary).decode()
    return {"BinaryValue": binary, "DataType": attribute.data_type}
