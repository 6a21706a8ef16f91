"""STS's operations, by name. So far: who am I?

Many tools ask it first, to see whether their keys are good.
"""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.api.message import Request
from mayfly.api.wire.params import Params


class StsOperations:
    """The service "sts"."""

    def implements(self, operation_name: str) -> bool:
        """Whether `handle` does this operation."""
        return operation_name == "GetCallerIdentity"

    async def handle(
        self, operation_name: str, params: Params, request: Request
    ) -> Mapping[str, object]:
        """GetCallerIdentity: the identity that signed the request."""
        assert self.implements(operation_name)
        del params
        principal = request.principal
        return {
            "UserId": principal.access_key_id,
            "Account": principal.account_id,
            "Arn": principal.arn,
        }
