"""Shapes in a form, as the query protocol sends them: dotted names, counted from 1.

Tags.member.1.Key=a&Tags.member.1.Value=b     a list of structures
Tag.1.Key=a                                   the same, flattened
Attributes.entry.1.key=a&...entry.1.value=b   a map
"""

from __future__ import annotations

from mayfly.api.refusals import MalformedRequest
from mayfly.api.wire.form import Pairs
from mayfly.api.wire.model import Member, Shape
from mayfly.api.wire.params import Params
from mayfly.api.wire.scalars import read_text

DEPTH_MAX = 50


class Node:
    """One dotted name: its own text, if it has one, and what is below it."""

    __slots__ = ("children", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.children: dict[str, Node] = {}

    def numbered(self) -> list[Node]:
        """The children whose names are numbers, in order."""
        found = [(int(k), one) for k, one in self.children.items() if k.isdecimal() and len(k) < 8]
        return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def grow(pairs: Pairs) -> Node:
    """The tree that the dotted names describe."""
    root = Node()
    for name, value in pairs:
        node = root
        parts = name.split(".")
        if len(parts) > DEPTH_MAX:
            raise MalformedRequest("a parameter's name is nested too deeply")
        for part in parts:
            node = node.children.setdefault(part, Node())
        node.text = value
    return root


def read_form_structure(shape: Shape, node: Node) -> Params:
    """The members of a structure that were sent."""
    params = Params()
    for name, member in shape.members.items():
        found = node.children.get(member.wire_name)
        if member.flattened and member.shape.kind == "list":
            inner = member.shape.member.location_name
            found = node.children.get(inner) if inner in node.children else found
        if found is not None:
            params[name] = _read(member, found)
    return params


def _read(member: Member, node: Node) -> object:
    shape = member.shape
    match shape.kind:
        case "structure":
            return read_form_structure(shape, node)
        case "list":
            inner = shape.member
            held = node if member.flattened else _child(node, inner.location_name or "member")
            return [_read(inner, one) for one in held.numbered()]
        case "map":
            held = node if member.flattened else _child(node, "entry")
            return dict(_read_entry(shape, one) for one in held.numbered())
        case _:
            return read_text(member, node.text or "")


def _read_entry(shape: Shape, entry: Node) -> tuple[str, object]:
    key = _child(entry, shape.key.location_name or "key").text or ""
    return key, _read(shape.value, _child(entry, shape.value.location_name or "value"))


def _child(node: Node, name: str) -> Node:
    return node.children.get(name) or Node()
