"""S3's uploads in parts, versions, tags and notifications, with an unmodified boto3."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.client import BaseClient

from tests.support.functions import ECHO, Functions
from tests.support.objects import body_of, new_bucket, refusal
from tests.support.platform import Platform

MIB = 1024 * 1024
PART = 5 * MIB


@pytest.fixture(scope="module")
def s3(platform: Platform) -> BaseClient:
    return platform.client("s3")


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    with new_bucket(platform) as name:
        yield name


def crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def test_parts_arrive_in_any_order_and_become_one_object(s3: BaseClient, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**target, Metadata={"a": "b"}, ContentType="x/y")
    target["UploadId"] = upload["UploadId"]
    bodies = {3: os.urandom(1_000), 1: os.urandom(PART), 2: os.urandom(PART + 1)}

    def send(number: int) -> str:
        part = s3.upload_part(**target, PartNumber=number, Body=bodies[number])
        etag: str = part["ETag"]
        return etag

    with ThreadPoolExecutor(3) as threads:
        etags = dict(zip(bodies, threads.map(send, bodies), strict=True))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    listed = s3.list_parts(**target)
    assert [one["PartNumber"] for one in listed["Parts"]] == [1, 2, 3]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [one["UploadId"] for one in uploads] == [target["UploadId"]]
    parts = [{"PartNumber": one, "ETag": etags[one]} for one in (1, 2, 3)]
    done = s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    whole = s3.get_object(Bucket=bucket, Key="k")
    assert (whole["Metadata"], whole["ContentType"]) == ({"a": "b"}, "x/y")
    assert body_of(whole) == bodies[1] + bodies[2] + bodies[3]
    second = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (body_of(second), second["PartsCount"]) == (bodies[2], 3)
    assert refusal(s3.list_parts, **target) == ("NoSuchUpload", 404)
    assert refusal(s3.get_object, Bucket=bucket, Key="k", PartNumber=4)[1] == 416
    across = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={PART - 2}-{PART + 1}")
    assert body_of(across) == bodies[1][-2:] + bodies[2][:2]


def test_a_completion_that_cannot_be_is_refused_and_may_be_tried_again(
    s3: BaseClient, bucket: str
) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    small = s3.upload_part(**target, PartNumber=1, Body=b"small")["ETag"]
    last = s3.upload_part(**target, PartNumber=2, Body=b"last")["ETag"]
    one, two = {"PartNumber": 1, "ETag": small}, {"PartNumber": 2, "ETag": last}

    def complete(*parts: object) -> tuple[str, int]:
        return refusal(
            s3.complete_multipart_upload, **target, MultipartUpload={"Parts": list(parts)}
        )

    assert complete(one, two) == ("EntityTooSmall", 400)
    assert complete(two, one) == ("InvalidPartOrder", 400)
    assert complete({"PartNumber": 2, "ETag": small}) == ("InvalidPart", 400)
    assert complete({"PartNumber": 9, "ETag": small}) == ("InvalidPart", 400)
    assert complete() == ("MalformedXML", 400)
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": [two]})
    assert body_of(s3.get_object(Bucket=bucket, Key="k")) == b"last"


def test_an_aborted_upload_is_gone(s3: BaseClient, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    s3.upload_part(**target, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**target)
    assert refusal(s3.upload_part, **target, PartNumber=2, Body=b"x") == ("NoSuchUpload", 404)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert refusal(s3.abort_multipart_upload, **target) == ("NoSuchUpload", 404)
    bad = {"Bucket": bucket, "Key": "k", "UploadId": "no-such", "PartNumber": 0, "Body": b""}
    assert refusal(s3.upload_part, **bad) == ("InvalidArgument", 400)


def test_a_part_is_copied_from_a_range(s3: BaseClient, bucket: str) -> None:
    body = os.urandom(PART + 77)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    source = {"Bucket": bucket, "Key": "source"}
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    copies = {1: f"bytes=0-{PART - 1}", 2: f"bytes={PART}-{PART + 76}"}
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part_copy(
                **target, PartNumber=number, CopySource=source, CopySourceRange=span
            )["CopyPartResult"]["ETag"],
        }
        for number, span in copies.items()
    ]
    beyond = {"CopySource": source, "CopySourceRange": f"bytes=0-{PART + 77}", "PartNumber": 3}
    assert refusal(s3.upload_part_copy, **target, **beyond) == ("InvalidArgument", 400)
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    assert body_of(s3.get_object(Bucket=bucket, Key="k")) == body


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_parts_make_a_checksum_of_the_whole(
    s3: BaseClient, bucket: str, algorithm: str, kind: str
) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**target, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == (algorithm, kind)
    target["UploadId"] = upload["UploadId"]
    bodies = [os.urandom(PART), os.urandom(99)]
    parts = []
    name = f"Checksum{algorithm}"
    for number, body in enumerate(bodies, start=1):
        sent = s3.upload_part(**target, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
    wrong = [{**parts[0], name: parts[1][name]}, parts[1]]
    ended = refusal(s3.complete_multipart_upload, **target, MultipartUpload={"Parts": wrong})
    assert ended == ("InvalidPart", 400)
    done = s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    assert done["ChecksumType"] == kind
    s3.put_object(Bucket=bucket, Key="whole", Body=b"".join(bodies), ChecksumAlgorithm=algorithm)
    whole = s3.head_object(Bucket=bucket, Key="whole", ChecksumMode="ENABLED")
    if kind == "FULL_OBJECT":
        assert done[name] == whole[name]
    else:
        assert done[name].endswith("-2")
    told = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectParts", "ObjectSize", "ETag"]
    )
    assert told["Checksum"][name] == done[name]
    assert told["ObjectSize"] == PART + 99
    assert [one[name] for one in told["ObjectParts"]["Parts"]] == [one[name] for one in parts]
    assert body_of(s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")) == b"".join(
        bodies
    )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_checksum_is_kept_and_told(s3: BaseClient, bucket: str, algorithm: str) -> None:
    name = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"body", ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert put[name] == head[name]
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert name not in s3.head_object(Bucket=bucket, Key="k")
    other = s3.copy_object(
        Bucket=bucket,
        Key="c",
        CopySource={"Bucket": bucket, "Key": "k"},
        ChecksumAlgorithm="CRC32",
    )
    assert other["CopyObjectResult"]["ChecksumCRC32"] == crc32(b"body")


# Versions


def test_versions_are_kept_listed_and_deleted(s3: BaseClient, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"null")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    for version, body in ((first, b"1"), (second, b"2"), ("null", b"null")):
        told = s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        assert (told["VersionId"], body_of(told)) == (version, body)
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == ("NoSuchKey", 404)
    as_marker = {"Bucket": bucket, "Key": "k", "VersionId": marker["VersionId"]}
    assert refusal(s3.get_object, **as_marker) == ("MethodNotAllowed", 405)
    listed = s3.list_object_versions(Bucket=bucket)
    assert [one["VersionId"] for one in listed["Versions"]] == [second, first, "null"]
    assert [one["IsLatest"] for one in listed["DeleteMarkers"]] == [True]
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )
    assert len(list(pages)) == 4
    s3.delete_object(**as_marker)
    assert body_of(s3.get_object(Bucket=bucket, Key="k")) == b"2"
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": first}
    )
    assert body_of(s3.get_object(Bucket=bucket, Key="k")) == b"1"
    unknown = {"Bucket": bucket, "Key": "k", "VersionId": "no-such-version"}
    assert refusal(s3.get_object, **unknown)[0] in ("NoSuchVersion", "InvalidArgument")


def test_tags_are_put_read_and_deleted(s3: BaseClient, bucket: str) -> None:
    tags = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "é", "Value": "x y"}]}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tags)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags["TagSet"]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tags)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags["TagSet"]
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)


# Notifications


def test_a_configuration_tells_functions_and_queues(
    platform: Platform, functions: Functions, s3: BaseClient, bucket: str
) -> None:
    function = platform.client("lambda").get_function(FunctionName=functions.make(ECHO))
    function_arn = function["Configuration"]["FunctionArn"]
    sqs = platform.client("sqs")
    queue = sqs.create_queue(QueueName=platform.new_name("told"))["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    rules = {
        "LambdaFunctionConfigurations": [
            {
                "Id": "pictures",
                "LambdaFunctionArn": function_arn,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {
                    "Key": {
                        "FilterRules": [
                            {"Name": "Prefix", "Value": "in/"},
                            {"Name": "Suffix", "Value": ".jpg"},
                        ]
                    }
                },
            }
        ],
        "QueueConfigurations": [
            {"Id": "removed", "QueueArn": queue_arn, "Events": ["s3:ObjectRemoved:*"]}
        ],
    }
    put = s3.put_bucket_notification_configuration
    put(Bucket=bucket, NotificationConfiguration=rules)
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert {name: told[name] for name in rules} == rules

    def receive() -> dict[str, object]:
        got = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=got["ReceiptHandle"])
        document: dict[str, object] = json.loads(got["Body"])
        return document

    test = receive()
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", bucket)
    s3.put_object(Bucket=bucket, Key="a b", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a b")
    records = receive()["Records"]
    assert isinstance(records, list)
    assert records[0]["eventName"] == "ObjectRemoved:Delete"
    assert records[0]["s3"]["object"]["key"] == "a+b"
    put(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    sqs.delete_queue(QueueUrl=queue)


def test_a_configuration_that_cannot_work_is_refused(s3: BaseClient, bucket: str) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:no-such"
    rule = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    topic = {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Events": ["s3:ObjectCreated:*"]}

    def put(rules: dict[str, object]) -> tuple[str, int]:
        return refusal(
            s3.put_bucket_notification_configuration,
            Bucket=bucket,
            NotificationConfiguration=rules,
        )

    kind = "LambdaFunctionConfigurations"
    assert put({kind: [rule]}) == ("InvalidArgument", 400)
    assert put({kind: [rule, rule]}) == ("InvalidArgument", 400)
    assert put({kind: [{**rule, "Events": ["s3:Nothing"]}]}) == ("InvalidArgument", 400)
    assert put({"TopicConfigurations": [topic]}) == ("NotImplemented", 501)
