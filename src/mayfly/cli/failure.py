"""How a command fails: one line for a person and an exit code, never a traceback."""

from __future__ import annotations

FAILED = 1
USAGE = 2
INTERRUPTED = 130


class Failed(Exception):
    """A command could not do what was asked.

    Args:
        message: Lower-case; says what failed and what to do about it.
        exit_code: What the shell gets; 1 failed, 2 wrongly used.
        detail: Lines to show below the message, such as a log's last ones.
    """

    def __init__(self, message: str, *, exit_code: int = FAILED, detail: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.detail = detail


class Refused(Failed):
    """The platform answered with an error.

    Args:
        status: HTTP's.
        code: The error's name, as the platform or AWS's API gives it, or "".
    """

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
