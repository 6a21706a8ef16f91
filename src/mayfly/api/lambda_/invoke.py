"""Invoke: one call of a function, now or later, by the operation or by the server's short-cut.

`invoke_fast` is the hot path: a lookup, three headers, a look whether the payload is JSON, one
await on the engine. It makes no parameters and reads no service model unless something is wrong.

    RequestResponse   200  the answer, or the function's failure with X-Amz-Function-Error
    Event             202  when the event is durable
    DryRun            204  when the call would have been made
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

import msgspec

from mayfly.api.lambda_.names import find_function, is_plain_name, parse_reference
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.message import Headers, Principal, Response
from mayfly.api.permits import require_grant
from mayfly.api.refusals import InvalidRequestContent, InvalidSignature, NotImplementedYet
from mayfly.api.wire.model import service_model
from mayfly.api.wire.params import Params
from mayfly.api.wire.serialise import serialise_error
from mayfly.api.wire.validate import validate
from mayfly.model import limits
from mayfly.model.errors import MayflyError, RequestTooLarge
from mayfly.model.event import Event
from mayfly.model.function import LATEST
from mayfly.model.grant import GrantKind
from mayfly.model.invocation import Invocation, Outcome

_check_syntax = msgspec.json.Decoder(msgspec.Raw).decode
_CONTENT_TYPE = (b"content-type", b"application/json")
_LATEST_VERSION = (b"x-amz-executed-version", LATEST.encode())
_EMPTY_EVENT = b"{}"
_SERVICE = "lambda"
_TRACE_LENGTH_MAX = 1_024


class Origin(NamedTuple):
    """Whose call it is: who signed, the request's id, its X-Amzn-Trace-Id or ""."""

    principal: Principal
    request_id: str
    trace_id: str


async def invoke_fast(
    platform: LambdaPlatform,
    *,
    name: str,
    qualifier: str,
    headers: Headers,
    body: bytes,
    request_id: str,
    principal: Principal,
) -> Response:
    """Answer POST /2015-03-31/functions/{name}/invocations for a caller that is authenticated.

    `name` is the path segment, percent-decoded: a name, a partial or a full ARN; `qualifier` the
    query's Qualifier, or "". Never raises a MayflyError: errors are answers.
    """
    try:
        return await _invoke(platform, name, qualifier, headers, body, request_id, principal)
    except MayflyError as error:
        return serialise_error(service_model("lambda"), error, request_id)


async def _invoke(
    platform: LambdaPlatform,
    name: str,
    qualifier: str,
    headers: Headers,
    body: bytes,
    request_id: str,
    principal: Principal,
) -> Response:
    if principal.service != _SERVICE:
        raise InvalidSignature(f"Credential should be scoped to correct service: '{_SERVICE}'. ")
    kind = headers.find("x-amz-invocation-type")
    log_type = headers.find("x-amz-log-type")
    if kind not in _KINDS or log_type not in _LOG_TYPES or not is_plain_name(name) or qualifier:
        _validate(name, qualifier, headers)
    if "x-amz-tenant-id" in headers or "x-amz-durable-execution-name" in headers:
        raise _no_tenants()
    context = headers.find("x-amz-client-context") or ""
    call = prepare_call(
        platform,
        name=name,
        qualifier=qualifier,
        kind=kind or "RequestResponse",
        payload=body,
        client_context=context,
        origin=Origin(principal, request_id, headers.find("x-amzn-trace-id") or ""),
    )
    request_header = (b"x-amzn-requestid", request_id.encode())
    if call is None:
        return Response(204, [request_header])
    if isinstance(call, Event):
        await platform.engine.accept(call)
        return Response(202, [request_header])
    outcome = await platform.engine.invoke(call)
    version = outcome.version
    answered = [
        _CONTENT_TYPE,
        request_header,
        _LATEST_VERSION if version == LATEST else (b"x-amz-executed-version", version.encode()),
    ]
    if outcome.error is not None:
        answered.append((b"x-amz-function-error", outcome.error.value.encode()))
    if log_type == "Tail":
        answered.append((b"x-amz-log-result", _log_result(outcome)))
    return Response(200, answered, outcome.payload)


async def invoke_operation(
    platform: LambdaPlatform,
    params: Params,
    *,
    principal: Principal,
    trace_id: str,
    request_id: str,
) -> dict[str, object]:
    """The operation Invoke, its parameters validated."""
    if "DurableExecutionName" in params or "TenantId" in params:
        raise _no_tenants()
    call = prepare_call(
        platform,
        name=params.text("FunctionName"),
        qualifier=params.text("Qualifier"),
        kind=params.text("InvocationType", "RequestResponse"),
        payload=params.blob("Payload"),
        client_context=params.text("ClientContext"),
        origin=Origin(principal, request_id, trace_id),
    )
    if call is None:
        return {"StatusCode": 204}
    if isinstance(call, Event):
        await platform.engine.accept(call)
        return {"StatusCode": 202}
    outcome = await platform.engine.invoke(call)
    tail = params.text("LogType") == "Tail"
    return {
        "StatusCode": 200,
        "Payload": outcome.payload,
        "ExecutedVersion": outcome.version,
        "FunctionError": outcome.error.value if outcome.error else None,
        "LogResult": _log_result(outcome).decode() if tail else None,
    }


def prepare_call(
    platform: LambdaPlatform,
    *,
    name: str,
    qualifier: str,
    kind: str,
    payload: bytes,
    client_context: str,
    origin: Origin,
) -> Invocation | Event | None:
    """What is to be done: a call now, an event to keep, or nothing (DryRun).

    Raises:
        AccessDenied: The caller is a function that was not granted this one.
        NotFound: There is no such function or version.
        RequestTooLarge: The payload is over its bound.
        InvalidRequestContent: The payload or the client context is no JSON.
    """
    function = None if qualifier else platform.registry.function_nowait(name)
    if function is None:
        reference = parse_reference(name, qualifier)
        # Before it is looked for: who may not call it does not learn whether it is there.
        require_grant(origin.principal, GrantKind.INVOKE, reference.name)
        function = find_function(platform.registry, reference)
        qualifier, arn = reference.qualifier, reference.arn
    else:
        require_grant(origin.principal, GrantKind.INVOKE, name)
        arn = function.arn
    _check_payload(payload, kind)
    context = _client_context(client_context) if client_context else ""
    if kind == "DryRun":
        return None
    payload = payload or _EMPTY_EVENT
    if kind == "Event":
        now_ms = int(platform.clock.now_ms())
        return Event(
            event_id=origin.request_id,
            function_name=function.name,
            qualifier=qualifier or LATEST,
            payload=payload,
            accepted_ms=now_ms,
            due_ms=now_ms,
            client_context=client_context,
            trace_id=origin.trace_id[:_TRACE_LENGTH_MAX],
        )
    return Invocation(origin.request_id, function, payload, arn, origin.trace_id, context)


_KINDS = frozenset({None, "RequestResponse", "Event", "DryRun"})
_LOG_TYPES = frozenset({None, "None", "Tail"})


def _validate(name: str, qualifier: str, headers: Headers) -> None:
    """Let the model say what is wrong; most calls need not ask it."""
    params = Params(FunctionName=name)
    if qualifier:
        params["Qualifier"] = qualifier
    for member, header in (
        ("InvocationType", "x-amz-invocation-type"),
        ("LogType", "x-amz-log-type"),
    ):
        value = headers.find(header)
        if value is not None:
            params[member] = value
    validate("lambda", service_model("lambda").operations["Invoke"].input, params)


def _no_tenants() -> NotImplementedYet:
    return NotImplementedYet(
        "Mayfly has no durable executions and no tenants yet; leave out DurableExecutionName and "
        "TenantId"
    )


def _log_result(outcome: Outcome) -> bytes:
    return binascii.b2a_base64(outcome.log_tail[-limits.LOG_TAIL_BYTES :], newline=False)


def _check_payload(payload: bytes, kind: str) -> None:
    size = len(payload)
    if size > limits.SYNC_PAYLOAD_BYTES_MAX:
        raise RequestTooLarge(
            f"Request must be smaller than {limits.SYNC_PAYLOAD_BYTES_MAX} bytes "
            "for the InvokeFunction operation"
        )
    if kind == "Event" and size > limits.ASYNC_PAYLOAD_BYTES_MAX:
        raise RequestTooLarge(
            f"{size} byte payload is too large for the Event invocation type "
            f"(limit {limits.ASYNC_PAYLOAD_BYTES_MAX} bytes)"
        )
    if not payload:
        return
    try:
        _check_syntax(payload)
    except (msgspec.DecodeError, RecursionError):
        _check_slowly(payload)
    else:
        # The check above looks at syntax only; what is inside strings must be UTF-8 as well.
        if not payload.isascii():
            _check_utf8(payload)


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise _not_json(f"invalid UTF-8 at byte {error.start}") from error


def _check_slowly(payload: bytes) -> None:
    """The guest's own reader decides, and says better where the mistake is."""
    _check_utf8(payload)
    try:
        json.loads(payload.decode(), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _not_json("nested too deeply") from error
    except ValueError as error:
        raise _not_json(str(error)) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _not_json(why: str) -> InvalidRequestContent:
    return InvalidRequestContent(f"Could not parse request body into json: {why}")


def _client_context(written: str) -> str:
    """The decoded client context.

    Raises:
        InvalidRequestContent: It is no JSON object in base64, or too long.
    """
    if len(written) > limits.CLIENT_CONTEXT_BYTES_MAX:
        raise InvalidRequestContent(
            f"Client context must be at most {limits.CLIENT_CONTEXT_BYTES_MAX} bytes in base64, "
            f"got {len(written)}"
        )
    try:
        text = base64.b64decode(written, validate=True).decode()
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        is_object, text = False, ""
    if not is_object:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.")
    return text
