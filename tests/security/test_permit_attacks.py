"""Attacks by requests that name two things: one that was granted, and one that was not.

A batch, a transaction, a copy, a form, a receipt, an iterator, an upload's id: the part about
"theirs" is refused, and where the request is one deed, the part about "mine" is not done either.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.exceptions import ClientError

from mayfly.api.dynamodbstreams.iterators import ShardIterator
from mayfly.daemon.world import RealClock
from tests.security.permit_world import (
    ACCOUNT,
    MINE,
    OBJECT,
    REGION,
    THEIRS,
    World,
    open_world,
    queue_url,
    refusal_of,
    stream_arn,
)
from tests.support.function_keys import send, steal_key
from tests.support.platform import HttpAnswer

SECRET = b"secret of theirs"
Json = Any


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened


# Objects


@pytest.mark.parametrize(
    "source",
    [
        *("theirs/in/a.txt", "/theirs/in/a.txt", "%2Ftheirs%2Fin%2Fa.txt", "theirs%2Fin/a.txt"),
        *("//theirs/in/a.txt", "mine/../theirs/in/a.txt", "/mine/..%2Ftheirs/in/a.txt"),
        *("theirs/in/a.txt?versionId=null", "mine/in/a.txt,theirs/in/a.txt", "?theirs/in/a.txt"),
        *("arn:aws:s3:::theirs/in/a.txt", "THEIRS/in/a.txt", "theirs/in/a.txt?x=1", "theirs"),
        "arn:aws:s3:us-east-1:000000000000:accesspoint/theirs/object/in/a.txt",
    ],
)
def test_no_spelling_of_a_source_is_copied(world: World, source: str) -> None:
    headers = {"x-amz-copy-source": source}
    with world.unchanged():
        answer = world.thief.ask("s3", "PUT", "/mine/copy", b"", headers)
    assert answer.status in (400, 403, 404), answer.body


def test_an_upload_is_of_its_bucket_and_key(world: World) -> None:
    objects = world.owner.client("s3")
    upload = objects.create_multipart_upload(Bucket=THEIRS, Key=OBJECT)["UploadId"]
    for path in (f"/mine/{OBJECT}", f"/mine/theirs/{OBJECT}", f"/theirs/{OBJECT}"):
        with world.unchanged():
            for method, query in (
                *(("PUT", f"?partNumber=1&uploadId={upload}"), ("GET", f"?uploadId={upload}")),
                *(("POST", f"?uploadId={upload}"), ("DELETE", f"?uploadId={upload}")),
            ):
                claim = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag>"
                body = claim + b"</Part></CompleteMultipartUpload>" if method == "POST" else b""
                answer = world.thief.ask("s3", method, path + query, body)
                expected = (
                    (403, "AccessDenied") if path[1:10] == "theirs/in" else (404, "NoSuchUpload")
                )
                assert (answer.status, refusal_of(answer).code) == expected
    objects.abort_multipart_upload(Bucket=THEIRS, Key=OBJECT, UploadId=upload)


def test_of_many_keys_those_are_deleted_that_were_granted(world: World) -> None:
    objects = world.owner.client("s3")
    objects.create_bucket(Bucket="folders")
    for key in ("in/1", "in/2", "out/1"):
        objects.put_object(Bucket="folders", Key=key, Body=b"")
    sweeper = steal_key(world.platform, "sweeper", 'objects = ["folders/in/:write"]')
    names = ["in/1", "out/1", "in/../out/1", "in/1", "none"]
    listed = "".join(f"<Object><Key>{one}</Key></Object>" for one in names)
    answer = sweeper.ask("s3", "POST", "/folders?delete", f"<Delete>{listed}</Delete>".encode())
    assert answer.status == 200
    assert answer.body.count(b"<Code>AccessDenied</Code>") == 2
    left = [one["Key"] for one in objects.list_objects_v2(Bucket="folders")["Contents"]]
    assert left == ["in/2", "out/1"]


def _form(world: World, bucket: str, fields: Mapping[str, str], file_name: str) -> HttpAnswer:
    """A form whose policy the thief signed, and which allows everything."""
    now = datetime.fromtimestamp(RealClock().now_ms() / 1000, UTC)
    key = world.thief.credentials
    scope = f"{now:%Y%m%d}/{REGION}/s3/aws4_request"
    signed = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{key.access_key}/{scope}",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
        "x-amz-security-token": key.token,
        **fields,
    }
    conditions = [["starts-with", f"${name}", ""] for name in signed]
    policy = base64.b64encode(
        json.dumps({"expiration": "2090-01-01T00:00:00Z", "conditions": conditions}).encode()
    ).decode()
    signing_key = f"AWS4{key.secret_key}".encode()
    for part in scope.split("/"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    signed |= {
        "policy": policy,
        "x-amz-signature": hmac.new(signing_key, policy.encode(), hashlib.sha256).hexdigest(),
    }
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in signed.items()]
    parts.append(f'name="file"; filename="{file_name}"\r\n\r\nforged')
    body = (
        "".join(f"--b\r\nContent-Disposition: form-data; {one}\r\n" for one in parts) + "--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return send(world.platform, "POST", f"/{bucket}", body.encode(), headers)


@pytest.mark.parametrize("key", ["in/a.txt", "${filename}", "../theirs/in/a.txt"])
def test_a_form_reaches_no_further_than_its_signer(world: World, key: str) -> None:
    assert _form(world, MINE, {"key": key}, "f").status == 204
    with world.unchanged():
        for bucket in (THEIRS, "nowhere"):
            answer = _form(world, bucket, {"key": key}, "../mine/f")
            assert (answer.status, refusal_of(answer).code) == (403, "AccessDenied")
    # A field is no other bucket.
    _form(world, MINE, {"key": "from-a-form", "bucket": THEIRS}, "f")
    theirs = world.owner.client("s3").list_objects_v2(Bucket=THEIRS)["Contents"]
    assert [one["Key"] for one in theirs] == [OBJECT]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_to_what_was_not_granted_is_not_kept(world: World, *, chunked: bool) -> None:
    place = urlsplit(world.platform.endpoint)
    url = world.thief.client("s3").generate_presigned_url(
        "put_object", Params={"Bucket": THEIRS, "Key": "large"}
    )
    parts = urlsplit(url)
    with world.unchanged():
        assert place.hostname is not None
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        body = (b"x" * 65_536 for _ in range(64))
        length = {} if chunked else {"Content-Length": str(64 * 65_536)}
        try:
            connection.request(
                "PUT", f"{parts.path}?{parts.query}", body, length, encode_chunked=chunked
            )
            status = connection.getresponse().status
        except (ConnectionError, http.client.RemoteDisconnected):
            # It is refused before its body ends, and the connection is cut.
            status = 403
        connection.close()
    assert status == 403


# Tables

_KEY = {"id": {"S": "a"}}
_PUT = {"PutRequest": {"Item": {"id": {"S": "new"}}}}


def _tables(name: str) -> list[str]:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
    other = arn.replace(ACCOUNT, "999999999999").replace(REGION, "eu-west-1")
    return [name, arn, f"{arn}/index/by-kind", other, f"{name}/index/by-kind", f"mine/../{name}"]


@pytest.mark.parametrize("table", _tables(THEIRS))
@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("BatchGetItem", {"RequestItems": {"mine": {"Keys": [_KEY]}, "TABLE": {"Keys": [_KEY]}}}),
        ("BatchWriteItem", {"RequestItems": {"mine": [_PUT], "TABLE": [_PUT]}}),
        (
            "TransactGetItems",
            {
                "TransactItems": [
                    {"Get": {"TableName": one, "Key": _KEY}} for one in ("mine", "TABLE")
                ]
            },
        ),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": one, "Item": {"id": {"S": "new"}}}}
                    for one in ("mine", "TABLE")
                ]
            },
        ),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "mine", "Item": {"id": {"S": "new"}}}},
                    {
                        "ConditionCheck": {
                            "TableName": "TABLE",
                            "Key": _KEY,
                            "ConditionExpression": "attribute_exists(id)",
                        }
                    },
                ]
            },
        ),
        ("Query", {"TableName": "TABLE", "IndexName": "by-kind"}),
        ("Scan", {"TableName": "TABLE", "IndexName": "by-kind"}),
        ("GetItem", {"TableName": "TABLE", "Key": _KEY}),
    ],
)
def test_a_second_table_is_asked_for_as_the_first_is(
    world: World, table: str, operation: str, members: Json
) -> None:
    text = json.dumps(members)
    target = f"DynamoDB_20120810.{operation}"
    with world.unchanged():
        answer = world.thief.target("dynamodb", target, json.loads(text.replace("TABLE", table)))
    assert answer.status in (400, 403)
    assert SECRET not in answer.body
    if table == THEIRS or (table.endswith("table/theirs") and ACCOUNT in table):
        assert refusal_of(answer).code == "AccessDeniedException"
        padding = {"x": "y" * 300_000}
        padded = {**json.loads(text.replace("TABLE", table)), **padding}
        # A large body is read on a thread, and judged alike.
        assert refusal_of(world.thief.target("dynamodb", target, padded)).status == 403


def test_an_item_that_was_put_by_an_attack_is_in_no_table(world: World) -> None:
    for name in (MINE, THEIRS):
        items = world.owner.client("dynamodb").scan(TableName=name)["Items"]
        assert [one["id"]["S"] for one in items] == ["a"]


def test_a_forged_iterator_reads_no_stream_that_was_not_granted(world: World) -> None:
    streams = world.owner.client("dynamodbstreams")
    theirs, mine = (stream_arn(world.owner, name) for name in (THEIRS, MINE))
    shards = streams.describe_stream(StreamArn=theirs)["StreamDescription"]["Shards"]
    now_ms = int(RealClock().now_ms())
    label = theirs.rpartition("/")[2]
    for arn in (theirs, f"{mine.rpartition('/')[0]}/{label}", f"{mine}/../{label}", label, ""):
        for shard in shards:
            iterator = ShardIterator(arn, shard["ShardId"], 0, now_ms).written()
            members = {"ShardIterator": iterator}
            target = "DynamoDBStreams_20120810.GetRecords"
            answer = world.thief.target("dynamodb", target, members)
            assert answer.status in (400, 403)
            assert b"theirs" not in answer.body or refusal_of(answer).status == 403
    # The same, forged for the stream that was granted, reads it.
    own = streams.describe_stream(StreamArn=mine)["StreamDescription"]["Shards"][0]["ShardId"]
    forged = ShardIterator(mine, own, 0, now_ms).written()
    records = world.thief.client("dynamodbstreams").get_records(ShardIterator=forged)
    assert "Records" in records


# Queues


def _urls(world: World) -> list[str]:
    return [
        *(queue_url(world.owner, THEIRS), f"{queue_url(world.owner, THEIRS)}/", THEIRS, "/theirs"),
        *(f"http://elsewhere/{ACCOUNT}/theirs", f"http://elsewhere/{ACCOUNT}/mine/theirs"),
        *(f"http://elsewhere/{ACCOUNT}/mine/../theirs", "http://elsewhere/999999999999/theirs"),
        *(f"http://elsewhere/{ACCOUNT}/theirs?mine", f"http://elsewhere/{ACCOUNT}/theirs#/mine?"),
        *(f"arn:aws:sqs:{REGION}:{ACCOUNT}:theirs", "mine%2F..%2Ftheirs", "theirs%00", "THEIRS"),
    ]


@pytest.mark.parametrize("operation", ["SendMessage", "ReceiveMessage", "GetQueueAttributes"])
def test_no_spelling_of_a_url_is_another_queue(world: World, operation: str) -> None:
    with world.unchanged():
        for url in _urls(world):
            members = {"QueueUrl": url, "MessageBody": "forged", "AttributeNames": ["All"]}
            answer = world.thief.target("sqs", f"AmazonSQS.{operation}", members)
            assert answer.status in (400, 403), (url, answer.body)
            assert SECRET not in answer.body


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/", {"Action": "ReceiveMessage", "QueueUrl": "http://x/000000000000/theirs"}),
        ("/000000000000/theirs", {"Action": "ReceiveMessage"}),
        ("/000000000000/theirs/", {"Action": "ReceiveMessage"}),
        ("/000000000000/mine", {"Action": "ReceiveMessage", "QueueUrl": "/000000000000/theirs"}),
        ("/000000000000/mine?QueueUrl=/000000000000/theirs", {"Action": "ReceiveMessage"}),
        ("/000000000000/mine?Action=ListQueues", {"Action": "ReceiveMessage"}),
        ("/?Action=ReceiveMessage&QueueUrl=/0/mine", {"QueueUrl": "/000000000000/theirs"}),
        ("/", {"Action": "GetQueueUrl", "QueueName": "theirs"}),
        ("/", {"Action": "GetQueueUrl", "QueueName": "http://x/000000000000/theirs"}),
        ("/000000000000/theirs", {"Action": "SendMessage", "MessageBody": "forged"}),
        ("/000000000000/mine", {"Action": "DeleteQueue"}),
        ("/000000000000/mine", {"Action": "PurgeQueue", "QueueUrl": "/000000000000/theirs"}),
    ],
)
def test_the_older_protocol_asks_for_the_same_grants(
    world: World, path: str, form: dict[str, str]
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with world.unchanged():
        answer = world.thief.ask("sqs", "POST", path, urlencode(form).encode(), headers)
        assert answer.status == 403, answer.body
        query = f"{path}{'&' if '?' in path else '?'}{urlencode(form)}"
        assert world.thief.ask("sqs", "GET", query).status == 403
    assert SECRET not in answer.body
    mine = {"Action": "GetQueueUrl", "QueueName": "mine"}
    assert world.thief.ask("sqs", "POST", "/", urlencode(mine).encode(), headers).status == 200


def test_a_receipt_of_another_queue_deletes_nothing(world: World) -> None:
    queues, url = world.owner.client("sqs"), queue_url(world.owner, THEIRS)
    (message,) = queues.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    thief, mine = world.thief.client("sqs"), queue_url(world.owner, MINE)
    entry = {"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}
    hiding = {**entry, "VisibilityTimeout": 1000}
    with pytest.raises(ClientError, match="ReceiptHandle"):
        thief.delete_message(QueueUrl=mine, ReceiptHandle=message["ReceiptHandle"])
    assert thief.delete_message_batch(QueueUrl=mine, Entries=[entry])["Failed"]
    assert thief.change_message_visibility_batch(QueueUrl=mine, Entries=[hiding])["Failed"]
    (again,) = queues.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert again["Body"].encode() == SECRET


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("StartMessageMoveTask", {"SourceArn": "ARN:mine", "DestinationArn": "ARN:theirs"}),
        ("StartMessageMoveTask", {"SourceArn": "ARN:theirs", "DestinationArn": "ARN:mine"}),
        (
            "SetQueueAttributes",
            {"QueueUrl": "/0/mine", "Attributes": {"RedrivePolicy": '{"maxReceiveCount": 1}'}},
        ),
        (
            "CreateQueue",
            {"QueueName": "pump", "Attributes": {"RedrivePolicy": '{"maxReceiveCount": 1}'}},
        ),
        ("AddPermission", {"QueueUrl": "/0/mine", "Label": "a", "AWSAccountIds": ["1" * 12]}),
    ],
)
def test_a_queue_that_was_granted_is_no_pump_for_others(
    world: World, operation: str, members: Json
) -> None:
    text = json.dumps(members).replace("ARN", f"arn:aws:sqs:{REGION}:{ACCOUNT}")
    with world.unchanged():
        answer = world.thief.target("sqs", f"AmazonSQS.{operation}", json.loads(text))
    assert answer.status == 403
