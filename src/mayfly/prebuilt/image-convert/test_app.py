"""Tests of the function as its user would begin them: `python -m pytest` in this folder.

The bucket is moto's, in this process: `pip install pytest "moto[s3]"`.
"""

from __future__ import annotations

import base64
import io
import os

os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
os.environ |= {"TARGET_BUCKET": "thumbs", "SIZES": "100", "FORMATS": "webp"}

# Before the function makes its client: moto answers for those made after it.
from moto import mock_aws

# isort: split
import boto3
from app import handler
from PIL import Image


def encoded(width: int, height: int) -> bytes:
    """An image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_event_is_answered_with_the_image_in_the_format_asked_for() -> None:
    """The answer holds the image and its measures."""
    image = base64.b64encode(encoded(400, 200)).decode()
    answer = handler({"image": image, "format": "webp", "width": 100}, None)
    made = Image.open(io.BytesIO(base64.b64decode(answer["image"])))
    assert (made.format, made.size) == ("WEBP", (100, 50))


def test_what_is_no_image_is_refused_with_a_sentence() -> None:
    """A refusal is statusCode 400."""
    answer = handler({"image": base64.b64encode(b"hello").decode()}, None)
    assert answer["statusCode"] == 400
    assert "no image" in answer["error"]


@mock_aws
def test_what_is_put_into_a_bucket_appears_in_the_other() -> None:
    """The event is a bucket's notification."""
    s3 = boto3.client("s3", region_name="us-east-1")
    for bucket in ("photos", "thumbs"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="photos", Key="in/a.png", Body=encoded(400, 200))
    told = {"bucket": {"name": "photos"}, "object": {"key": "in/a.png"}}
    event = {"Records": [{"eventName": "ObjectCreated:Put", "s3": told}]}
    assert handler(event, None)["pictures"][0]["key"] == "in/a-100.webp"
    body = s3.get_object(Bucket="thumbs", Key="in/a-100.webp")["Body"].read()
    assert Image.open(io.BytesIO(body)).size == (100, 50)
