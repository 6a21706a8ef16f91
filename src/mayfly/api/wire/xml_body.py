"""Shapes in XML, both ways: the bodies of rest-xml and the answers of the query protocol.

Reading takes no document type, hence no entity, and bounds the depth. Namespaces are not looked
at: each element has one meaning. Writing makes text directly.

    <Tags><Tag><Key>a</Key></Tag></Tags>     a list
    <Tag><Key>a</Key></Tag><Tag>...</Tag>    the same, flattened
    <Map><entry><key/><value/></entry></Map> a map
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

from mayfly.api.refusals import MalformedRequest
from mayfly.api.wire.model import Member, Namespace, Shape
from mayfly.api.wire.params import Params
from mayfly.api.wire.scalars import read_text, write_text

DEPTH_MAX = 100
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def parse_xml(body: bytes) -> Element:
    """The root element.

    Raises:
        MalformedRequest: It is no XML, has a document type, or is nested too deeply.
    """
    builder = TreeBuilder()
    parser = ParserCreate()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise MalformedRequest("The XML you provided is nested too deeply")
        builder.start(_local(name), attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: object) -> None:
        raise MalformedRequest("The XML you provided has a document type, which is not allowed")

    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except ExpatError as error:
        raise MalformedRequest(f"The XML you provided was not well-formed: {error}") from error
    return builder.close()


def read_xml_structure(shape: Shape, element: Element) -> Params:
    """The members of a structure that are in the body."""
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(child.tag, []).append(child)
    params = Params()
    for name, member in shape.members.items():
        if member.location:
            continue
        if member.xml_attribute:
            attribute = element.get(member.wire_name)
            if attribute is not None:
                params[name] = read_text(member, attribute)
            continue
        found = children.get(member.wire_name)
        if found is None and member.flattened and member.shape.kind == "list":
            found = children.get(member.shape.member.location_name)
        if found:
            params[name] = _read(member, found)
    return params


def _read(member: Member, elements: list[Element]) -> object:
    shape, first = member.shape, elements[0]
    match shape.kind:
        case "structure":
            return read_xml_structure(shape, first)
        case "list":
            items = elements if member.flattened else list(first)
            return [_read(shape.member, [one]) for one in items]
        case "map":
            entries = elements if member.flattened else list(first)
            return dict(_read_entry(shape, one) for one in entries)
        case _:
            return read_text(member, first.text or "")


def _read_entry(shape: Shape, entry: Element) -> tuple[str, object]:
    key = entry.find(shape.key.location_name or "key")
    value = entry.find(shape.value.location_name or "value")
    if key is None or value is None:
        raise MalformedRequest("The XML you provided has a map entry without key or value")
    return key.text or "", _read(shape.value, [value])


def write_xml_structure(shape: Shape, value: Mapping[str, object], into: list[str]) -> None:
    """The elements of a structure's members, without the structure's own."""
    for name, member in shape.members.items():
        held = value.get(name)
        if held is not None and not member.location and not member.xml_attribute:
            _write(member, member.wire_name, held, into)


def element(name: str, namespace: Namespace | str | None, attributes: str = "") -> str:
    """A start tag."""
    match namespace:
        case Namespace(uri=uri, prefix=prefix) if uri:
            declared = f' xmlns:{prefix}="{escape(uri)}"' if prefix else f' xmlns="{escape(uri)}"'
        case str() if namespace:
            declared = f' xmlns="{escape(namespace)}"'
        case _:
            declared = ""
    return f"<{name}{declared}{attributes}>"


def escape(text: str) -> str:
    """Text as XML has it; a carriage return by number, for a reader would make it a newline."""
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("\r", "&#13;")
    )


def write_xml_element(member: Member, name: str, value: object, into: list[str]) -> None:
    """A member as an element with this name."""
    _write(member, name, value, into)


def _write(member: Member, name: str, value: object, into: list[str]) -> None:
    shape = member.shape
    match shape.kind:
        case "structure":
            held = cast("Mapping[str, object]", value)
            into.append(element(name, member.xml_namespace, _attributes(shape, held)))
            write_xml_structure(shape, held, into)
        case "list":
            items = cast("Sequence[object]", value)
            inner = shape.member
            if member.flattened:
                for one in items:
                    _write(inner, inner.location_name or name, one, into)
                return
            into.append(element(name, member.xml_namespace))
            for one in items:
                _write(inner, inner.location_name or "member", one, into)
        case "map":
            pairs = cast("Mapping[str, object]", value)
            if member.flattened:
                for key, one in pairs.items():
                    _write_entry(shape, name, key, one, into)
                return
            into.append(element(name, member.xml_namespace))
            for key, one in pairs.items():
                _write_entry(shape, "entry", key, one, into)
        case _:
            into.append(element(name, member.xml_namespace))
            into.append(escape(write_text(member, value)))
    into.append(f"</{name}>")


def _write_entry(shape: Shape, name: str, key: str, value: object, into: list[str]) -> None:
    into.append(f"<{name}>")
    _write(shape.key, shape.key.location_name or "key", key, into)
    _write(shape.value, shape.value.location_name or "value", value, into)
    into.append(f"</{name}>")


def _attributes(shape: Shape, value: Mapping[str, object]) -> str:
    written = ""
    for name, member in shape.members.items():
        held = value.get(name)
        if member.xml_attribute and held is not None:
            written += f' {member.wire_name}="{escape(write_text(member, held))}"'
    return written


def _local(name: str) -> str:
    return name.rpartition(":")[2]
