"""One entry point for every AWS API: from an authenticated request to its answer.

    Request -> service (signature's scope) -> operation -> members -> Operations.handle
                                                                            |
    Response <- serialise <--------------------------------- result or MayflyError

An operation that is not implemented is refused by name before its members are looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mayfly.api.control.routes import Routes
from mayfly.api.exchange import Exchange
from mayfly.api.message import Request, Response
from mayfly.api.refusals import NotImplementedYet, UnknownOperation
from mayfly.api.webhooks import WebhookReceiver
from mayfly.api.wire.form import parse_form
from mayfly.api.wire.match import match_operation
from mayfly.api.wire.model import Operation, ServiceModel, service_model
from mayfly.api.wire.params import Params
from mayfly.api.wire.parse import parse_request
from mayfly.api.wire.serialise import serialise, serialise_error
from mayfly.api.wire.validate import validate
from mayfly.model.errors import MayflyError

DEFAULT_SERVICE = "lambda"
# Reading a body this large would hold up other calls: a thread does it.
LARGE_BODY_BYTES = 256 * 1024
_SERVICE_NAME_LENGTH_MAX = 32
_STREAMS_PREFIX = "DynamoDBStreams_"


class Operations(Protocol):
    """One service's operations."""

    def implements(self, operation_name: str) -> bool:
        """Whether `handle` does this operation."""
        ...

    async def handle(
        self, operation_name: str, params: Params, request: Request
    ) -> Mapping[str, object]:
        """Do it. Members are under AWS's names, of the types that the model says.

        Raises:
            MayflyError: Answered in the service's own protocol.
        """
        ...


class WholeService(Protocol):
    """A service that reads its requests and writes its answers itself, for speed."""

    async def answer(self, request: Request) -> Response:
        """Answer a request whose signature is right. Never raises a MayflyError."""
        ...


class ObjectsEndpoint(Protocol):
    """S3: its bodies are streams, so it gets the exchange itself, unread and unauthenticated."""

    def claims(self, exchange: Exchange) -> bool:
        """Whether the request is S3's, by its signature's scope, its host or its form."""
        ...

    async def answer(self, exchange: Exchange) -> None:
        """Authenticate, read, do and reply. Never raises a MayflyError."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services that this endpoint offers, by botocore's folder name.

    Args:
        operations: {"lambda": LambdaOperations(...)}.
        whole: Services that need no model: {"dynamodb": ...}.
        objects: S3, or None.
        hooks: Takes deliveries to webhooks, or None.
        control: Further routes of the control API.
    """

    operations: Mapping[str, Operations]
    whole: Mapping[str, WholeService] = field(default_factory=dict)
    objects: ObjectsEndpoint | None = None
    hooks: WebhookReceiver | None = None
    control: Routes = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All of them, in order."""
        objects = ["s3"] if self.objects is not None else []
        return sorted([*self.operations, *self.whole, *objects])


async def answer(request: Request, services: Services) -> Response:
    """Match, parse, validate, dispatch and serialise. Never raises a MayflyError."""
    name = _service_name(request.principal.service, request.headers.get("x-amz-target"))
    whole = services.whole.get(name)
    if whole is not None:
        return await whole.answer(request)
    operations = services.operations.get(name)
    if operations is None:
        error = NotImplementedYet(
            f'this endpoint does not offer the service "{request.principal.service[:64]}" yet; '
            f"it offers {', '.join(services.names)}"
        )
        return serialise_error(_model_or_default(name), error, request.request_id)
    model = service_model(name)
    try:
        operation, params = await _read(model, operations, request)
        result = await operations.handle(operation.name, params, request)
    except MayflyError as error:
        return serialise_error(model, error, request.request_id)
    return serialise(model, operation, result, request.request_id)


def answer_error(
    error: MayflyError, *, service: str, method: str, raw_path: str, request_id: str
) -> Response:
    """The answer for a request that failed before it had a `Request` (authentication, size).

    Args:
        service: What the signature names, unchecked, or "": then it is lambda's, whose paths
            begin with a date.
    """
    del method
    name = DEFAULT_SERVICE if raw_path.startswith("/20") else service
    return serialise_error(_model_or_default(name), error, request_id)


async def _read(
    model: ServiceModel, operations: Operations, request: Request
) -> tuple[Operation, Params]:
    """The operation that is asked for, with its members, checked."""
    query = parse_form(request.query_string)
    body = request.body
    form = parse_form(body.decode("utf-8", "replace")) if model.protocol == "query" else []
    target = request.headers.get("x-amz-target")
    found = match_operation(
        model,
        method=request.method,
        raw_path=request.raw_path,
        query=query,
        headers=frozenset(name for name, _ in request.headers.items()),
        target=target,
        form=form,
    )
    if found is None:
        asked = target or f"{request.method} {request.raw_path}"
        raise UnknownOperation(f"{model.name} has no operation at {asked[:200]}")
    operation, labels = found
    if not operations.implements(operation.name):
        raise NotImplementedYet(
            f"Mayfly does not implement {model.name}:{operation.name} yet; "
            "the documentation lists the operations that it has"
        )

    def read() -> Params:
        params = parse_request(
            model,
            operation,
            labels=labels,
            query=query,
            headers=request.headers,
            body=body,
            form=form,
        )
        validate(model.name, operation.input, params)
        return params

    large = len(body) > LARGE_BODY_BYTES
    return operation, await asyncio.to_thread(read) if large else read()


def _service_name(scope: str, target: str) -> str:
    """Botocore's folder for a signature's scope; two services share the scope "dynamodb"."""
    if scope == "dynamodb" and target.startswith(_STREAMS_PREFIX):
        return "dynamodbstreams"
    return scope


def _model_or_default(name: str) -> ServiceModel:
    """The model whose protocol an error is written in; a stranger's name is lambda's."""
    plain = name.isascii() and name.isalnum() and len(name) <= _SERVICE_NAME_LENGTH_MAX
    known = name if plain else DEFAULT_SERVICE
    try:
        return service_model(known)
    except LookupError:
        return service_model(DEFAULT_SERVICE)
