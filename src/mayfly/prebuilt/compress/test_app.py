"""Tests of the function as its user would begin them: `python -m pytest` in this folder.

The bucket is moto's, in this process: `pip install pytest "moto[s3]"`.
"""

from __future__ import annotations

import io
import os
import zipfile

os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# Before the function makes its client: moto answers for those made after it.
from moto import mock_aws

# isort: split
import boto3
from app import handler


@mock_aws
def test_a_prefix_becomes_a_zip_and_comes_back() -> None:
    """What was packed is what comes out."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="box")
    for key in ("in/a.txt", "in/deep/b.txt"):
        s3.put_object(Bucket="box", Key=key, Body=key.encode())
    assert handler({"bucket": "box", "prefix": "in/", "target_key": "a.zip"}, None)["objects"] == 2
    handler({"action": "extract", "bucket": "box", "key": "a.zip", "target_prefix": "out/"}, None)
    assert s3.get_object(Bucket="box", Key="out/deep/b.txt")["Body"].read() == b"in/deep/b.txt"


@mock_aws
def test_an_archive_that_leads_out_is_refused() -> None:
    """A refusal is statusCode 400, and nothing was written."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="box")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil", "x")
    s3.put_object(Bucket="box", Key="a.zip", Body=buffer.getvalue())
    answer = handler({"action": "extract", "bucket": "box", "key": "a.zip"}, None)
    assert answer["statusCode"] == 400
    assert s3.list_objects_v2(Bucket="box")["KeyCount"] == 1
