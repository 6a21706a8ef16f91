"""AWS's operations asked from inside, as the owner, with the checks and errors that outside has.

    Asking("scheduler", operations) --members--> model's types, validate --> Operations.handle

No signature, no HTTP: the caller was authenticated when it asked for what leads to this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mayfly.api.message import Headers, Principal, Request
from mayfly.api.wire.json_body import read_json_structure
from mayfly.api.wire.model import service_model
from mayfly.api.wire.params import Params
from mayfly.api.wire.validate import validate
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.ports import Ids


class Answering(Protocol):
    """A service's operations, as `dispatch` has them."""

    def implements(self, operation_name: str) -> bool:
        """Whether `handle` does this operation."""
        ...

    async def handle(
        self, operation_name: str, params: Params, request: Request
    ) -> Mapping[str, object]:
        """Do it."""
        ...


class Asking:
    """One service, asked by the platform itself."""

    def __init__(self, service: str, operations: Answering, ids: Ids) -> None:
        self._service = service
        self._operations = operations
        self._ids = ids

    def implements(self, operation_name: str) -> bool:
        """Whether the service has this operation."""
        return self._operations.implements(operation_name)

    async def ask(self, operation_name: str, members: Mapping[str, object]) -> Mapping[str, object]:
        """Do an operation.

        Args:
            members: Under AWS's names, as JSON has them.

        Raises:
            MayflyError: It was refused or failed.
        """
        model = service_model(self._service)
        shape = model.operations[operation_name].input
        params = Params()
        if shape is not None:
            params = read_json_structure(shape, dict(members))
            # The members that stand in a path or a query, where there is one.
            placed = [name for name, one in shape.members.items() if one.location]
            params.update({name: members[name] for name in placed if name in members})
        validate(model.name, shape, params)
        return await self._operations.handle(operation_name, params, self._request())

    def _request(self) -> Request:
        owner = Principal(
            access_key_id="",
            account_id=ACCOUNT_ID,
            arn=f"arn:aws:iam::{ACCOUNT_ID}:root",
            service=self._service,
            region=REGION,
        )
        return Request("POST", "/", "", Headers(), b"", owner, self._ids.uuid())


def same(actual: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    """Whether what is there has each member that is wanted; what is empty is as good as absent."""
    return all(_bare(actual.get(key)) == _bare(value) for key, value in wanted.items())


def _bare(value: object) -> object:
    match value:
        case Mapping():
            bare = {key: _bare(one) for key, one in value.items()}
            return {key: one for key, one in bare.items() if one is not None} or None
        case list() | tuple():
            return [_bare(one) for one in value] or None
        case "":
            return None
        case _:
            return value
