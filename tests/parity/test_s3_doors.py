"""S3's other doors: presigned URLs, forms, browsers, virtual hosts, and what signatures guard."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials

from tests.support.objects import body_of, new_bucket, refusal
from tests.support.platform import HttpAnswer, Platform, fetch


@pytest.fixture(scope="module")
def s3(platform: Platform) -> BaseClient:
    return platform.client("s3")


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    with new_bucket(platform) as name:
        yield name


def signed(
    platform: Platform,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    stated: str = "",
    headers: Mapping[str, str] | None = None,
    later: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """A request signed by botocore, sent as it is.

    Args:
        stated: x-amz-content-sha256; the body's digest where it is left out.
        later: Headers that are added after the signature.
    """
    request = AWSRequest(method, platform.endpoint + path, headers=dict(headers or {}), data=body)
    key = Credentials(platform.access_key_id, platform.secret_access_key)
    _Signer(key, stated or hashlib.sha256(body).hexdigest()).add_auth(request)
    return fetch(
        platform.endpoint + path,
        data=body or None,
        method=method,
        headers={**dict(request.headers.items()), **(later or {})},
    )


class _Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs the digest that it is given."""

    def __init__(self, credentials: Credentials, stated: str) -> None:
        super().__init__(credentials, "s3", "us-east-1")
        self._stated = stated

    def payload(self, _: AWSRequest) -> str:
        return self._stated


# Presigned URLs


def presigner(platform: Platform, version: str) -> BaseClient:
    """boto3 presigns with the old signature ("s3") unless it is told otherwise."""
    config = Config(signature_version=version if version != "s3" else None)
    return platform.session.client("s3", endpoint_url=platform.endpoint, config=config)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_opens_one_object_for_one_verb(
    platform: Platform, bucket: str, version: str
) -> None:
    s3 = presigner(platform, version)
    target = {"Bucket": bucket, "Key": "a b/é+.txt"}
    put = s3.generate_presigned_url("put_object", {**target, "ContentType": "text/plain"})
    assert (
        fetch(put, data=b"body", method="PUT", headers={"Content-Type": "text/html"}).status == 403
    )
    wrote = fetch(put, data=b"body", method="PUT", headers={"Content-Type": "text/plain"})
    assert wrote.status == 200, wrote.body
    get = s3.generate_presigned_url("get_object", target)
    assert fetch(get).body == b"body"
    named = {**target, "ResponseContentDisposition": 'attachment; filename="x"'}
    told = fetch(s3.generate_presigned_url("get_object", named))
    assert told.headers["content-disposition"] == 'attachment; filename="x"'
    assert fetch(get, method="DELETE").status == 403
    assert b"SignatureDoesNotMatch" in fetch(get.replace("a%20b", "a%20c")).body
    copy = {"x-amz-copy-source": f"{bucket}/other"}
    headers = {"Content-Type": "text/plain", **copy}
    refused = fetch(put, data=b"", method="PUT", headers=headers)
    why = b"HeadersNotSigned" if version == "s3v4" else b"SignatureDoesNotMatch"
    assert (refused.status, why in refused.body) == (403, True)
    if version == "s3":
        expired = s3.generate_presigned_url("get_object", target, ExpiresIn=-1)
        assert b"Request has expired" in fetch(expired).body


def test_an_unsigned_request_is_denied(platform: Platform, bucket: str) -> None:
    host = {"Host": f"{bucket}.s3.localhost"}
    for method in ("GET", "PUT", "DELETE"):
        answer = fetch(f"{platform.endpoint}/k", method=method, headers=host)
        assert (answer.status, b"<Code>AccessDenied</Code>" in answer.body) == (403, True)
    old = fetch(f"{platform.endpoint}/{bucket}/k", headers={"Authorization": "AWS key:signature"})
    assert (old.status, b"AWS4-HMAC-SHA256" in old.body) == (400, True)


# What a signature guards


def test_a_body_that_is_not_the_signed_one_is_never_seen(
    platform: Platform, s3: BaseClient, bucket: str
) -> None:
    path = f"/{bucket}/k"
    for size in (10, 100_000):
        lie = hashlib.sha256(b"another").hexdigest()
        answer = signed(platform, "PUT", path, body=b"x" * size, stated=lie)
        assert b"<Code>XAmzContentSHA256Mismatch" in answer.body, answer
    wrong = signed(platform, "PUT", path, body=b"x", later={"Authorization": "AWS4-HMAC-SHA256 x"})
    assert wrong.status in (400, 403)
    refused = signed(platform, "PUT", path, body=b"x", later={"x-amz-meta-added": "1"})
    assert (refused.status, b"AccessDenied" in refused.body) == (403, True)
    assert refusal(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    assert signed(platform, "PUT", path, body=b"right").status == 200


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_an_unsigned_stream_has_its_checksum_behind_it(
    platform: Platform, s3: BaseClient, bucket: str, size: int
) -> None:
    content = os.urandom(size)
    right = b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()

    def put(checksum: str, *, said: int = size) -> HttpAnswer:
        cut = [content[at : at + 70_000] for at in range(0, size, 70_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in cut)
        body += f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
        return signed(
            platform,
            "PUT",
            f"/{bucket}/k",
            body=body,
            stated="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            headers={
                "Content-Encoding": "aws-chunked",
                "x-amz-decoded-content-length": str(said),
                "x-amz-trailer": "x-amz-checksum-crc32",
            },
        )

    wrong = put("AAAAAQ==")
    assert b"<Code>BadDigest" in wrong.body, wrong
    assert put(right, said=size + 1).status == 400
    assert refusal(s3.head_object, Bucket=bucket, Key="k")[1] == 404
    assert put(right).status == 200
    told = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert body_of(told) == content
    assert told["ChecksumCRC32"] == right
    assert "ContentEncoding" not in told


def test_a_client_that_waits_for_100_is_told_to_go_on_or_refused(
    platform: Platform, bucket: str
) -> None:
    place = urlsplit(platform.endpoint)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    connection.putrequest("PUT", f"/{bucket}/k")
    connection.putheader("Content-Length", "10000000")
    connection.putheader("Expect", "100-continue")
    connection.putheader(
        "Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/r/s3/aws4_request"
    )
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status in (400, 403)
    assert b"<Error>" in answer.read()
    connection.close()


# Forms


def form(fields: Mapping[str, str], content: bytes) -> tuple[bytes, dict[str, str]]:
    """A multipart/form-data body and its header."""
    mark = "----form-boundary"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="up.bin"\r\n'
    parts.append(head.encode() + b"Content-Type: x/y\r\n\r\n" + content)
    parts.append(f"\r\n--{mark}--\r\n".encode())
    return b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={mark}"}


def post(url: str, fields: Mapping[str, str], content: bytes) -> HttpAnswer:
    body, headers = form(fields, content)
    return fetch(url, data=body, method="POST", headers=headers)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_form_uploads_what_its_policy_allows(
    platform: Platform, bucket: str, size: int, version: str
) -> None:
    s3 = presigner(platform, version)
    content = os.urandom(size).replace(b"\r\n", b"--")
    made = s3.generate_presigned_post(
        bucket,
        "in/${filename}",
        Fields={"Content-Type": "image/png", "x-amz-meta-a": "b", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "image/png"},
            {"x-amz-meta-a": "b"},
            {"success_action_status": "201"},
            ["content-length-range", 0, 400_000],
        ],
    )
    answer = post(made["url"], made["fields"], content)
    assert answer.status == 201, answer.body
    assert b"<Key>in/up.bin</Key>" in answer.body
    told = s3.get_object(Bucket=bucket, Key="in/up.bin")
    assert (told["ContentType"], told["Metadata"]) == ("image/png", {"a": "b"})
    assert body_of(told) == content


def test_a_form_beyond_its_policy_is_refused(s3: BaseClient, bucket: str) -> None:
    made = s3.generate_presigned_post(
        bucket,
        "in/a",
        Conditions=[["content-length-range", 2, 10]],
    )
    url, fields = made["url"], made["fields"]
    for changed, code in (
        ({"key": "out/a"}, b"AccessDenied"),
        ({"x-amz-meta-extra": "1"}, b"AccessDenied"),
        ({"policy": fields["policy"][:-4] + "AAAA"}, b"SignatureDoesNotMatch"),
        ({"signature": "AAAA"}, b"SignatureDoesNotMatch"),
        ({"policy": ""}, b"AccessDenied"),
    ):
        answer = post(url, {**fields, **changed}, b"12345")
        assert answer.status in (400, 403)
        assert b"<Code>" + code in answer.body, answer.body
    assert b"EntityTooLarge" in post(url, fields, b"x" * 11).body
    assert b"EntityTooSmall" in post(url, fields, b"x").body
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert post(url, fields, b"12345").status == 204
    expired = s3.generate_presigned_post(bucket, "in/b", ExpiresIn=-1)
    assert b"Policy expired" in post(expired["url"], expired["fields"], b"12345").body


# Browsers


def test_a_browser_is_told_what_the_rules_allow(
    platform: Platform, s3: BaseClient, bucket: str
) -> None:
    url = f"{platform.endpoint}/{bucket}/k"
    ask = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type, x-amz-date",
    }
    assert fetch(url, method="OPTIONS", headers=ask).status == 403
    rule = {
        "AllowedOrigins": ["https://*.example.com"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    }
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
    told = fetch(url, method="OPTIONS", headers=ask)
    assert told.status == 200
    assert told.headers["access-control-allow-origin"] == "https://app.example.com"
    assert told.headers["access-control-allow-methods"] == "GET, PUT"
    assert told.headers["access-control-allow-headers"] == "content-type, x-amz-date"
    assert told.headers["access-control-max-age"] == "600"
    for changed in ({"Origin": "https://evil.com"}, {"Access-Control-Request-Method": "DELETE"}):
        assert fetch(url, method="OPTIONS", headers={**ask, **changed}).status == 403
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    seen = fetch(get, headers={"Origin": "https://app.example.com"})
    assert seen.headers["access-control-allow-origin"] == "https://app.example.com"
    assert seen.headers["access-control-expose-headers"] == "ETag"
    other = fetch(get, headers={"Origin": "https://evil.com"})
    assert "access-control-allow-origin" not in other.headers
    s3.delete_bucket_cors(Bucket=bucket)


# Virtual hosts


def test_a_bucket_is_named_by_the_host(platform: Platform, bucket: str) -> None:
    port = urlsplit(platform.endpoint).port
    client = platform.session.client(
        "s3",
        endpoint_url=f"http://localhost:{port}",
        config=Config(s3={"addressing_style": "virtual"}, retries={"total_max_attempts": 1}),
    )
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "d/k"})
    host = urlsplit(url).netloc
    assert host == f"{bucket}.localhost:{port}"
    platform.client("s3").put_object(Bucket=bucket, Key="d/k", Body=b"found")
    path = f"{platform.endpoint}{urlsplit(url).path}?{urlsplit(url).query}"
    assert fetch(path, headers={"Host": host}).body == b"found"


def test_other_services_are_not_taken_for_s3(platform: Platform) -> None:
    assert fetch(f"{platform.endpoint}/_mayfly/health").status == 200
    assert platform.client("lambda").list_functions()["Functions"] is not None
    nothing = fetch(f"{platform.endpoint}/some/path")
    assert nothing.status == 404
    assert "message" in json.loads(nothing.body) or nothing.body
