"""Triggers of a mayfly.toml, on a real platform: made, changed and removed with the function."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.control import ask, deploy, follow_log
from tests.support.platform import Platform, run_platform

APP = "def handler(event, context):\n    print('got', event)\n    return event\n"


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as running:
        yield running


def manifest(name: str, *triggers: str) -> dict[str, str | bytes]:
    head = f'[function]\nname = "{name}"\nhandler = "app.handler"\n'
    tables = "".join(f"[[trigger]]\n{one}\n" for one in triggers)
    return {"app.py": APP, "mayfly.toml": head + tables}


def changed(answer: dict[str, object]) -> list[str]:
    assert "error" not in answer, answer
    words = answer["changed"]
    assert isinstance(words, list)
    return words


def said(answer: dict[str, object]) -> str:
    error = answer["error"]
    assert isinstance(error, dict)
    return str(error["message"])


def rules(platform: Platform, bucket: str) -> list[dict[str, object]]:
    answer = platform.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    found: list[dict[str, object]] = answer.get("LambdaFunctionConfigurations", [])
    return found


def inspected(platform: Platform, name: str) -> list[dict[str, object]]:
    form = json.loads(ask(platform, "GET", f"/_mayfly/v1/functions/{name}").body)
    triggers: list[dict[str, object]] = form["triggers"]
    return triggers


def test_a_bucket_gets_the_manifests_rules_and_keeps_the_others(platform: Platform) -> None:
    s3 = platform.client("s3")
    s3.create_bucket(Bucket="photos")
    platform.client("sqs").create_queue(QueueName="watch")
    theirs = {
        "Id": "theirs",
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:watch",
        "Events": ["s3:ObjectRemoved:*"],
    }
    s3.put_bucket_notification_configuration(
        Bucket="photos", NotificationConfiguration={"QueueConfigurations": [theirs]}
    )
    trigger = 'type = "object"\nbucket = "photos"\nprefix = "in/"\nsuffix = ".jpg"'
    assert changed(deploy(platform, manifest("resize", trigger))) == ["created", "triggers"]
    (rule,) = rules(platform, "photos")
    assert rule["Id"] == "mayfly:resize:0"
    assert rule["Events"] == ["s3:ObjectCreated:*"]
    assert "triggers" not in changed(deploy(platform, manifest("resize", trigger)))
    wider = 'type = "object"\nbucket = "photos"\nprefix = "out/"'
    assert "triggers" in changed(deploy(platform, manifest("resize", wider)))
    assert len(rules(platform, "photos")) == 1
    assert inspected(platform, "resize") == [
        {"type": "object", "bucket": "photos", "events": ["created"], "prefix": "out/"}
    ]
    assert "triggers" in changed(deploy(platform, manifest("resize")))
    assert rules(platform, "photos") == []
    kept = s3.get_bucket_notification_configuration(Bucket="photos")["QueueConfigurations"]
    assert [one["Id"] for one in kept] == ["theirs"]


def test_an_object_that_is_put_calls_the_function(platform: Platform) -> None:
    platform.client("s3").create_bucket(Bucket="drop")
    trigger = 'type = "object"\nbucket = "drop"'
    changed(deploy(platform, manifest("taker", trigger)))
    platform.client("s3").put_object(Bucket="drop", Key="a b.txt", Body=b"x")
    assert any("a+b.txt" in line for line in follow_log(platform, "taker"))


def test_what_is_missing_is_told_before_anything_changes(platform: Platform) -> None:
    triggers = (
        'type = "object"\nbucket = "nowhere"',
        'type = "queue"\nqueue = "none"',
        'type = "schedule"\ncron = "nonsense"',
        'type = "webhook"\nscheme = "github"\nsecret = "none"',
    )
    message = said(deploy(platform, manifest("early", *triggers)))
    assert "nothing was changed" in message
    assert 'no bucket "nowhere"; make it first: `aws s3 mb s3://nowhere`' in message
    assert 'schedule "cron(nonsense)"' in message
    assert "the webhook's secret" in message
    assert ask(platform, "GET", "/_mayfly/v1/functions/early").status == 404


def test_two_functions_cannot_be_told_of_the_same_change(platform: Platform) -> None:
    platform.client("s3").create_bucket(Bucket="shared")
    trigger = 'type = "object"\nbucket = "shared"'
    changed(deploy(platform, manifest("first", trigger)))
    assert "cannot tell this function" in said(deploy(platform, manifest("second", trigger)))
    changed(deploy(platform, manifest("second", trigger + '\nevents = ["removed"]')))


def test_schedules_follow_the_manifest(platform: Platform) -> None:
    scheduler = platform.client("scheduler")
    rate = 'type = "schedule"\nrate = "1 day"\ninput = { a = 1 }'
    cron = 'type = "schedule"\ncron = "0 8 * * ? *"\ntimezone = "Europe/Berlin"'
    assert changed(deploy(platform, manifest("clock", rate, cron))) == ["created", "triggers"]
    names = [one["Name"] for one in scheduler.list_schedules(GroupName="mayfly")["Schedules"]]
    assert names == ["clock.0", "clock.1"]
    assert "triggers" not in changed(deploy(platform, manifest("clock", rate, cron)))
    found = scheduler.get_schedule(GroupName="mayfly", Name="clock.0")
    assert found["Target"]["Input"] == '{"a": 1}'
    assert "triggers" in changed(deploy(platform, manifest("clock", cron)))
    (left,) = scheduler.list_schedules(GroupName="mayfly")["Schedules"]
    assert left["Name"] == "clock.0"
    found = scheduler.get_schedule(GroupName="mayfly", Name="clock.0")
    assert found["ScheduleExpression"] == "cron(0 8 * * ? *)"
    assert "Input" not in found["Target"]
    assert ask(platform, "DELETE", "/_mayfly/v1/functions/clock").status == 204
    assert scheduler.list_schedules(GroupName="mayfly")["Schedules"] == []


def test_a_webhook_keeps_its_url_while_the_manifest_has_it(platform: Platform) -> None:
    def urls() -> list[tuple[str, str]]:
        listed = json.loads(ask(platform, "GET", "/_mayfly/v1/webhooks").body)["webhooks"]
        return [(one["name"], one["url"]) for one in listed]

    open_to_all = 'type = "webhook"\nscheme = "none"'
    assert "triggers" in changed(deploy(platform, manifest("hook", open_to_all)))
    before = urls()
    assert [name for name, _ in before] == ["hook"]
    assert "triggers" not in changed(deploy(platform, manifest("hook", open_to_all)))
    assert urls() == before
    taken = 'type = "webhook"\nscheme = "none"\nname = "hook"'
    assert 'the webhook "hook" calls "hook"' in said(deploy(platform, manifest("thief", taken)))
    assert ask(platform, "DELETE", "/_mayfly/v1/functions/hook").status == 204
    assert urls() == []


def test_a_queue_and_a_table_get_mappings_that_follow_the_manifest(platform: Platform) -> None:
    lambda_ = platform.client()

    def mappings() -> list[dict[str, object]]:
        listed = lambda_.list_event_source_mappings(FunctionName="reader")["EventSourceMappings"]
        return sorted(listed, key=lambda one: str(one["EventSourceArn"]))

    platform.client("sqs").create_queue(QueueName="jobs")
    platform.client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    queue = 'type = "queue"\nqueue = "jobs"\nbatch = 5'
    table = 'type = "table"\ntable = "orders"\nwindow = "1s"\npartial = true\n'
    table += 'on_failure = "queue:jobs"'
    refusal = said(deploy(platform, manifest("reader", queue, table)))
    assert 'the table "orders" has no stream; give it one' in refusal
    platform.client("dynamodb").update_table(
        TableName="orders",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    assert "triggers" in changed(deploy(platform, manifest("reader", queue, table)))
    stream, jobs = mappings()
    assert jobs["BatchSize"] == 5
    assert stream["StartingPosition"] == "LATEST"
    assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert inspected(platform, "reader") == [
        {"type": "queue", "queue": "jobs", "batch": 5},
        {
            "type": "table",
            "table": "orders",
            "window": "1s",
            "partial": True,
            "on_failure": "queue:jobs",
        },
    ]
    assert "triggers" not in changed(deploy(platform, manifest("reader", queue, table)))
    wider = queue.replace("5", "6")
    assert "triggers" in changed(deploy(platform, manifest("reader", wider)))
    (jobs,) = mappings()
    assert jobs["BatchSize"] == 6
    assert ask(platform, "DELETE", "/_mayfly/v1/functions/reader").status == 204
    assert lambda_.list_event_source_mappings()["EventSourceMappings"] == []


def test_a_queue_that_shows_its_messages_too_early_changes_nothing(platform: Platform) -> None:
    sqs = platform.client("sqs")
    url = sqs.create_queue(QueueName="hasty", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    slow = manifest("slow", 'type = "queue"\nqueue = "hasty"')
    text = str(slow["mayfly.toml"])
    slow["mayfly.toml"] = text.replace("[[trigger]]", 'timeout = "10s"\n[[trigger]]', 1)
    refusal = said(deploy(platform, slow))
    assert 'nothing was changed: "slow": the queue "hasty" hides a message for 5 s' in refusal
    assert ask(platform, "GET", "/_mayfly/v1/functions/slow").status == 404
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "10"})
    assert "created" in changed(deploy(platform, slow))
