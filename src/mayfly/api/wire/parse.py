"""From a request to the members that its operation takes, in every protocol of AWS.

What comes out has the model's types; whether its values are allowed is `validate`'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.api.message import Headers
from mayfly.api.refusals import InvalidRequestContent, MalformedRequest
from mayfly.api.wire.form import Pairs
from mayfly.api.wire.json_body import decode_json, read_json, read_json_structure
from mayfly.api.wire.model import Operation, ServiceModel, Shape
from mayfly.api.wire.params import Params
from mayfly.api.wire.query_body import grow, read_form_structure
from mayfly.api.wire.rest import read_bindings
from mayfly.api.wire.xml_body import parse_xml, read_xml_structure


def parse_request(
    model: ServiceModel,
    operation: Operation,
    *,
    labels: Mapping[str, str],
    query: Pairs,
    headers: Headers,
    body: bytes,
    form: Pairs,
) -> Params:
    """The operation's input.

    Args:
        labels: The path's labels, as `match_operation` found them.
        query: The query string, decoded.
        form: The body, decoded, where the protocol is "query"; empty otherwise.

    Raises:
        InvalidRequestContent: A rest-json body that is no JSON.
        MalformedRequest: A body that cannot be read, or has other types than the model.
    """
    shape = operation.input
    if shape is None:
        return Params()
    if model.protocol == "query":
        return read_form_structure(shape, grow([*query, *form]))
    if model.protocol == "json":
        return _read_json_body(shape, body) if body else Params()
    params = read_bindings(shape, labels=labels, query=query, headers=headers)
    if shape.payload:
        value = _read_payload(model, shape, body)
        if value is not None:
            params[shape.payload] = value
    elif body and any(not one.location for one in shape.members.values()):
        params.update(_read_rest_body(model, shape, body))
    return params


def _read_payload(model: ServiceModel, shape: Shape, body: bytes) -> object:
    """The member that is the body: bytes or text as they are, else a document."""
    member = shape.members[shape.payload]
    if member.shape.kind == "blob":
        return body
    if member.shape.kind == "string":
        return _text(body)
    if not body:
        return None
    if model.protocol == "rest-json" and member.shape.kind != "structure":
        return read_json(member, _decode(body))
    return _read_rest_body(model, member.shape, body)


def _read_rest_body(model: ServiceModel, shape: Shape, body: bytes) -> Params:
    if model.protocol == "rest-xml":
        return read_xml_structure(shape, parse_xml(body))
    return read_json_structure(shape, _decode(body))


def _read_json_body(shape: Shape, body: bytes) -> Params:
    try:
        value = decode_json(body)
    except ValueError as error:
        raise MalformedRequest(f"the body is no JSON: {error}") from error
    return read_json_structure(shape, value)


def _decode(body: bytes) -> object:
    try:
        return decode_json(body)
    except ValueError as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"the body is not UTF-8: {error.reason}") from error
