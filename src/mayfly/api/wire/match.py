"""Which operation a request asks for.

The REST protocols say it by method, path and, in S3, by what the query and the headers hold; the
JSON protocols by X-Amz-Target; the query protocol by the Action parameter. The table of a REST
model is made once: method, then the path's first segment, then a handful of templates.

    POST  2015-03-31 -> functions/{FunctionName}/invocations      Invoke
                        functions/{FunctionName}/versions         PublishVersion ...
    GET   {Bucket}   -> {Key+}                                    ListParts (?uploadId), GetObject
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from mayfly.api.refusals import MalformedRequest
from mayfly.api.wire.form import Pairs, first_value
from mayfly.api.wire.model import Operation, ServiceModel


@dataclass(frozen=True, slots=True)
class Route:
    """One operation's path, cut into pieces.

    Args:
        literals: Segments; None stands for a label.
        labels: The labels' names, in order.
        greedy: The last segment takes the rest of the path.
        query: What the request line's query holds; the value "" is "anything".
        required_query: Keys without which another operation may be meant.
        required_headers: Lower-case names without which another operation may be meant.
    """

    operation: Operation
    literals: tuple[str | None, ...]
    labels: tuple[str, ...]
    greedy: bool
    query: tuple[tuple[str, str], ...]
    required_query: tuple[str, ...]
    required_headers: tuple[str, ...]

    @property
    def weight(self) -> tuple[int, bool, int, int, bool]:
        """How particular it is; the most particular one that fits wins."""
        needs = len(self.required_query) + len(self.required_headers)
        fixed = sum(one is not None for one in self.literals)
        return (fixed, not self.greedy, len(self.query), needs, not self.operation.deprecated)

    def labels_of(self, segments: list[str]) -> dict[str, str] | None:
        """The labels' values in a path, percent-decoded, or None where the path does not fit."""
        count = len(self.literals)
        if len(segments) < count or (len(segments) > count and not self.greedy):
            return None
        if self.greedy:
            segments = [*segments[: count - 1], "/".join(segments[count - 1 :])]
        values = []
        for literal, segment in zip(self.literals, segments, strict=True):
            if literal is None:
                if not segment:
                    return None
                values.append(_decode(segment))
            elif literal != segment:
                return None
        return dict(zip(self.labels, values, strict=True))

    def is_meant(self, held: Mapping[str, str]) -> bool:
        """Whether the query holds what the request line of this operation has."""
        return all(key in held and value in ("", held[key]) for key, value in self.query)

    def has_all(self, held: Mapping[str, str], headers: frozenset[str]) -> bool:
        """Whether the members are there without which a neighbour may be meant."""
        return all(key in held for key in self.required_query) and all(
            name in headers for name in self.required_headers
        )


class RouteTable:
    """The routes of one REST model."""

    def __init__(self, model: ServiceModel) -> None:
        self._keep_slash = model.protocol == "rest-xml"
        self._by_start: dict[tuple[str, str | None], list[Route]] = {}
        routes = [_route(one) for one in model.operations.values()]
        for route in sorted(routes, key=lambda one: one.weight, reverse=True):
            start = (route.operation.method, route.literals[0] if route.literals else None)
            self._by_start.setdefault(start, []).append(route)

    def match(
        self, method: str, raw_path: str, query: Pairs, headers: frozenset[str]
    ) -> tuple[Operation, dict[str, str]] | None:
        """The operation and its path's labels, or None.

        When a path fits but what the neighbours need is missing, the least particular operation
        is taken, so that its validation can say what is missing.
        """
        path = raw_path[1:]
        if path.endswith("/") and (not self._keep_slash or path.count("/") == 1):
            path = path[:-1]
        segments = path.split("/") if path else []
        held = dict(query)
        chosen = None
        for route, labels in self._fitting(method, segments):
            if not route.is_meant(held):
                continue
            if chosen is not None and len(route.query) < len(chosen[0].query):
                break
            chosen = (route, labels)
            if route.has_all(held, headers):
                break
        return (chosen[0].operation, chosen[1]) if chosen else None

    def _fitting(self, method: str, segments: list[str]) -> Iterator[tuple[Route, dict[str, str]]]:
        """The routes whose path fits, the most particular first; all of one template."""
        template = None
        first = segments[0] if segments else None
        for start in ((method, first), (method, None)) if first else ((method, None),):
            for route in self._by_start.get(start, ()):
                if template is not None and route.literals != template:
                    continue
                labels = route.labels_of(segments)
                if labels is not None:
                    template = route.literals
                    yield route, labels


@lru_cache(maxsize=16)
def route_table(model: ServiceModel) -> RouteTable:
    """The model's table, made at its first use."""
    return RouteTable(model)


def match_operation(
    model: ServiceModel,
    *,
    method: str,
    raw_path: str,
    query: Pairs,
    headers: frozenset[str],
    target: str,
    form: Pairs,
) -> tuple[Operation, dict[str, str]] | None:
    """The operation that is asked for and the path's labels, or None.

    Args:
        headers: The names of the request's headers, lower-case.
        target: The X-Amz-Target header, or "".
        form: The body's parameters, for the query protocol.
    """
    if model.protocol in ("rest-json", "rest-xml"):
        return route_table(model).match(method, raw_path, query, headers)
    if model.protocol == "json":
        prefix, _, name = target.rpartition(".")
        found = model.operations.get(name) if prefix == model.target_prefix else None
    else:
        found = model.operations.get(first_value(form, "Action") or first_value(query, "Action"))
    return (found, {}) if found else None


def _decode(segment: str) -> str:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"the path is not UTF-8: {error.reason}") from error


def _route(operation: Operation) -> Route:
    path, _, query = operation.request_uri.partition("?")
    literals: list[str | None] = []
    labels = []
    greedy = False
    for segment in [one for one in path.split("/") if one]:
        if segment.startswith("{"):
            name = segment[1:-1]
            greedy = name.endswith("+")
            labels.append(name.removesuffix("+"))
            literals.append(None)
        else:
            literals.append(segment)
    shape = operation.input
    required = [shape.members[name] for name in shape.required] if shape else []
    pairs = tuple(
        (key, value) for key, _, value in (one.partition("=") for one in query.split("&"))
    )
    return Route(
        operation,
        tuple(literals),
        tuple(labels),
        greedy,
        tuple(pair for pair in pairs if pair[0]),
        tuple(one.wire_name for one in required if one.location == "querystring"),
        tuple(one.wire_name.lower() for one in required if one.location == "header"),
    )
