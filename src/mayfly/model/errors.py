"""What can go wrong for a caller or for the platform; a function's failure is an `Outcome`.

    MayflyError                          code, status, retryable, fault
    |-- CallerError                      fault = "client"
    |   |-- InvalidParameter             400  a value that cannot be used
    |   |-- InvalidManifest              400  a wrong mayfly.toml, with file and line
    |   |-- InvalidArchive               400  a code archive that is refused
    |   |-- RequestTooLarge              413
    |   |-- NotFound                     404
    |   |-- Conflict                     409
    |   |-- PreconditionFailed           412
    |   `-- TooManyRequests              429  retryable
    `-- PlatformError                    fault = "server"
        |-- SealStepFailed               500  a named kernel step and its errno
        |-- SnapshotFailed               500  a snapshot could not be made, by our fault
        |-- IsolateLost                  500  an isolate vanished before its event; retryable
        |-- StorageFailed                500  a named I/O site and its errno
        `-- ShuttingDown                 503  retryable

`code` is AWS's error name where AWS has one. A message is lower-case and says what was tried, on
what, with which value, and what to do.
"""

from __future__ import annotations

import errno as errno_names
from typing import ClassVar, Literal

Fault = Literal["client", "server"]


class MayflyError(Exception):
    """The root of the tree. `str(error)` is the message for a person."""

    code: ClassVar[str] = "ServiceException"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    fault: ClassVar[Fault] = "server"

    @property
    def message(self) -> str:
        """The text for a person, without the code."""
        return str(self)


class CallerError(MayflyError):
    """The caller asked for something that cannot be done as asked."""

    code = "InvalidParameterValueException"
    status = 400
    fault: ClassVar[Fault] = "client"


class InvalidParameter(CallerError):
    """A value that cannot be used."""


class InvalidManifest(CallerError):
    """A mayfly.toml that cannot be used; the message names file, line and the nearest valid key."""


class InvalidArchive(CallerError):
    """A code archive that is refused: traversal, links out, bombs, too many files, not a zip."""


class RequestTooLarge(CallerError):
    """A payload or archive over its bound."""

    code = "RequestTooLargeException"
    status = 413


class NotFound(CallerError):
    """A named thing that does not exist."""

    code = "ResourceNotFoundException"
    status = 404


class Conflict(CallerError):
    """A thing that exists already, or is changing."""

    code = "ResourceConflictException"
    status = 409


class PreconditionFailed(CallerError):
    """The RevisionId that was given is not the current one."""

    code = "PreconditionFailedException"
    status = 412


class TooManyRequests(CallerError):
    """Over the reserved concurrency, the node's bound, or the bound of those who wait.

    Args:
        message: For a person.
        reason: Lambda's `Reason`: "ReservedFunctionConcurrentInvocationLimitExceeded" or
            "ConcurrentInvocationLimitExceeded".
    """

    code = "TooManyRequestsException"
    status = 429
    retryable = True

    def __init__(self, message: str, *, reason: str = "ConcurrentInvocationLimitExceeded") -> None:
        super().__init__(message)
        self.reason = reason


class PlatformError(MayflyError):
    """The platform failed; the caller did nothing wrong."""


class SealStepFailed(PlatformError):
    """A kernel step of the seal was refused.

    Args:
        step: The step's name, as in the seal's list ("pivot_root").
        errno: The kernel's error number.
        remedy: What a person can do about it, or "".
    """

    def __init__(self, *, step: str, errno: int, remedy: str = "") -> None:
        name = errno_names.errorcode.get(errno, str(errno))
        hint = f"; {remedy}" if remedy else "; `mayfly doctor` says what this machine lacks"
        super().__init__(f"sealing failed at step {step} with {name}{hint}")
        self.step = step
        self.errno = errno


class SnapshotFailed(PlatformError):
    """A snapshot could not be made, by the platform's fault."""


class IsolateLost(PlatformError):
    """An isolate vanished before it read its event; the call may be tried on another one."""

    retryable = True


class StorageFailed(PlatformError):
    """A named I/O site failed.

    Args:
        site: The site's name ("REGISTRY:COMMIT").
        errno: The kernel's error number, 0 where there is none.
        detail: What the storage said.
    """

    def __init__(self, *, site: str, errno: int = 0, detail: str = "") -> None:
        name = errno_names.errorcode.get(errno, "")
        super().__init__(f"storage failed at {site}: {name or 'error'} {detail}".rstrip())
        self.site = site
        self.errno = errno


class ShuttingDown(PlatformError):
    """The platform is stopping and takes no new work."""

    code = "ServiceException"
    status = 503
    retryable = True
