"""SQS's older protocol, form in and XML out, as a translation of the documents of the newer one.

    Attribute.1.Name=DelaySeconds&Attribute.1.Value=5   <->   {"Attributes": {"DelaySeconds": "5"}}
    SendMessageBatchRequestEntry.1.Id=a                 <->   {"Entries": [{"Id": "a"}]}

Today's model has only the JSON names; what lists and maps were called in the query protocol is
these tables, from the API Reference of 2012-11-05. Older SDKs and other tools speak it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from mayfly.api.message import Request, Response
from mayfly.api.sqs.refusals import query_code
from mayfly.api.wire.form import first_value, parse_form
from mayfly.api.wire.query_body import Node, grow
from mayfly.api.wire.xml_body import DECLARATION, escape
from mayfly.model.errors import MayflyError

Document = dict[str, object]
_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
_XML = (b"content-type", b"text/xml")

# The name in a form or an element -> the member, and how an entry's two parts are called.
_MAPS_IN = {
    "Attribute": ("Attributes", "Name", "Value"),
    "MessageAttribute": ("MessageAttributes", "Name", "Value"),
    "MessageSystemAttribute": ("MessageSystemAttributes", "Name", "Value"),
    "Tag": ("Tags", "Key", "Value"),
}
_LISTS_IN = {
    "AttributeName": "AttributeNames",
    "MessageAttributeName": "MessageAttributeNames",
    "MessageSystemAttributeName": "MessageSystemAttributeNames",
    "TagKey": "TagKeys",
    "AWSAccountId": "AWSAccountIds",
    "ActionName": "Actions",
}
_MAPS_OUT = {member: (name, key, value) for name, (member, key, value) in _MAPS_IN.items()}
_LISTS_OUT = {
    "QueueUrls": "QueueUrl",
    "queueUrls": "QueueUrl",
    "Messages": "Message",
    "Failed": "BatchResultErrorEntry",
    "Results": "ListMessageMoveTasksResultEntry",
}
_IGNORED = {"Action", "Version"}


def read_query(request: Request) -> tuple[str, Document]:
    """The action and its members; ("", {}) when none is named.

    A request to a queue's own path is about that queue.

    Raises:
        MalformedRequest: It cannot be read as a form.
    """
    form = parse_form(request.body.decode("utf-8", "replace"))
    pairs = [*parse_form(request.query_string), *form]
    action = first_value(pairs, "Action")
    document = _read_members(grow(pairs), action)
    if action == "CreateQueue" and "Tags" in document:
        document["tags"] = document.pop("Tags")
    if "QueueUrl" not in document and request.raw_path.count("/") > 1:
        document["QueueUrl"] = request.raw_path
    return action, document


def write_query(action: str, document: Mapping[str, object] | None, request_id: str) -> Response:
    """An action's answer; None is that of an action that has none."""
    parts = [DECLARATION, f'<{action}Response xmlns="{_NAMESPACE}">']
    if document is not None:
        parts.append(f"<{action}Result>")
        _write_members(document, action, parts)
        parts.append(f"</{action}Result>")
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
    parts.append(f"</{action}Response>")
    return Response(200, [_XML, _id(request_id)], "".join(parts).encode())


def write_query_error(error: MayflyError, request_id: str) -> Response:
    """An error's answer."""
    fault = "Sender" if error.fault == "client" else "Receiver"
    body = (
        f'{DECLARATION}<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{fault}</Type>'
        f"<Code>{escape(query_code(error))}</Code><Message>{escape(error.message)}</Message>"
        f"<Detail/></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(error.status, [_XML, _id(request_id)], body.encode())


def _id(request_id: str) -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", request_id.encode()


def _read_members(node: Node, action: str) -> Document:
    document: Document = {}
    for name, child in node.children.items():
        if name in _MAPS_IN:
            member, key, value = _MAPS_IN[name]
            document[member] = dict(_read_entry(one, key, value) for one in child.numbered())
        elif name in _LISTS_IN:
            document[_LISTS_IN[name]] = [one.text or "" for one in child.numbered()]
        elif name == f"{action}RequestEntry":
            document["Entries"] = [_read_members(one, "") for one in child.numbered()]
        elif name not in _IGNORED and child.text is not None:
            document[name] = child.text
    return document


def _read_entry(node: Node, key: str, value: str) -> tuple[str, object]:
    """One entry of a map: its value is text, or a message attribute's own members."""
    name, held = node.children.get(key, Node()), node.children.get(value, Node())
    if held.children:
        return name.text or "", {one: child.text for one, child in held.children.items()}
    return name.text or "", held.text or ""


def _write_members(document: Mapping[str, object], action: str, into: list[str]) -> None:
    for member, value in document.items():
        if member in _MAPS_OUT and isinstance(value, dict):
            name, key, held = _MAPS_OUT[member]
            for entry, content in cast("dict[str, object]", value).items():
                into.append(f"<{name}>")
                _write(key, entry, into)
                _write(held, content, into)
                into.append(f"</{name}>")
        elif isinstance(value, list):
            name = _LISTS_OUT.get(member, f"{action}ResultEntry")
            for one in cast("list[object]", value):
                _write(name, one, into)
        else:
            _write(member, value, into)


def _write(name: str, value: object, into: list[str]) -> None:
    into.append(f"<{name}>")
    if isinstance(value, dict):
        _write_members(cast("dict[str, object]", value), "", into)
    elif isinstance(value, bool):
        into.append("true" if value else "false")
    else:
        into.append(escape(str(value)))
    into.append(f"</{name}>")
