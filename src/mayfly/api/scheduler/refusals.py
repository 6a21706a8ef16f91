"""What EventBridge Scheduler calls the errors that the store and the reading of requests raise.

Its names are ConflictException and ValidationException where others have longer ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mayfly.api.refusals import ValidationFailed
from mayfly.model.errors import CallerError, Conflict, InvalidParameter
from mayfly.stores.schedules.store import TooManySchedules


class SchedulerConflict(CallerError):
    """A thing of this name exists, or a token was used for something else."""

    code = "ConflictException"
    status = 409


class QuotaExceeded(CallerError):
    """More than the platform holds."""

    code = "ServiceQuotaExceededException"
    status = 402


@contextmanager
def in_aws_words() -> Iterator[None]:
    """Give the errors of the block their AWS names."""
    try:
        yield
    except Conflict as error:
        raise SchedulerConflict(error.message) from error
    except TooManySchedules as error:
        raise QuotaExceeded(error.message) from error
    except InvalidParameter as error:
        raise ValidationFailed(error.message) from error
