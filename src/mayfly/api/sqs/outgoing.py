"""A message that is sent: whether SQS carries it, how large it is, and the draft of it.

Source: API Reference, SendMessage; Developer Guide, "Amazon SQS message metadata" and "quotas".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from mayfly.api.sqs.refusals import (
    InvalidMessageContents,
    MissingParameter,
    invalid_value,
    require_between,
)
from mayfly.api.sqs.requests import AttributeValue, OutgoingMessage
from mayfly.model.errors import InvalidParameter
from mayfly.stores.queues.queue import Attribute, Draft, QueueSettings

_ATTRIBUTES_MAX = 10
_NAME_LENGTH_MAX = 256
_TRACE_HEADER = "AWSTraceHeader"
_FORBIDDEN = re.compile("[^\\x09\\x0a\\x0d\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!(?i:aws\.|amazon\.))[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,128}")
_NOT_FOR_THIS_KIND = "The request include parameter that is not valid for this queue type"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that may be sent, and what its sender is told of it.

    Args:
        system: The system attributes that were sent.
        size: In bytes, attributes included.
    """

    draft: Draft
    system: Mapping[str, Attribute]
    size: int


def read_outgoing(
    wanted: OutgoingMessage, settings: QueueSettings, *, message_id: str, sender: str
) -> Outgoing:
    """Check and measure what a sender wants to send.

    Raises:
        CallerError: SQS refuses it.
    """
    body = wanted.message_body
    if not body:
        raise MissingParameter("MessageBody")
    _require_characters(body)
    attributes = _attributes(wanted.message_attributes) if wanted.message_attributes else {}
    system = _system_attributes(wanted.message_system_attributes)
    draft = Draft(
        message_id=message_id,
        body=body,
        attributes=attributes,
        delay_s=_delay(wanted.delay_seconds, settings),
        group_id=_group(wanted.message_group_id, settings),
        deduplication_id=_deduplication(wanted.message_deduplication_id, settings, body),
        sender=sender,
        trace_header=system[_TRACE_HEADER].text if system else "",
    )
    size = (len(body) if body.isascii() else len(body.encode())) + _size(attributes)
    if size > settings.message_bytes_max:
        raise InvalidParameter(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{settings.message_bytes_max} bytes."
        )
    return Outgoing(draft, system, size)


def _require_characters(body: str) -> None:
    # Printable ASCII holds nothing that is forbidden, and is looked through much faster.
    if body.isascii() and body.isprintable():
        return
    found = _FORBIDDEN.search(body)
    if found:
        raise InvalidMessageContents(found.group())


def _attributes(values: Mapping[str, AttributeValue]) -> dict[str, Attribute]:
    if len(values) > _ATTRIBUTES_MAX:
        raise InvalidParameter(
            f"Number of message attributes [{len(values)}] exceeds the allowed maximum "
            f"[{_ATTRIBUTES_MAX}]."
        )
    for name in values:
        if len(name) > _NAME_LENGTH_MAX or not _NAME.fullmatch(name):
            raise InvalidParameter(
                f"The message attribute name '{name[:80]}' is invalid. It can contain A-Z, a-z, "
                "0-9, underscore, hyphen and single periods within, and must not begin with AWS. "
                "or Amazon."
            )
    return {name: _attribute(name, value) for name, value in values.items()}


def _attribute(name: str, value: AttributeValue) -> Attribute:
    found = _TYPE.fullmatch(value.data_type)
    if found is None or len(value.data_type) > _NAME_LENGTH_MAX:
        raise InvalidParameter(
            f"The message attribute '{name}' has an invalid message attribute type, the set of "
            "supported type prefixes is Binary, Number, and String."
        )
    if value.string_list_values or value.binary_list_values:
        raise InvalidParameter("Message attribute list values in SendMessage are not supported.")
    if found.group(1) == "Binary":
        if not value.binary_value:
            raise _empty(name, value.data_type)
        return Attribute(value.data_type, binary=value.binary_value)
    text = value.string_value
    if not text:
        raise _empty(name, value.data_type)
    _require_characters(text)
    if found.group(1) == "Number" and not _NUMBER.fullmatch(text):
        raise InvalidParameter(
            f"Can't cast the value of message (user) attribute '{name}' to a number."
        )
    return Attribute(value.data_type, text)


def _empty(name: str, data_type: str) -> InvalidParameter:
    return InvalidParameter(
        f"The message attribute '{name}' must contain a non-empty value of type '{data_type}'."
    )


def _system_attributes(values: Mapping[str, AttributeValue] | None) -> dict[str, Attribute]:
    for name, value in (values or {}).items():
        if name != _TRACE_HEADER:
            raise InvalidParameter(
                f"Message system attribute name '{name[:80]}' is invalid: only {_TRACE_HEADER}."
            )
        if value.data_type != "String" or not value.string_value:
            raise InvalidParameter(f"The system attribute {_TRACE_HEADER} must be of type String.")
        return {name: Attribute("String", value.string_value)}
    return {}


def _delay(delay_s: int | None, settings: QueueSettings) -> int | None:
    if delay_s is None:
        return None
    require_between(delay_s, "DelaySeconds", 0, 900)
    if settings.fifo:
        if delay_s:
            raise invalid_value(delay_s, "DelaySeconds", _NOT_FOR_THIS_KIND)
        return None
    return delay_s


def _group(group_id: str | None, settings: QueueSettings) -> str:
    if group_id is None:
        if settings.fifo:
            raise MissingParameter("MessageGroupId")
        return ""
    _require_token(group_id, "MessageGroupId")
    return group_id


def _deduplication(deduplication_id: str | None, settings: QueueSettings, body: str) -> str:
    if deduplication_id is not None:
        if not settings.fifo:
            raise invalid_value(deduplication_id, "MessageDeduplicationId", _NOT_FOR_THIS_KIND)
        _require_token(deduplication_id, "MessageDeduplicationId")
        return deduplication_id
    if not settings.fifo:
        return ""
    if not settings.content_deduplication:
        raise InvalidParameter(
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )
    return sha256(body.encode()).hexdigest()


def _require_token(token: str, name: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise invalid_value(
            token,
            name,
            f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        )


def _size(attributes: Mapping[str, Attribute]) -> int:
    """Names, types and values count as well."""
    return sum(
        len(name.encode())
        + len(one.data_type.encode())
        + len(one.text.encode() if one.binary is None else one.binary)
        for name, one in attributes.items()
    )
