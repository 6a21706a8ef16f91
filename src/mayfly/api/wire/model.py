"""Service models: AWS's own description of its operations and shapes, as botocore ships it.

The files inside the botocore package are read here directly: importing botocore's loaders costs
18 MB of memory, while decoding a model into the few fields that a server needs costs one or two.
A model is loaded at its first use, and a shape's members are resolved at theirs.

    ServiceModel --operations--> Operation --input, output--> Shape --members--> Member --> Shape

Source: "Serialization traits" in the Smithy 1.0 specification, of which botocore's JSON is a form.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

Protocol = Literal["rest-json", "rest-xml", "json", "query"]
Location = Literal["", "uri", "querystring", "header", "headers", "statusCode"]
_MODELS_MAX = 16


class Namespace(msgspec.Struct):
    """An XML namespace, and the prefix that it is declared under, or ""."""

    uri: str = ""
    prefix: str = ""


class _Reference(msgspec.Struct, rename="camel"):
    """How a member points to its shape; what it says goes before what the shape says."""

    shape: str
    location: str = ""
    location_name: str = ""
    flattened: bool = False
    streaming: bool = False
    timestamp_format: str = ""
    xml_attribute: bool = False
    xml_namespace: Namespace | str | None = None
    jsonvalue: bool = False


class _Error(msgspec.Struct, rename="camel"):
    code: str = ""
    http_status_code: int = 0
    sender_fault: bool = False


class _ShapeSpec(msgspec.Struct, rename="camel"):
    type: str
    members: dict[str, _Reference] = {}
    member: _Reference | None = None
    key: _Reference | None = None
    value: _Reference | None = None
    required: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str = ""
    enum: tuple[str, ...] = ()
    flattened: bool = False
    location_name: str = ""
    timestamp_format: str = ""
    xml_namespace: Namespace | str | None = None
    payload: str = ""
    streaming: bool = False
    sensitive: bool = False
    exception: bool = False
    eventstream: bool = False
    document: bool = False
    error: _Error | None = None


class _Http(msgspec.Struct, rename="camel"):
    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class _OperationReference(msgspec.Struct, rename="camel"):
    shape: str
    result_wrapper: str = ""


class _OperationSpec(msgspec.Struct, rename="camel"):
    name: str
    http: _Http
    input: _OperationReference | None = None
    output: _OperationReference | None = None
    deprecated: bool = False


class _Metadata(msgspec.Struct, rename="camel"):
    api_version: str
    protocol: Protocol
    endpoint_prefix: str
    service_full_name: str
    json_version: str = "1.0"
    target_prefix: str = ""
    xml_namespace: str = ""
    aws_query_compatible: dict[str, object] | None = None


class _ServiceSpec(msgspec.Struct):
    metadata: _Metadata
    operations: dict[str, _OperationSpec]
    shapes: dict[str, _ShapeSpec]


class Shape:
    """One type of a model.

    Args:
        kind: AWS's word: structure, list, map, string, blob, boolean, timestamp, integer, long,
            float, double.
    """

    def __init__(self, model: ServiceModel, name: str, spec: _ShapeSpec) -> None:
        self._model = model
        self.spec = spec
        self.name = name
        self.kind = spec.type
        self.required = spec.required
        self.minimum = spec.min
        self.maximum = spec.max
        self.enum = spec.enum
        self.payload = spec.payload
        self.sensitive = spec.sensitive
        self.eventstream = spec.eventstream
        self.document = spec.document
        self.error_code = spec.error.code if spec.error else ""
        self.location_name = spec.location_name
        self.xml_namespace = spec.xml_namespace
        self.flattened = spec.flattened

    @cached_property
    def members(self) -> dict[str, Member]:
        """A structure's members by name, in the model's order."""
        return {name: self._resolve(name, one) for name, one in self.spec.members.items()}

    @cached_property
    def member(self) -> Member:
        """What a list holds."""
        assert self.spec.member is not None
        return self._resolve("member", self.spec.member)

    @cached_property
    def key(self) -> Member:
        """A map's keys."""
        assert self.spec.key is not None
        return self._resolve("key", self.spec.key)

    @cached_property
    def value(self) -> Member:
        """A map's values."""
        assert self.spec.value is not None
        return self._resolve("value", self.spec.value)

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """The pattern as Python understands it, or None: AWS's are Java's."""
        return _compile(self.spec.pattern) if self.spec.pattern else None

    @property
    def pattern_text(self) -> str:
        """The pattern as the model has it."""
        return self.spec.pattern

    def _resolve(self, name: str, reference: _Reference) -> Member:
        shape = self._model.shape(reference.shape)
        spec = shape.spec
        return Member(
            name=name,
            shape=shape,
            location=reference.location,
            location_name=reference.location_name or spec.location_name,
            flattened=reference.flattened or spec.flattened,
            timestamp_format=reference.timestamp_format or spec.timestamp_format,
            xml_attribute=reference.xml_attribute,
            xml_namespace=reference.xml_namespace or spec.xml_namespace,
            json_value=reference.jsonvalue,
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A place of a structure, list or map: its shape, and how it is written there.

    Args:
        name: The member's own name; "member", "key" and "value" in lists and maps.
        location_name: The name on the wire, or "" where it is `name`.
    """

    name: str
    shape: Shape
    location: str = ""
    location_name: str = ""
    flattened: bool = False
    timestamp_format: str = ""
    xml_attribute: bool = False
    xml_namespace: Namespace | str | None = None
    json_value: bool = False

    @property
    def wire_name(self) -> str:
        """The name on the wire."""
        return self.location_name or self.name


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service.

    Args:
        input: None where it takes nothing.
        output: None where it answers nothing.
        result_wrapper: The element that holds a query protocol's result, or "".
    """

    name: str
    method: str
    request_uri: str
    response_code: int
    input: Shape | None
    output: Shape | None
    result_wrapper: str
    deprecated: bool


class ServiceModel:
    """One service: its operations, its shapes and its protocol."""

    def __init__(self, name: str, spec: _ServiceSpec) -> None:
        metadata = spec.metadata
        self.name = name
        self.protocol: Protocol = metadata.protocol
        self.api_version = metadata.api_version
        self.json_version = metadata.json_version
        self.target_prefix = metadata.target_prefix
        self.xml_namespace = metadata.xml_namespace
        self.query_compatible = metadata.aws_query_compatible is not None
        self.specs = spec.shapes
        self._shapes: dict[str, Shape] = {}
        self.operations = {one.name: self._operation(one) for one in spec.operations.values()}

    def shape(self, name: str) -> Shape:
        """The shape with this name; it must be there."""
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = Shape(self, name, self.specs[name])
        return shape

    @cached_property
    def errors(self) -> dict[str, Shape]:
        """The modelled errors, by shape name and by the code that the wire has for them."""
        found = {}
        for name, spec in self.specs.items():
            if spec.exception or spec.error:
                shape = found[name] = self.shape(name)
                if shape.error_code:
                    found.setdefault(shape.error_code, shape)
        return found

    def _operation(self, spec: _OperationSpec) -> Operation:
        taken, given = spec.input, spec.output
        return Operation(
            name=spec.name,
            method=spec.http.method,
            request_uri=spec.http.request_uri,
            response_code=spec.http.response_code,
            input=self.shape(taken.shape) if taken else None,
            output=self.shape(given.shape) if given else None,
            result_wrapper=given.result_wrapper if given else "",
            deprecated=spec.deprecated,
        )


@lru_cache(maxsize=_MODELS_MAX)
def service_model(name: str) -> ServiceModel:
    """The newest model of a service, under botocore's folder name ("lambda", "dynamodbstreams").

    Raises:
        LookupError: botocore is not installed or has no such service.
    """
    package = find_spec("botocore")
    if package is None or package.origin is None:
        raise LookupError("botocore, which holds the service models, is not installed")
    folder = Path(package.origin).parent / "data" / name
    found = sorted(folder.glob("*/service-2.json*"))
    if not found:
        raise LookupError(f"botocore has no model of a service named {name!r}")
    raw = found[-1].read_bytes()
    text = gzip.decompress(raw) if found[-1].suffix == ".gz" else raw
    return ServiceModel(name, msgspec.json.decode(text, type=_ServiceSpec))


@lru_cache(maxsize=1_024)
def _compile(pattern: str) -> re.Pattern[str] | None:
    r"""Compile AWS's pattern, or None where Python has no way to say it.

    `[\p{L}\p{Z}\p{N}_.:/=+\-@]` becomes `[\w\s_.:/=+\-@]`: letters and digits together are `\w`.
    """
    translated = pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w\s")
    if r"\p{" in translated:
        return None
    try:
        return re.compile(translated)
    except re.error:
        return None
