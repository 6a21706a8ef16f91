"""The service "dynamodb": from a signed request to its answer, by the operation's name.

It reads and writes its own JSON, as the model-driven wire is too slow for what is called most. What
AWS has and Mayfly lacks (PartiQL, backups, global tables, ...) is refused by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from mayfly.api.dynamodb.answers import answered, refused
from mayfly.api.dynamodb.batches import Batches
from mayfly.api.dynamodb.items import Items
from mayfly.api.dynamodb.members import Members, read_members
from mayfly.api.dynamodb.queries import Queries
from mayfly.api.dynamodb.settings import TableSettings
from mayfly.api.dynamodb.tables import Tables
from mayfly.api.dynamodb.transactions import Transactions
from mayfly.api.message import Principal, Request, Response
from mayfly.api.refusals import NotImplementedYet, UnknownOperation
from mayfly.api.wire.model import service_model
from mayfly.model.errors import MayflyError
from mayfly.ports import Clock, Ids
from mayfly.stores.tables.figures import Counter
from mayfly.stores.tables.store import TableStore

# Parsing a body this large would hold up other calls.
LARGE_BODY_BYTES = 256 * 1024
TARGET_PREFIX = "DynamoDB_20120810."

Operation = Callable[[Members, Principal], Awaitable[bytes]]


class DynamoDb:
    """The service "dynamodb" on a table store (`dispatch.WholeService`).

    Args:
        host: Where the endpoint listens, "host:port".
    """

    def __init__(
        self, tables: TableStore, counter: Counter, *, clock: Clock, ids: Ids, host: str
    ) -> None:
        self._operations = {
            TARGET_PREFIX + name: operation
            for name, operation in _operations(tables, counter, clock, ids, host).items()
        }

    async def answer(self, request: Request) -> Response:
        """Answer one request. Never raises a MayflyError."""
        target = request.headers.find("x-amz-target") or ""
        try:
            operation = self._operations.get(target)
            if operation is None:
                raise not_here("dynamodb", target, TARGET_PREFIX)
            members = await members_of(request)
            body = await operation(members, request.principal)
        except MayflyError as error:
            return refused(error, request.request_id)
        return answered(body, request.request_id)


async def members_of(request: Request) -> Members:
    """The request's members; a large body is parsed on a thread. Raises MalformedRequest."""
    if len(request.body) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(read_members, request.body)
    return read_members(request.body)


def not_here(service: str, target: str, prefix: str) -> MayflyError:
    """Why an operation is not found: AWS has it, or nobody does."""
    name = target.removeprefix(prefix)
    model = service_model(service)
    if target.startswith(prefix) and name in model.operations:
        return NotImplementedYet(
            f"Mayfly does not implement {service}:{name} yet; the documentation lists the "
            "operations that it has"
        )
    return UnknownOperation(f"{service} has no operation at {target[:200]}")


def _operations(
    tables: TableStore, counter: Counter, clock: Clock, ids: Ids, host: str
) -> Mapping[str, Operation]:
    items, queries = Items(tables), Queries(tables)
    batches, transactions = Batches(tables), Transactions(tables)
    whole, settings = Tables(tables, counter, clock, ids), TableSettings(tables, host)
    return {
        "GetItem": items.get,
        "PutItem": items.put,
        "UpdateItem": items.update,
        "DeleteItem": items.delete,
        "Query": queries.query,
        "Scan": queries.scan,
        "BatchGetItem": batches.get,
        "BatchWriteItem": batches.write,
        "TransactGetItems": transactions.get,
        "TransactWriteItems": transactions.write,
        "CreateTable": whole.create,
        "DescribeTable": whole.describe,
        "ListTables": whole.list,
        "UpdateTable": whole.update,
        "DeleteTable": whole.delete,
        "DescribeTimeToLive": settings.describe_time_to_live,
        "UpdateTimeToLive": settings.update_time_to_live,
        "TagResource": settings.tag,
        "UntagResource": settings.untag,
        "ListTagsOfResource": settings.tags,
        "DescribeLimits": settings.limits,
        "DescribeEndpoints": settings.endpoints,
        "DescribeContinuousBackups": settings.continuous_backups,
    }
