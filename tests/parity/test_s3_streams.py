"""Objects are streams: memory does not grow with them, and half of one is nothing."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.client import BaseClient
from botocore.config import Config

from tests.support.objects import new_bucket, refusal
from tests.support.platform import Platform, run_platform

MIB = 1024 * 1024
SIZE = 256 * MIB
GROWTH_MIB_MAX = 32


@pytest.fixture(scope="module")
def s3(platform: Platform) -> BaseClient:
    return platform.client("s3")


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    with new_bucket(platform) as name:
        yield name


def peak_mib(platform: Platform) -> float:
    """The most memory that the daemon has ever had resident."""
    status = Path(f"/proc/{platform.process.pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def test_memory_does_not_grow_with_an_object() -> None:
    with run_platform() as platform, tempfile.TemporaryFile() as file:
        s3 = platform.client("s3")
        s3.create_bucket(Bucket="large")
        s3.put_object(Bucket="large", Key="first", Body=os.urandom(2 * MIB))
        before = peak_mib(platform)
        digest = hashlib.sha256()
        block = os.urandom(MIB)
        for number in range(SIZE // MIB):
            piece = number.to_bytes(4, "big") + block[4:]
            file.write(piece)
            digest.update(piece)
        file.seek(0)
        s3.put_object(Bucket="large", Key="k", Body=file)
        told = hashlib.sha256()
        for chunk in s3.get_object(Bucket="large", Key="k")["Body"].iter_chunks(MIB):
            told.update(chunk)
        assert told.digest() == digest.digest()
        s3.copy_object(Bucket="large", Key="c", CopySource={"Bucket": "large", "Key": "k"})
        assert peak_mib(platform) - before < GROWTH_MIB_MAX


def test_a_reader_that_does_not_read_costs_no_memory(
    platform: Platform, s3: BaseClient, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(64 * MIB))
    before = peak_mib(platform)
    config = Config(signature_version="s3v4")
    signer = platform.session.client("s3", endpoint_url=platform.endpoint, config=config)
    url = urlsplit(signer.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}))
    request = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    connections = [
        socket.create_connection((url.hostname or "", url.port or 80), 20) for _ in range(4)
    ]
    for one in connections:
        one.sendall(request)
        assert one.recv(1_000).startswith(b"HTTP/1.1 200")
    s3.head_object(Bucket=bucket, Key="k")
    for one in connections:
        one.close()
    assert peak_mib(platform) - before < GROWTH_MIB_MAX


def test_an_upload_that_breaks_off_is_nothing(
    platform: Platform, s3: BaseClient, bucket: str
) -> None:
    config = Config(signature_version="s3v4")
    signer = platform.session.client("s3", endpoint_url=platform.endpoint, config=config)
    for size in (20_000, 8 * MIB):
        key = f"k{size}"
        url = urlsplit(signer.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key}))
        head = (
            f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Length: {size}\r\n\r\n"
        ).encode()
        with socket.create_connection((url.hostname or "", url.port or 80), 20) as connection:
            connection.sendall(head + bytes(size - 1))
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1_000) == b""
        assert refusal(s3.head_object, Bucket=bucket, Key=key)[1] == 404
    assert not s3.list_objects_v2(Bucket=bucket)["KeyCount"]


def test_a_connection_goes_on_after_an_error(platform: Platform, bucket: str) -> None:
    config = Config(signature_version="s3v4")
    signer = platform.session.client("s3", endpoint_url=platform.endpoint, config=config)
    lost = {"Bucket": bucket, "Key": "no-such"}
    url = urlsplit(signer.generate_presigned_url("get_object", lost))
    request = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    with socket.create_connection((url.hostname or "", url.port or 80), 20) as connection:
        for _ in range(3):
            connection.sendall(request)
            answer = connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 404")
            assert b"connection: close" not in answer.lower()
