"""One entry point for every AWS API: from an authenticated request to its answer. Being written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mayfly.api.message import Request, Response
from mayfly.model.errors import MayflyError


class Operations(Protocol):
    """One service's operations."""

    async def handle(
        self, operation_name: str, params: Mapping[str, object], request: Request
    ) -> Mapping[str, object]:
        """Do it. Members are under AWS's names.

        Raises:
            MayflyError: Answered in the service's own protocol.
        """
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services that this endpoint offers, by the signature's service scope.

    Args:
        operations: {"lambda": LambdaOperations(...), "sts": StsOperations(...)}
    """

    operations: Mapping[str, Operations]


async def answer(request: Request, services: Services) -> Response:
    """Match, parse, validate, dispatch and serialise. Never raises a MayflyError."""
    raise NotImplementedError


def answer_error(
    error: MayflyError, *, service: str, method: str, raw_path: str, request_id: str
) -> Response:
    """The answer for a request that failed before it had a `Request` (authentication, size).

    `service` may be "" when no signature says it; then the path decides, and lambda is the default.
    """
    raise NotImplementedError
