"""A platform on which everything is there twice, "mine" and "theirs", and keys for some of it.

A thief was granted all of "mine" and nothing of "theirs"; "nowhere" exists nowhere. What a thief
learns of "theirs" must be what it learns of "nowhere", and its attempts must change nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError

from mayfly.api.wire.xml_body import parse_xml
from tests.support.function_keys import Key, make_function, owner_key, steal_key
from tests.support.platform import HttpAnswer, Platform, run_platform

MINE, THEIRS, NOWHERE = "mine", "theirs", "nowhere"
ACCOUNT, REGION = "000000000000", "us-east-1"
OBJECT = "in/a.txt"


@dataclass(frozen=True)
class Refusal:
    """An error answer, whatever the protocol."""

    status: int
    code: str
    message: str


@dataclass(frozen=True)
class World:
    """The platform and the keys.

    Attributes:
        thief: All of "mine".
        reader: May read, receive from and invoke "theirs".
        writer: May write and send to "theirs".
        both: All that grants can give of "theirs".
        control: The owner's of another platform, an empty one: what it starts there goes on behind.
    """

    platform: Platform
    owner: Key
    thief: Key
    reader: Key
    writer: Key
    both: Key
    control: Key

    def key(self, grant: str) -> Key:
        """The key with exactly this right to "theirs"."""
        return {"read": self.reader, "write": self.writer, "both": self.both}[grant]

    def digest(self) -> str:
        """A digest of everything that the platform keeps in its database."""
        whole = hashlib.sha256()
        path = self.platform.data / "mayfly.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            ).fetchall()
            for (table,) in tables:
                rows = database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608
                whole.update(repr((table, sorted(map(repr, rows)))).encode())
        return whole.hexdigest()

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing that is kept may differ after the block."""
        before = self.digest()
        yield
        assert self.digest() == before


@contextlib.contextmanager
def open_world() -> Iterator[World]:
    """Run it for as long as the block."""
    with run_platform() as platform, run_platform() as other:
        owner = owner_key(platform)
        for name in (MINE, THEIRS):
            _furnish(owner, name)
        yield World(
            platform,
            owner,
            steal_key(platform, "thief", grants_of(MINE, "read", "write")),
            steal_key(platform, "reader", grants_of(THEIRS, "read")),
            steal_key(platform, "writer", grants_of(THEIRS, "write")),
            steal_key(platform, "both", grants_of(THEIRS, "read", "write")),
            owner_key(other),
        )


def grants_of(name: str, *verbs: str) -> str:
    """Lines of `[grants]` for everything of this name; invoking goes with reading."""
    moves = {"read": "receive", "write": "send"}
    data = json.dumps([f"{name}:{verb}" for verb in verbs])
    queues = json.dumps([f"{name}:{moves[verb]}" for verb in verbs])
    invoke = json.dumps([name] if "read" in verbs else [])
    return f"objects = {data}\ntables = {data}\nqueues = {queues}\ninvoke = {invoke}"


def make_table(owner: Key, name: str) -> None:
    """A table with a stream and an index."""
    owner.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "kind", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-kind",
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    owner.client("dynamodb").put_item(
        TableName=name, Item={"id": {"S": "a"}, "kind": {"S": "k"}, "said": {"S": "secret"}}
    )


def queue_url(key: Key, name: str) -> str:
    """A queue's URL, without asking."""
    return f"{key.platform.endpoint}/{ACCOUNT}/{name}"


def stream_arn(owner: Key, name: str) -> str:
    """The ARN of a table's stream."""
    arn: str = owner.client("dynamodb").describe_table(TableName=name)["Table"]["LatestStreamArn"]
    return arn


def refusal_of(answer: HttpAnswer) -> Refusal:
    """What an answer in JSON or XML refuses."""
    text = answer.body.decode()
    if text.startswith("<"):
        root = parse_xml(answer.body)
        error = root if root.tag == "Error" else root[0]
        found = {one.tag.rpartition("}")[2]: one.text or "" for one in error}
        return Refusal(answer.status, found.get("Code", ""), found.get("Message", ""))
    document = json.loads(text) if text else {}
    code = document.get("__type", answer.headers.get("x-amzn-errortype", ""))
    message = document.get("message") or document.get("Message") or ""
    return Refusal(answer.status, code.rpartition("#")[2], message)


def refusal_in(error: ClientError) -> Refusal:
    """What an error of boto3's refuses."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    told = error.response["Error"]
    return Refusal(status, told["Code"], told["Message"])


def without_names(message: str) -> str:
    """A message, whichever of the names it is about."""
    return re.sub(rf"\b({THEIRS}|{NOWHERE})\b", "NAME", message)


def _furnish(owner: Key, name: str) -> None:
    objects, queues = owner.client("s3"), owner.client("sqs")
    objects.create_bucket(Bucket=name)
    objects.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    objects.put_object(Bucket=name, Key=OBJECT, Body=f"secret of {name}".encode())
    make_table(owner, name)
    queues.create_queue(QueueName=name)
    queues.send_message(QueueUrl=queue_url(owner, name), MessageBody=f"secret of {name}")
    make_function(owner.platform, name, more='[url]\nauth = "iam"')
    owner.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression="at(2090-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": function_arn(name), "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/any"},
    )


def function_arn(name: str) -> str:
    """A function's ARN."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
