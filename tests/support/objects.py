"""Buckets for tests, and what boto3 says of an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.support.platform import Platform


@contextlib.contextmanager
def new_bucket(platform: Platform) -> Iterator[str]:
    """A bucket for as long as the block runs; it is emptied and deleted afterwards."""
    s3 = platform.client("s3")
    name = platform.new_name("bucket")
    s3.create_bucket(Bucket=name)
    try:
        yield name
    finally:
        empty(s3, name)
        s3.delete_bucket(Bucket=name)


def empty(s3: BaseClient, bucket: str) -> None:
    """Delete every version and every marker."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def refusal(call: Callable[..., object], **arguments: object) -> tuple[str, int]:
    """Code and status of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def body_of(answer: Mapping[str, Any]) -> bytes:
    """An object's bytes; boto3 checks their checksum where there is one."""
    content: bytes = answer["Body"].read()
    return content
