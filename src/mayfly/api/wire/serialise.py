"""From what an operation gives back, or from an error, to the answer in the service's protocol.

Where members go and what an error's members are called is the model's to say. Errors that every
service has (a wrong signature, a throttle) have other names in the older protocols: a table.
"""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.api.message import Response
from mayfly.api.wire.json_body import encode_json, write_json, write_json_structure
from mayfly.api.wire.model import Operation, Protocol, ServiceModel, Shape
from mayfly.api.wire.rest import HeaderList, write_bindings
from mayfly.api.wire.xml_body import (
    DECLARATION,
    element,
    escape,
    write_xml_element,
    write_xml_structure,
)
from mayfly.model.errors import MayflyError, TooManyRequests

_OLDER_NAMES: dict[str, dict[str, str]] = {
    "query": {
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "IncompleteSignatureException": "IncompleteSignature",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "ValidationException": "ValidationError",
        "SerializationException": "MalformedInput",
        "UnknownOperationException": "InvalidAction",
        "ServiceException": "InternalFailure",
        "TooManyRequestsException": "Throttling",
    },
    "rest-xml": {
        "MissingAuthenticationTokenException": "AccessDenied",
        "IncompleteSignatureException": "AuthorizationHeaderMalformed",
        "UnrecognizedClientException": "InvalidAccessKeyId",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "ValidationException": "InvalidArgument",
        "InvalidParameterValueException": "InvalidArgument",
        "SerializationException": "MalformedXML",
        "UnknownOperationException": "MethodNotAllowed",
        "RequestTooLargeException": "EntityTooLarge",
        "ServiceException": "InternalError",
        "TooManyRequestsException": "SlowDown",
    },
}
"""What the XML protocols call errors that every service has."""


def serialise(
    model: ServiceModel, operation: Operation, result: Mapping[str, object], request_id: str
) -> Response:
    """An operation's answer.

    Args:
        result: Members under AWS's names, with Python's types; a time is an aware datetime or
            Unix seconds; None is "not there".
    """
    if model.protocol == "query":
        return _query_answer(model, operation, result, request_id)
    headers = _headers(model, request_id)
    shape = operation.output
    if model.protocol == "json":
        document = write_json_structure(shape, result) if shape else {}
        return Response(200, headers, encode_json(document))
    if shape is None:
        return Response(operation.response_code, headers[1:])
    bound: HeaderList = []
    status = write_bindings(shape, result, bound) or operation.response_code
    body = b"" if status == 204 else _rest_body(model, shape, result)
    own_type = any(name == b"content-type" for name, _ in bound)
    raw = model.protocol == "rest-xml" and _is_raw(shape)
    if own_type or raw or not body:
        headers = headers[1:]
    return Response(status, headers + bound, body)


def serialise_error(model: ServiceModel, error: MayflyError, request_id: str) -> Response:
    """An error's answer, with the members that the model says it has."""
    code = _OLDER_NAMES.get(model.protocol, {}).get(error.code, error.code)
    shape = model.errors.get(code)
    headers = _headers(model, request_id)
    if model.protocol in ("query", "rest-xml"):
        code = shape.error_code or code if shape else code
        body = _xml_error(model, error, code, request_id)
        return Response(error.status, headers, body.encode())
    members = _error_members(error, shape)
    if shape:
        write_bindings(shape, members, headers)
        document = write_json_structure(shape, members)
    else:
        document = dict(members)
    if model.protocol == "json":
        document = {"__type": code, **document}
    headers.append((b"x-amzn-errortype", code.encode()))
    if model.query_compatible and shape and shape.error_code:
        fault = _fault(error)
        headers.append((b"x-amzn-query-error", f"{shape.error_code};{fault}".encode()))
    return Response(error.status, headers, encode_json(document))


def _error_members(error: MayflyError, shape: Shape | None) -> dict[str, object]:
    """The error under the names that its shape has; services differ in `Message` and `message`."""
    members: dict[str, object] = {
        "message": error.message,
        "Message": error.message,
        "Type": "User" if error.fault == "client" else "Service",
    }
    if isinstance(error, TooManyRequests):
        members["Reason"] = error.reason
    if shape is None:
        return {"message": error.message}
    return {name: value for name, value in members.items() if name in shape.members} or {
        "message": error.message
    }


def _xml_error(model: ServiceModel, error: MayflyError, code: str, request_id: str) -> str:
    told = f"<Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>"
    request = f"<RequestId>{request_id}</RequestId>"
    if model.protocol == "rest-xml":
        return f"{DECLARATION}<Error>{told}{request}</Error>"
    root = element("ErrorResponse", model.xml_namespace)
    return (
        f"{DECLARATION}{root}<Error><Type>{_fault(error)}</Type>{told}</Error>"
        f"{request}</ErrorResponse>"
    )


def _fault(error: MayflyError) -> str:
    return "Sender" if error.fault == "client" else "Receiver"


def _query_answer(
    model: ServiceModel, operation: Operation, result: Mapping[str, object], request_id: str
) -> Response:
    root = f"{operation.name}Response"
    parts = [DECLARATION, element(root, model.xml_namespace)]
    if operation.output:
        wrapper = operation.result_wrapper
        parts.append(f"<{wrapper}>" if wrapper else "")
        write_xml_structure(operation.output, result, parts)
        parts.append(f"</{wrapper}>" if wrapper else "")
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
    parts.append(f"</{root}>")
    return Response(200, _headers(model, request_id), "".join(parts).encode())


def _rest_body(model: ServiceModel, shape: Shape, result: Mapping[str, object]) -> bytes:
    if shape.payload:
        return _payload(model, shape, result.get(shape.payload))
    if model.protocol == "rest-json":
        return encode_json(write_json_structure(shape, result))
    if all(one.location for one in shape.members.values()):
        return b""
    name = shape.location_name or shape.name
    parts = [DECLARATION, element(name, shape.xml_namespace)]
    write_xml_structure(shape, result, parts)
    parts.append(f"</{name}>")
    return "".join(parts).encode()


def _is_raw(shape: Shape) -> bool:
    """Whether the body is a member's bytes or text as they are, of a type only the caller knows."""
    return bool(shape.payload) and shape.members[shape.payload].shape.kind in ("blob", "string")


def _payload(model: ServiceModel, shape: Shape, value: object) -> bytes:
    member = shape.members[shape.payload]
    assert not member.shape.eventstream, f"{shape.name} streams events; it is not serialised whole"
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if model.protocol == "rest-json":
        return encode_json(write_json(member, value))
    parts = [DECLARATION]
    write_xml_element(member, member.location_name or member.shape.name, value, parts)
    return "".join(parts).encode()


_CONTENT_TYPES: dict[Protocol, bytes] = {
    "rest-json": b"application/json",
    "rest-xml": b"application/xml",
    "query": b"text/xml",
}


def _headers(model: ServiceModel, request_id: str) -> HeaderList:
    """Content type, then request id, under the names that the protocol's clients look for."""
    kind = _CONTENT_TYPES.get(model.protocol)
    if kind is None:
        kind = f"application/x-amz-json-{model.json_version}".encode()
    name = b"x-amz-request-id" if model.protocol == "rest-xml" else b"x-amzn-requestid"
    return [(b"content-type", kind), (name, request_id.encode())]
