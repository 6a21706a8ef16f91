"""What the operations read, held against botocore's model: every member, of the right type."""

from __future__ import annotations

import types
import typing

import msgspec
import pytest

from mayfly.api.sqs import requests
from mayfly.api.sqs.endpoint import ReadOperation, SqsService
from mayfly.api.wire.model import Shape, service_model
from mayfly.stores.queues.store import QueueStore
from mayfly.testing.ids import SeededIds

MODEL = service_model("sqs")
KINDS = {str: "string", int: "integer", bytes: "blob", bool: "boolean"}


@pytest.fixture(scope="module")
def service() -> SqsService:
    class NoStore(QueueStore):
        def __init__(self) -> None:
            self.catalogue = None  # type: ignore[assignment]
            self.moves = None  # type: ignore[assignment]

    return SqsService(NoStore(), SeededIds(0), "http://here")


def test_every_operation_of_the_model_is_there(service: SqsService) -> None:
    assert set(service.operations) == set(MODEL.operations)


@pytest.mark.parametrize("name", MODEL.operations)
def test_an_operation_reads_all_of_its_members(service: SqsService, name: str) -> None:
    operation = service.operations[name]
    assert isinstance(operation, ReadOperation)
    shape = MODEL.operations[name].input
    assert shape is not None
    _compare(operation.members, shape)


def _compare(struct: type[msgspec.Struct], shape: Shape) -> None:
    fields = {one.encode_name: one.type for one in msgspec.structs.fields(struct)}
    assert set(fields) == set(shape.members)
    for name, member in shape.members.items():
        _compare_type(_plain(fields[name]), member.shape)


def _compare_type(kind: object, shape: Shape) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        assert shape.kind == "list"
        _compare_type(_plain(arguments[0]), shape.member.shape)
    elif origin is dict:
        assert shape.kind == "map"
        _compare_type(_plain(arguments[1]), shape.value.shape)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        assert shape.kind == "structure"
        _compare(kind, shape)
    else:
        assert isinstance(kind, type)
        assert KINDS[kind] == shape.kind


def _plain(kind: object) -> object:
    """`T | None` as T."""
    if isinstance(kind, types.UnionType):
        (kind,) = [one for one in typing.get_args(kind) if one is not type(None)]
    return kind


def test_members_that_are_not_sent_are_none() -> None:
    read = msgspec.json.decode(b'{"QueueUrl":"u"}', type=requests.ReceiveMessage)
    assert (read.queue_url, read.max_number_of_messages) == ("u", None)
