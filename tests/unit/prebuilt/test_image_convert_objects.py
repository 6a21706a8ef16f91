"""image-convert between buckets: notifications, queues of them, and objects by name."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws
from PIL import Image

from tests.support.prebuilt import Handler, loaded

ENVIRONMENT = {"TARGET_BUCKET": "thumbs", "SIZES": "100,200x50", "FORMATS": "webp,jpeg"}


@pytest.fixture
def s3() -> Iterator[BaseClient]:
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
        )
        for bucket in ("photos", "thumbs"):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture
def handler(s3: BaseClient) -> Iterator[Handler]:
    assert s3 is not None
    with loaded("image-convert", ENVIRONMENT) as found:
        yield found


def photograph(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (400, 200), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def put(s3: BaseClient, key: str, data: bytes, **more: object) -> dict[str, object]:
    """Put an object into photos; the notification that tells of it."""
    s3.put_object(Bucket="photos", Key=key, Body=data, **more)
    return notification(key)


def notification(key: str, bucket: str = "photos", name: str = "Put") -> dict[str, object]:
    entry = {"key": quote_plus(key, safe="/"), "sequencer": "01"}
    record = {
        "eventSource": "aws:s3",
        "eventName": f"ObjectCreated:{name}",
        "s3": {"bucket": {"name": bucket}, "object": entry},
    }
    return {"Records": [record]}


def keys(s3: BaseClient, bucket: str = "thumbs") -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_what_is_put_into_a_bucket_appears_in_the_other_in_each_size_and_format(
    s3: BaseClient, handler: Handler
) -> None:
    answer = handler(put(s3, "in/my photo+é.jpg", photograph()), None)
    assert keys(s3) == [
        "in/my photo+é-100.jpeg",
        "in/my photo+é-100.webp",
        "in/my photo+é-200x50.jpeg",
        "in/my photo+é-200x50.webp",
    ]
    assert [one["made"] for one in answer["pictures"]] == [True] * 4
    got = s3.get_object(Bucket="thumbs", Key="in/my photo+é-100.webp")
    assert got["ContentType"] == "image/webp"
    assert Image.open(got["Body"]).size == (100, 50)


def test_an_event_that_comes_twice_makes_the_pictures_once(
    s3: BaseClient, handler: Handler
) -> None:
    event = put(s3, "a.jpg", photograph())
    handler(event, None)
    before = s3.head_object(Bucket="thumbs", Key="a-100.webp")["LastModified"]
    again = handler(event, None)
    assert [one["made"] for one in again["pictures"]] == [False] * 4
    assert s3.head_object(Bucket="thumbs", Key="a-100.webp")["LastModified"] == before


def test_a_new_picture_under_the_old_key_is_made_again(s3: BaseClient, handler: Handler) -> None:
    handler(put(s3, "a.jpg", photograph("red")), None)
    answer = handler(put(s3, "a.jpg", photograph("blue")), None)
    assert all(one["made"] for one in answer["pictures"])
    image = Image.open(s3.get_object(Bucket="thumbs", Key="a-100.jpeg")["Body"])
    assert image.convert("RGB").getpixel((5, 5))[2] > 200  # type: ignore[index]


def test_its_own_work_is_never_its_input(s3: BaseClient, handler: Handler) -> None:
    event = {"bucket": "photos", "key": "a.jpg", "target_bucket": "photos", "width": 50}
    put(s3, "a.jpg", photograph())
    made = handler(event | {"format": "webp"}, None)["pictures"]
    assert [one["key"] for one in made] == ["a-50.webp"]
    assert handler(notification("a-50.webp"), None) == {"pictures": []}
    assert keys(s3) == []


def test_an_object_by_name_is_converted_as_the_event_says(s3: BaseClient, handler: Handler) -> None:
    put(s3, "2024/a.png", photograph())
    event = {
        "bucket": "photos",
        "key": "2024/a.png",
        "target_key": "{name}/{width}x{height}.{ext}.{format}",
        "sizes": [80, "40x40"],
        "format": "png",
        "fit": "cover",
    }
    answer = handler(event, None)
    assert [one["key"] for one in answer["pictures"]] == ["a/80x40.png.png", "a/40x40.png.png"]
    assert keys(s3) == ["a/40x40.png.png", "a/80x40.png.png"]


def test_an_object_that_is_gone_is_nothing_to_do(handler: Handler) -> None:
    assert handler(notification("gone.jpg"), None) == {"pictures": []}


def test_other_events_of_a_bucket_are_left_alone(s3: BaseClient, handler: Handler) -> None:
    event = put(s3, "a.jpg", photograph())
    event["Records"][0]["eventName"] = "ObjectRemoved:Delete"  # type: ignore[index]
    assert handler(event, None) == {"pictures": []}
    assert handler({"Service": "Amazon S3", "Event": "s3:TestEvent"}, None) == {"pictures": []}


def test_what_is_no_picture_fails_its_event_and_spares_the_others(
    s3: BaseClient, handler: Handler
) -> None:
    event = put(s3, "bad.jpg", b"text")
    event["Records"] += put(s3, "good.jpg", photograph())["Records"]  # type: ignore[operator]
    with pytest.raises(Exception, match=r"photos/bad\.jpg: .*no image"):
        handler(event, None)
    assert len(keys(s3)) == 4


def test_of_a_queue_only_the_failed_messages_come_again(s3: BaseClient, handler: Handler) -> None:
    bodies = [put(s3, "bad.jpg", b"text"), put(s3, "good.jpg", photograph())]
    records = [
        {"eventSource": "aws:sqs", "messageId": f"m{n}", "body": json.dumps(body)}
        for n, body in enumerate(bodies)
    ]
    answer = handler({"Records": records}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert len(keys(s3)) == 4


def test_too_large_an_object_is_not_fetched(s3: BaseClient) -> None:
    with loaded("image-convert", {**ENVIRONMENT, "SOURCE_BYTES_MAX": "10"}) as handler:
        put(s3, "a.jpg", photograph())
        answer = handler({"bucket": "photos", "key": "a.jpg"}, None)
        assert answer["statusCode"] == 400
        assert "over SOURCE_BYTES_MAX, which is 10" in answer["error"]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"bucket": "photos"}, "name the object"),
        ({"bucket": "photos", "key": "a.jpg", "target_key": "{nmae}"}, "there is dir, name, ext"),
        ({"bucket": "photos", "key": "a.jpg", "colour": "red"}, "there is no colour"),
        (
            {"bucket": "photos", "key": "a.jpg", "target_bucket": "photos", "target_key": "a.jpg"},
            "photos/a.jpg would be overwritten",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(
    s3: BaseClient, handler: Handler, event: dict[str, object], told: str
) -> None:
    put(s3, "a.jpg", photograph())
    answer = handler(event, None)
    assert answer["statusCode"] == 400
    assert told in answer["error"]


def test_a_picture_is_made_where_the_function_may_not_look(
    s3: BaseClient, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    import objects  # type: ignore[import-not-found]  # noqa: PLC0415  the loaded function's

    refusal = {"Error": {"Code": "403", "Message": "Forbidden"}}

    def refused(**_: object) -> None:
        raise objects.ClientError(refusal, "HeadObject")

    monkeypatch.setattr(objects.S3, "head_object", refused)
    assert len(handler(put(s3, "a.jpg", photograph()), None)["pictures"]) == 4
