"""Every operation of every service, with a function's key: without its grant 403 and no trace.

The operations are asked of the services themselves, so that a new one fails here until its needs
are in `permit_tables`. S3's are in `test_permits_of_objects`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from mayfly.api.dispatch import Operations
from mayfly.api.dynamodb.endpoint import TARGET_PREFIX, DynamoDb
from mayfly.api.dynamodbstreams.endpoint import DynamoDbStreams
from mayfly.api.dynamodbstreams.iterators import ShardIterator
from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.api.scheduler.operations import SchedulerOperations
from mayfly.api.sqs.endpoint import SqsService
from mayfly.api.sts.operations import StsOperations
from mayfly.api.wire.model import service_model
from mayfly.daemon.world import RealClock
from mayfly.stores.queues.receipts import write_receipt
from tests.security.permit_tables import TABLES, Members, Needs, Probe
from tests.security.permit_world import (
    ACCOUNT,
    NOWHERE,
    REGION,
    THEIRS,
    Refusal,
    World,
    open_world,
    queue_url,
    refusal_in,
    refusal_of,
    stream_arn,
    without_names,
)
from tests.support.function_keys import Key

_DENIED = frozenset(
    {"AccessDeniedException", "AccessDenied", "AWS.SimpleQueueService.AccessDenied"}
)
OPERATIONS = [(service, name) for service, table in TABLES.items() for name in table]
GIVEN = [one for one in OPERATIONS if TABLES[one[0]][one[1]].needs is not Needs.OWNER]
OWNERS = [one for one in OPERATIONS if one not in GIVEN]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened


def _implemented() -> Mapping[str, set[str]]:
    anything = cast(Any, SimpleNamespace(catalog=None, streams=None, catalogue=None, moves=None))
    anything.create = anything.get = anything.list = anything.update = anything.delete = None
    anything.tag = anything.untag = anything.list_tags = None
    dynamodb = DynamoDb(anything, anything, clock=anything, ids=anything, host="")
    streams = DynamoDbStreams(anything, clock=anything)
    modelled: dict[str, Operations] = {
        "lambda": LambdaOperations(anything, anything),
        "scheduler": SchedulerOperations(anything, anything, anything),
        "sts": StsOperations(),
    }
    return {
        "dynamodb": {one.removeprefix(TARGET_PREFIX) for one in dynamodb._operations},
        "dynamodbstreams": {one.rpartition(".")[2] for one in streams._operations},
        "sqs": set(SqsService(anything, anything, "").operations),
        **{
            service: {one for one in service_model(service).operations if ours.implements(one)}
            for service, ours in modelled.items()
        },
    }


def test_no_operation_is_left_out() -> None:
    tested = {service: set(table) for service, table in TABLES.items()}
    # Who one is, everybody may ask, as at AWS.
    assert _implemented() == {**tested, "sts": {"GetCallerIdentity"}}


def test_no_service_is_left_out(world: World) -> None:
    answer = world.owner.ask("nobody", "POST", "/")
    offered = re.findall(r"\w+", refusal_of(answer).message.partition("it offers ")[2])
    assert set(offered) == {*TABLES, "s3", "sts"}


def _members(world: World, probe: Probe, name: str) -> Members:
    """The probe's members, with what only a running platform knows."""
    text = json.dumps(probe.members(name), default=lambda raw: {"bytes": raw.decode()})
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    stream = stream_arn(world.owner, THEIRS).replace(f"/{THEIRS}/", f"/{name}/")
    shard = "shardId-00000000000000000000-00000000"
    if "{shard}" in text or "{iterator}" in text:
        described = world.owner.client("dynamodbstreams").describe_stream(
            StreamArn=stream_arn(world.owner, THEIRS)
        )
        shard = described["StreamDescription"]["Shards"][0]["ShardId"]
    now_ms = int(RealClock().now_ms())
    known = {
        "{url}": queue_url(world.owner, name),
        "{queue}": arn,
        "{receipt}": write_receipt(1, 1, 1, 1),
        "{stream}": stream,
        "{shard}": shard,
        "{iterator}": ShardIterator(stream, shard, 0, now_ms).written(),
        "{move}": base64.b64encode(json.dumps({"taskId": "t", "sourceArn": arn}).encode()).decode(),
    }
    for mark, value in known.items():
        text = text.replace(mark, value)
    found: Members = json.loads(
        text, object_hook=lambda one: one["bytes"].encode() if set(one) == {"bytes"} else one
    )
    return found


def _try(world: World, key: Key, service: str, operation: str, name: str) -> Refusal | None:
    """What the attempt is refused with, or None: it was let in and did its work."""
    members = _members(world, TABLES[service][operation], name)
    try:
        getattr(key.client(service), xform_name(operation))(**members)
    except ClientError as error:
        return refusal_in(error)
    return None


def _is_denied(refusal: Refusal | None) -> bool:
    return refusal is not None and refusal.status == 403 and refusal.code in _DENIED


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_without_a_grant_nothing_is_done_and_what_exists_does_not_show(
    world: World, service: str, operation: str
) -> None:
    with world.unchanged():
        there = _try(world, world.thief, service, operation, THEIRS)
        nowhere = _try(world, world.thief, service, operation, NOWHERE)
    assert _is_denied(there), there
    assert _is_denied(nowhere), nowhere
    assert there is not None
    assert nowhere is not None
    assert without_names(there.message) == without_names(nowhere.message)


@pytest.mark.parametrize(("service", "operation"), GIVEN)
def test_each_verb_gives_its_own_operations(world: World, service: str, operation: str) -> None:
    needs = TABLES[service][operation].needs
    for verb in ("read", "write"):
        refusal = _try(world, world.key(verb), service, operation, THEIRS)
        given = needs in (verb, Needs.EITHER)
        assert _is_denied(refusal) is not given, (verb, refusal)
        if given and "{receipt}" not in json.dumps(TABLES[service][operation].members("x")):
            assert refusal is None, refusal
    refusal = _try(world, world.both, service, operation, THEIRS)
    assert not _is_denied(refusal), refusal


@pytest.mark.parametrize(("service", "operation"), OWNERS)
def test_no_grant_gives_what_is_the_owners(world: World, service: str, operation: str) -> None:
    with world.unchanged():
        refusal = _try(world, world.both, service, operation, THEIRS)
    assert _is_denied(refusal), refusal
    # The same probe by the owner is let in, whatever comes of it.
    refusal = _try(world, world.control, service, operation, THEIRS)
    assert not _is_denied(refusal), refusal
