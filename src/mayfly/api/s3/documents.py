"""S3's documents: small ones through botocore's model, listings by hand.

Every answer's root carries S3's namespace, which some clients look for. An error document names
what the error is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mayfly.api.message import Response
from mayfly.api.refusals import MalformedRequest
from mayfly.api.s3.call import HeaderList
from mayfly.api.s3.refusals import MalformedXml, in_s3_words
from mayfly.api.wire.model import service_model
from mayfly.api.wire.params import Params
from mayfly.api.wire.xml_body import (
    DECLARATION,
    escape,
    parse_xml,
    read_xml_structure,
    write_xml_structure,
)
from mayfly.model.errors import MayflyError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
XML_TYPE: tuple[bytes, bytes] = (b"content-type", b"application/xml")
_CONTROL = {one: f"&#x{one:X};" for one in range(32) if chr(one) not in "\t\n\r"}


def read_as(shape: str, body: bytes, root: str = "") -> Params:
    """A document's members, of the types that the model says.

    Args:
        shape: The model's name for the structure.
        root: What its element must be called; `shape` where it is left out.

    Raises:
        MalformedXml: It is no such document.
    """
    try:
        element = parse_xml(body)
        if element.tag != (root or shape):
            raise MalformedXml
        return read_xml_structure(service_model("s3").shape(shape), element)
    except MalformedRequest as error:
        raise MalformedXml from error


def written_as(shape: str, root: str, value: Mapping[str, object]) -> bytes:
    """A document of the model's.

    Args:
        shape: The model's name for the structure.
        root: What its element is called.
    """
    parts: list[str] = []
    write_xml_structure(service_model("s3").shape(shape), value, parts)
    return document(root, *parts)


def document(root: str, *parts: str) -> bytes:
    """A document of elements that are written already."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{"".join(parts)}</{root}>'.encode()


def element(name: str, text: str) -> str:
    """An element with text; what XML 1.0 cannot hold is written by number, as S3 does."""
    escaped = escape(text)
    if not text.isprintable():
        escaped = escaped.translate(_CONTROL)
    return f"<{name}>{escaped}</{name}>"


def time_text(unix_ms: int) -> str:
    """A time as documents have it: "2026-11-23T10:00:00.000Z"."""
    moment = datetime.fromtimestamp(unix_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def xml_answer(body: bytes, headers: HeaderList | None = None, status: int = 200) -> Response:
    """An answer that is a document."""
    return Response(status, [XML_TYPE, *(headers or [])], body)


def error_document(
    error: MayflyError,
    facts: Mapping[str, str],
    *,
    resource: str,
    request_id: str,
    host_id: str,
) -> bytes:
    """An error as S3 writes it; it has no namespace.

    Args:
        facts: What it is about, by the elements' names.
    """
    code, message = in_s3_words(error)
    return (
        DECLARATION
        + "<Error>"
        + element("Code", code)
        + element("Message", message)
        + "".join(element(name, text) for name, text in facts.items())
        + element("Resource", resource)
        + element("RequestId", request_id)
        + element("HostId", host_id)
        + "</Error>"
    ).encode()
