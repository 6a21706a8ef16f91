"""SQS's errors, and what they are called in its two protocols.

JSON names an error by its shape (`com.amazonaws.sqs#QueueDoesNotExist`) and repeats the query
protocol's code in the header x-amzn-query-error, which is what botocore shows as the code. Source:
API Reference of Amazon SQS, "Errors" of each action and "Common Error Types".
"""

from __future__ import annotations

import re
from typing import ClassVar

from mayfly.model.errors import CallerError, InvalidParameter, MayflyError

_PREFIX = "AWS.SimpleQueueService."
_PREFIXED = (
    "QueueDeletedRecently",
    "BatchEntryIdsNotDistinct",
    "BatchRequestTooLong",
    "EmptyBatchRequest",
    "InvalidBatchEntryId",
    "TooManyEntriesInBatchRequest",
    "PurgeQueueInProgress",
    "UnsupportedOperation",
    "MessageNotInflight",
)
_QUERY_CODES = {
    **{code: _PREFIX + code for code in _PREFIXED},
    "QueueDoesNotExist": _PREFIX + "NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
    "AccessDeniedException": "AccessDenied",
    "SerializationException": "MalformedInput",
    "UnknownOperationException": "InvalidAction",
    "ServiceException": "InternalFailure",
}
_MODELLED = {
    *_PREFIXED,
    *("QueueDoesNotExist", "QueueNameExists", "OverLimit", "ReceiptHandleIsInvalid"),
    *("InvalidAttributeName", "InvalidAttributeValue", "InvalidMessageContents"),
    *("InvalidIdFormat", "InvalidAddress", "ResourceNotFoundException"),
}


def query_code(error: MayflyError) -> str:
    """The error's code in the query protocol."""
    return _QUERY_CODES.get(error.code, error.code)


def json_type(error: MayflyError) -> str:
    """The error's `__type` in the JSON protocol."""
    space = "com.amazonaws.sqs" if error.code in _MODELLED else "com.amazon.coral.service"
    return f"{space}#{error.code}"


class MissingParameter(CallerError):
    """A member without which the operation cannot be done."""

    code = "MissingRequiredParameterException"

    def __init__(self, name: str) -> None:
        super().__init__(f"The request must contain the parameter {name}.")


class InvalidAttributeName(CallerError):
    """No attribute of queues."""

    code = "InvalidAttributeName"

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown Attribute {name[:80]}.")


class InvalidAttributeValue(CallerError):
    """A value that the attribute does not take."""

    code = "InvalidAttributeValue"

    def __init__(self, name: str, reason: str = "") -> None:
        why = f" Reason: {reason}" if reason else ""
        super().__init__(f"Invalid value for the parameter {name}.{why}")


class ReceiptHandleIsInvalid(CallerError):
    """No receipt handle of this queue."""

    code = "ReceiptHandleIsInvalid"
    status = 404

    def __init__(self, handle: str) -> None:
        super().__init__(f'The input receipt handle "{handle[:80]}" is not a valid receipt handle.')


class MessageNotInflight(CallerError):
    """A message whose visibility timeout has ended."""

    code = "MessageNotInflight"

    def __init__(self) -> None:
        super().__init__("The specified message is not in flight.")


class InvalidMessageContents(CallerError):
    """A body with characters that SQS does not carry."""

    code = "InvalidMessageContents"

    def __init__(self, character: str) -> None:
        super().__init__(
            f"Invalid binary character '#x{ord(character):X}' was found in the message body, the "
            "set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
            "#x10000 to #x10FFFF"
        )


class UnsupportedOperation(CallerError):
    """What this queue cannot do."""

    code = "UnsupportedOperation"


class BatchRefused(CallerError):
    """A batch that is refused as a whole; each kind has its code."""

    code = "EmptyBatchRequest"


class EmptyBatch(BatchRefused):
    """No entry."""

    def __init__(self, action: str) -> None:
        super().__init__(f"There should be at least one {action}RequestEntry in the request.")


class TooManyEntries(BatchRefused):
    """More than ten."""

    code = "TooManyEntriesInBatchRequest"

    def __init__(self, count: int) -> None:
        super().__init__(f"Maximum number of entries per request are 10. You have sent {count}.")


class EntryIdsNotDistinct(BatchRefused):
    """Two entries with one id."""

    code = "BatchEntryIdsNotDistinct"

    def __init__(self, entry_id: str) -> None:
        super().__init__(f"Id {entry_id} repeated.")


class InvalidEntryId(BatchRefused):
    """An id that is no id."""

    code = "InvalidBatchEntryId"

    def __init__(self) -> None:
        super().__init__(
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
            "It can be at most 80 letters long."
        )


class BatchTooLong(BatchRefused):
    """All messages together are over the bound."""

    code = "BatchRequestTooLong"

    def __init__(self, size: int, bytes_max: int) -> None:
        super().__init__(
            f"Batch requests cannot be longer than {bytes_max} bytes. You have sent {size} bytes."
        )


class QueueNameInvalid(InvalidParameter):
    """A name that no queue can have."""

    _form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")

    def __init__(self) -> None:
        super().__init__(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )

    @classmethod
    def require(cls, name: str) -> None:
        """Refuse what no queue can be called. Raises QueueNameInvalid."""
        if not cls._form.fullmatch(name):
            raise cls


def invalid_value(value: object, name: str, reason: str) -> InvalidParameter:
    """A parameter's value that is refused, in SQS's words."""
    return InvalidParameter(
        f"Value {str(value)[:200]} for parameter {name} is invalid. Reason: {reason}"
    )


def require_between(value: int, name: str, low: int, high: int) -> None:
    """Refuse a number outside its range. Raises InvalidParameter."""
    if not low <= value <= high:
        raise invalid_value(value, name, f"Must be between {low} and {high}, if provided.")
