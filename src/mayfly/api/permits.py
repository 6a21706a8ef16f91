"""What a caller may do: the owner everything, a function what it was granted.

Each service asks here, once it knows what an operation is about, before it does anything. A refusal
names the grant that would have allowed it, to the function as an ordinary error and to its owner
as a log line and a count (`missing_grants`).
"""

from __future__ import annotations

from mayfly.api.message import Principal
from mayfly.model.errors import CallerError
from mayfly.model.grant import Grant, GrantKind


class AccessDenied(CallerError):
    """The signature is right, and its key may not do this."""

    code = "AccessDeniedException"
    status = 403


def require_grant(principal: Principal, kind: GrantKind, target: str, verb: str = "") -> None:
    """Refuse what the caller was not granted.

    Args:
        target: A table, queue or function by its name; of an object, "bucket/key"; of a whole
            bucket, its name.

    Raises:
        AccessDenied: It names the grant that is missing.
    """
    if principal.may(kind, target, verb):
        return
    missing = Grant(kind, target, verb)
    if principal.on_missing is not None:
        principal.on_missing(missing)
    raise AccessDenied(
        f'function "{principal.function_name}" was not granted this: add {kind} = '
        f'["{missing.written}"] to [grants] in its mayfly.toml'
    )


def require_owner(principal: Principal, operation: str) -> None:
    """Refuse to functions what no grant gives: making and removing things, and settings.

    Raises:
        AccessDenied: A function's key signed.
    """
    if principal.grants is not None:
        raise AccessDenied(
            f'function "{principal.function_name}" may not do {operation}: that is the owner\'s; '
            "no grant gives it"
        )
