"""S3 with an unmodified boto3: buckets, objects, conditions, ranges, copies, listings, errors."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.support.objects import body_of, new_bucket, refusal
from tests.support.platform import Platform

KEYS = (
    *(
        "plain",
        "a b",
        "a+b",
        "100%",
        "%2F",
        "é/ü/漢字/🚀",
        "..",
        "../up",
        "a/../b",
        "a//b",
        "/lead",
    ),
    *("trail/", "q?x=1&y=2", "#hash", "tab\tkey", "quote\"'<&>", "~-_.!*()", "a\\b", "C:\\x"),
)


@pytest.fixture(scope="module")
def s3(platform: Platform) -> BaseClient:
    return platform.client("s3")


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    with new_bucket(platform) as name:
        yield name


# Buckets


def test_a_bucket_is_made_found_listed_and_deleted(platform: Platform, s3: BaseClient) -> None:
    name = platform.new_name("b")
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert refusal(s3.create_bucket, Bucket=name) == ("BucketAlreadyOwnedByYou", 409)
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert name in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=name, Key="k", Body=b"")
    assert refusal(s3.delete_bucket, Bucket=name) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    assert refusal(s3.head_bucket, Bucket=name) == ("404", 404)
    assert refusal(s3.list_objects_v2, Bucket=name) == ("NoSuchBucket", 404)


@pytest.mark.parametrize("name", ["Upper", "ab", "a..b", "-a-b", "192.168.0.1", "under_score"])
def test_a_bucket_has_a_valid_name(s3: BaseClient, name: str) -> None:
    assert refusal(s3.create_bucket, Bucket=name)[0] == "InvalidBucketName"


def test_buckets_are_listed_in_pages(platform: Platform, s3: BaseClient) -> None:
    stem = platform.new_name("page")
    names = [f"{stem}-{one}" for one in "abc"]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = s3.get_paginator("list_buckets").paginate(Prefix=stem, PaginationConfig={"PageSize": 2})
    found = [[one["Name"] for one in page["Buckets"]] for page in pages]
    assert found == [names[:2], names[2:]]
    for name in names:
        s3.delete_bucket(Bucket=name)


# Objects


@pytest.mark.parametrize("key", KEYS)
def test_every_key_round_trips(s3: BaseClient, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert body_of(s3.get_object(Bucket=bucket, Key=key)) == key.encode()
    for call in (s3.list_objects_v2, s3.list_objects):
        assert [one["Key"] for one in call(Bucket=bucket)["Contents"]] == [key]
    source = {"Bucket": bucket, "Key": key}
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=source)
    assert body_of(s3.get_object(Bucket=bucket, Key="copied")) == key.encode()
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [one["Key"] for one in gone["Deleted"]] == [key]
    assert refusal(s3.get_object, Bucket=bucket, Key=key) == ("NoSuchKey", 404)


def test_what_was_said_about_an_object_is_told_to_its_readers(s3: BaseClient, bucket: str) -> None:
    facts = {
        "ContentType": "text/plain; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a.txt"',
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
        "Metadata": {"colour": "blue", "mixed-case": "Yes"},
        "StorageClass": "STANDARD_IA",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=%20two", **facts)
    for call in (s3.get_object, s3.head_object):
        told = call(Bucket=bucket, Key="k")
        assert {name: told[name] for name in facts} == facts
        assert told["TagCount"] == 2
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": " two"}]
    override = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="text/html", ResponseCacheControl="no-store"
    )
    assert override["ContentType"] == "text/html"
    assert override["CacheControl"] == "no-store"
    assert override["ContentLanguage"] == "de"


@pytest.mark.parametrize("size", [0, 1, 4_096, 65_536, 65_537, 300_000, 3_000_000])
def test_a_body_of_any_size_comes_back_in_any_range(s3: BaseClient, bucket: str, size: int) -> None:
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert body_of(s3.get_object(Bucket=bucket, Key="k")) == body
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == size
    if not size:
        assert refusal(s3.get_object, Bucket=bucket, Key="k", Range="bytes=0-0")[1] == 416
        return
    for text, part in (
        ("bytes=0-0", body[:1]),
        ("bytes=-1", body[-1:]),
        (f"bytes=-{size + 9}", body),
        (f"bytes={size // 2}-", body[size // 2 :]),
        (f"bytes={size // 3}-{size * 2}", body[size // 3 :]),
        (f"bytes={size // 3}-{size // 2}", body[size // 3 : size // 2 + 1]),
    ):
        told = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert (told["ResponseMetadata"]["HTTPStatusCode"], body_of(told)) == (206, part)
        head = s3.head_object(Bucket=bucket, Key="k", Range=text)
        assert head["ContentLength"] == len(part)
        assert head["ContentRange"] == told["ContentRange"]
    assert refusal(s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={size}-") == (
        "InvalidRange",
        416,
    )
    whole = s3.get_object(Bucket=bucket, Key="k", Range="bytes=3-1")
    assert (whole["ResponseMetadata"]["HTTPStatusCode"], body_of(whole)) == (200, body)


def test_a_read_depends_on_its_conditions(s3: BaseClient, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    at = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    day = timedelta(days=1)
    for call in (s3.get_object, s3.head_object):
        target = {"Bucket": bucket, "Key": "k"}
        call(**target, IfMatch=etag)
        call(**target, IfNoneMatch='"other"')
        call(**target, IfUnmodifiedSince=at)
        call(**target, IfModifiedSince=at - day)
        call(**target, IfMatch=etag, IfUnmodifiedSince=at - day)
        assert refusal(call, **target, IfMatch='"other"')[1] == 412
        assert refusal(call, **target, IfUnmodifiedSince=at - day)[1] == 412
        assert refusal(call, **target, IfNoneMatch=etag)[1] == 304
        assert refusal(call, **target, IfModifiedSince=at)[1] == 304
        assert refusal(call, **target, IfNoneMatch=etag, IfModifiedSince=at - day)[1] == 304


def test_a_write_depends_on_its_conditions(s3: BaseClient, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**target, Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(s3.put_object, **target, Body=b"2", IfNoneMatch="*") == (
        "PreconditionFailed",
        412,
    )
    assert refusal(s3.put_object, **target, Body=b"2", IfMatch='"other"')[1] == 412
    s3.put_object(**target, Body=b"2", IfMatch=etag)
    assert refusal(s3.put_object, Bucket=bucket, Key="new", Body=b"", IfMatch=etag)[1] == 404
    assert refusal(s3.delete_object, **target, IfMatch=etag)[1] == 412
    assert body_of(s3.get_object(**target)) == b"2"


# Copies


def test_a_copy_keeps_or_replaces_what_was_said(s3: BaseClient, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1"
    )
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    kept = s3.head_object(Bucket=bucket, Key="kept")
    assert (kept["ContentType"], kept["Metadata"], kept["TagCount"]) == ("a/b", {"m": "1"}, 1)
    s3.copy_object(
        Bucket=bucket,
        Key="new",
        CopySource=source,
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        Metadata={"n": "2"},
        ContentType="c/d",
        Tagging="t=2&u=3",
    )
    new = s3.head_object(Bucket=bucket, Key="new")
    assert (new["ContentType"], new["Metadata"], new["TagCount"]) == ("c/d", {"n": "2"}, 2)
    assert refusal(s3.copy_object, Bucket=bucket, Key="k", CopySource=source)[0] == "InvalidRequest"
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"z": "9"}
    )
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"z": "9"}


def test_a_copy_depends_on_its_source(s3: BaseClient, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    copy = {"Bucket": bucket, "Key": "to", "CopySource": {"Bucket": bucket, "Key": "k"}}
    s3.copy_object(**copy, CopySourceIfMatch=etag)
    assert refusal(s3.copy_object, **copy, CopySourceIfMatch='"other"')[1] == 412
    assert refusal(s3.copy_object, **copy, CopySourceIfNoneMatch=etag)[1] == 412
    assert refusal(s3.copy_object, **copy, IfNoneMatch="*")[1] == 412
    lost = {**copy, "CopySource": {"Bucket": bucket, "Key": "lost"}}
    assert refusal(s3.copy_object, **lost) == ("NoSuchKey", 404)
    nowhere = {**copy, "CopySource": {"Bucket": "not-a-bucket", "Key": "k"}}
    assert refusal(s3.copy_object, **nowhere) == ("NoSuchBucket", 404)


# Listings


def test_listings_have_prefixes_pages_and_an_order(s3: BaseClient, bucket: str) -> None:
    keys = sorted(["a", "a/1", "a/2", "a/b/3", "b/1", "c", "ä", "z"], key=str.encode)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    def listed(name: str, **arguments: object) -> tuple[list[str], list[str]]:
        found: list[str] = []
        prefixes: list[str] = []
        pages = s3.get_paginator(name).paginate(Bucket=bucket, **arguments)
        for page in pages:
            found += [one["Key"] for one in page.get("Contents", [])]
            prefixes += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
        return found, prefixes

    for name in ("list_objects_v2", "list_objects"):
        for size in (1, 2, 3, 1000):
            paging = {"PaginationConfig": {"PageSize": size}}
            assert listed(name, **paging) == (keys, [])
            assert listed(name, Prefix="a/", **paging) == (["a/1", "a/2", "a/b/3"], [])
            assert listed(name, Delimiter="/", **paging) == (["a", "c", "z", "ä"], ["a/", "b/"])
            assert listed(name, Delimiter="/", Prefix="a/", **paging) == (
                ["a/1", "a/2"],
                ["a/b/"],
            )
            assert listed(name, Prefix="none", **paging) == ([], [])
    assert listed("list_objects_v2", StartAfter="a/2")[0] == keys[3:]
    one = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, FetchOwner=True)
    assert (one["KeyCount"], one["IsTruncated"]) == (1, True)
    assert one["Contents"][0]["Owner"]["ID"]
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    bad = refusal(s3.list_objects_v2, Bucket=bucket, ContinuationToken="?")
    assert bad == ("InvalidArgument", 400)


def test_many_keys_are_deleted_at_once(s3: BaseClient, bucket: str) -> None:
    keys = [f"k{one}" for one in range(20)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    asked = [{"Key": key} for key in [*keys, "never-there"]]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": asked})
    assert [one["Key"] for one in gone["Deleted"]] == [*keys, "never-there"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": asked, "Quiet": True})
    assert "Deleted" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    too_many = [{"Key": str(one)} for one in range(1_001)]
    assert refusal(s3.delete_objects, Bucket=bucket, Delete={"Objects": too_many}) == (
        "MalformedXML",
        400,
    )


# Bad input


def test_what_s3_has_and_mayfly_lacks_is_refused_by_name(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    lifecycle = {"Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]}
    for call, arguments in (
        (s3.put_bucket_lifecycle_configuration, {"LifecycleConfiguration": lifecycle}),
        (s3.put_bucket_policy, {"Policy": "{}"}),
        (s3.get_object_torrent, {"Key": "k"}),
        (s3.put_object_legal_hold, {"Key": "k", "LegalHold": {"Status": "ON"}}),
        (s3.put_object, {"Key": "k", "ServerSideEncryption": "AES256", "Body": b""}),
    ):
        assert refusal(call, Bucket=bucket, **arguments) == ("NotImplemented", 501)
    public = {"Bucket": bucket, "Key": "p", "Body": b"", "ACL": "public-read"}
    assert refusal(s3.put_object, **public) == ("AccessControlListNotSupported", 400)
    assert body_of(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_a_private_bucket_answers_what_tools_ask(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="private")
    for acl in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        assert [one["Permission"] for one in acl["Grants"]] == ["FULL_CONTROL"]
        assert acl["Grants"][0]["Grantee"]["ID"] == acl["Owner"]["ID"]
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    for call, code in (
        (s3.get_bucket_policy, "NoSuchBucketPolicy"),
        (s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration"),
        (s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError"),
        (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
        (s3.get_bucket_tagging, "NoSuchTagSet"),
        (s3.get_bucket_cors, "NoSuchCORSConfiguration"),
    ):
        assert refusal(call, Bucket=bucket) == (code, 404)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Key": "k" * 1_025}, "KeyTooLongError"),
        ({"Metadata": {"m": "x" * 2_100}}, "MetadataTooLarge"),
        ({"Tagging": "&".join(f"k{one}=v" for one in range(11))}, "BadRequest"),
        ({"Tagging": "a=1&a=2"}, "InvalidTag"),
        ({"StorageClass": "ATTIC"}, "InvalidStorageClass"),
        ({"ContentMD5": "bm90IGEgZGlnZXN0"}, "InvalidDigest"),
        ({"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"),
        ({"ChecksumCRC32": "AAA="}, "InvalidRequest"),
        ({"ChecksumSHA256": "AAAA"}, "InvalidRequest"),
        ({"Bucket": "not-there-at-all"}, "NoSuchBucket"),
        ({"ExpectedBucketOwner": "111111111111"}, "AccessDenied"),
    ],
)
def test_a_put_that_is_refused_leaves_nothing(
    s3: BaseClient, bucket: str, arguments: dict[str, str], code: str
) -> None:
    asked = {"Bucket": bucket, "Key": "k", "Body": b"body", **arguments}
    assert refusal(s3.put_object, **asked)[0] == code
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_an_error_says_what_it_is_about(s3: BaseClient, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="no/such")
    error = caught.value.response["Error"]
    assert error["Key"] == "no/such"
    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["RequestId"]
    assert metadata["HostId"]


# Transfers


def test_the_transfer_manager_moves_large_files(s3: BaseClient, bucket: str) -> None:
    body = os.urandom(20_000_000)
    s3.upload_fileobj(io.BytesIO(body), bucket, "large")
    into = io.BytesIO()
    s3.download_fileobj(bucket, "large", into)
    assert into.getvalue() == body
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy")
    assert body_of(s3.get_object(Bucket=bucket, Key="copy")) == body
