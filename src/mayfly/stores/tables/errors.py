"""What a table refuses, under the names that DynamoDB gives it.

CallerError
|-- TableNotFound            400  ResourceNotFoundException
|-- TableInUse               400  ResourceInUseException
|-- LimitExceeded            400  LimitExceededException
|-- InvalidRequest           400  ValidationException
|-- ConditionFailed          400  ConditionalCheckFailedException, with the item when asked
|-- TransactionCanceled      400  TransactionCanceledException, with each action's reason
|-- TokenMismatch            400  IdempotentParameterMismatchException
|-- IteratorExpired          400  ExpiredIteratorException
`-- TrimmedAway              400  TrimmedDataAccessException
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mayfly.model.errors import CallerError


class TableNotFound(CallerError):
    """A table, index, stream or shard that does not exist."""

    code = "ResourceNotFoundException"


class TableInUse(CallerError):
    """The name is taken, or the table is changing."""

    code = "ResourceInUseException"


class LimitExceeded(CallerError):
    """Over a bound on tables, indexes or tags."""

    code = "LimitExceededException"


class InvalidRequest(CallerError):
    """A request that cannot be done as asked; the message is DynamoDB's."""

    code = "ValidationException"


class ConditionFailed(CallerError):
    """A condition did not hold; nothing was written.

    Args:
        item: The item as it is, as JSON, where the caller asked for it and there is one.
    """

    code = "ConditionalCheckFailedException"

    def __init__(self, item: msgspec.Raw | None = None) -> None:
        super().__init__("The conditional request failed")
        self.item = item


class Reason(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """Why one action of a transaction could not be done; `code` is "None" where it could."""

    code: str
    message: str | None = None
    item: msgspec.Raw | None = None

    def __post_init__(self) -> None:
        assert self.code, "a reason has a code"


class TransactionCanceled(CallerError):
    """One or more actions of a transaction could not be done, so none was.

    Args:
        reasons: One for each action, in order.
    """

    code = "TransactionCanceledException"

    def __init__(self, reasons: Sequence[Reason]) -> None:
        told = ", ".join(one.code for one in reasons)
        super().__init__(
            "Transaction cancelled, please refer cancellation reasons for specific reasons "
            f"[{told}]"
        )
        self.reasons = tuple(reasons)


class TokenMismatch(CallerError):
    """A ClientRequestToken that was used before, for other actions."""

    code = "IdempotentParameterMismatchException"


class IteratorExpired(CallerError):
    """A shard iterator older than 15 minutes."""

    code = "ExpiredIteratorException"


class TrimmedAway(CallerError):
    """A place in a stream whose records are gone."""

    code = "TrimmedDataAccessException"
