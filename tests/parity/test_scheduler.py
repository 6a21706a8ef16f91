"""EventBridge Scheduler by boto3 and the AWS command line, as they come; and what it calls."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.support.control import follow_log
from tests.support.functions import Functions, refusal
from tests.support.platform import ROLE, Platform

PRINTS = """
    import json

    def handler(event, context):
        print("GOT", json.dumps(event))
"""
OFF = {"Mode": "OFF"}
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:nobody"
FAR = "at(2199-01-01T00:00:00)"


@pytest.fixture
def group(platform: Platform) -> Iterator[str]:
    """A group of its own, removed with all that is in it."""
    name = platform.new_name("group")
    client = platform.client("scheduler")
    client.create_schedule_group(Name=name)
    yield name
    client.delete_schedule_group(Name=name)


@pytest.fixture
def client(platform: Platform) -> BaseClient:
    return platform.client("scheduler")


def wanted(group: str, **members: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "GroupName": group,
        "Name": "s",
        "ScheduleExpression": FAR,
        "FlexibleTimeWindow": OFF,
        "Target": {"Arn": FUNCTION, "RoleArn": ROLE},
    }
    return plain | members


def first_event(platform: Platform, function: str) -> dict[str, object]:
    """The event that the function printed first."""
    for line in follow_log(platform, function):
        if line.startswith("GOT "):
            event: dict[str, object] = json.loads(line.removeprefix("GOT "))
            return event
    raise AssertionError("the log ended")


def test_a_schedule_is_made_read_changed_listed_and_removed(client: BaseClient, group: str) -> None:
    made = client.create_schedule(
        **wanted(
            group,
            ScheduleExpression="cron(0 8 ? * MON-FRI *)",
            ScheduleExpressionTimezone="Europe/Berlin",
            Description="each morning",
            State="DISABLED",
            FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
            ActionAfterCompletion="DELETE",
        )
    )
    arn = f"arn:aws:scheduler:us-east-1:000000000000:schedule/{group}/s"
    assert made["ScheduleArn"] == arn
    read = client.get_schedule(GroupName=group, Name="s")
    assert (read["Arn"], read["Description"], read["State"]) == (arn, "each morning", "DISABLED")
    assert read["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert read["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert read["Target"]["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86_400,
        "MaximumRetryAttempts": 185,
    }
    client.update_schedule(**wanted(group, ScheduleExpression="rate(2 days)"))
    changed = client.get_schedule(GroupName=group, Name="s")
    assert changed["ScheduleExpression"] == "rate(2 days)"
    assert changed["State"] == "ENABLED"
    assert "Description" not in changed
    assert changed["CreationDate"] == read["CreationDate"]
    (listed,) = client.list_schedules(GroupName=group)["Schedules"]
    assert (listed["Name"], listed["Target"]) == ("s", {"Arn": FUNCTION})
    client.delete_schedule(GroupName=group, Name="s")
    with pytest.raises(ClientError) as refused:
        client.get_schedule(GroupName=group, Name="s")
    assert refusal(refused.value) == (
        "ResourceNotFoundException",
        404,
        "Schedule s does not exist.",
    )


def test_lists_are_paged_and_filtered(client: BaseClient, group: str) -> None:
    for number in range(7):
        state = "ENABLED" if number % 2 else "DISABLED"
        client.create_schedule(**wanted(group, Name=f"n{number}", State=state))
    client.create_schedule(**wanted(group, Name="other"))
    pages = client.get_paginator("list_schedules").paginate(
        GroupName=group, NamePrefix="n", PaginationConfig={"PageSize": 3}
    )
    names = [[one["Name"] for one in page["Schedules"]] for page in pages]
    assert names == [["n0", "n1", "n2"], ["n3", "n4", "n5"], ["n6"]]
    enabled = client.list_schedules(GroupName=group, State="ENABLED")["Schedules"]
    assert [one["Name"] for one in enabled] == ["n1", "n3", "n5", "other"]
    everywhere = client.list_schedules(NamePrefix="n")["Schedules"]
    assert {one["GroupName"] for one in everywhere} >= {group}
    with pytest.raises(ClientError, match="NextToken"):
        client.list_schedules(NextToken="no token")


def test_groups_have_tags_and_take_their_schedules_along(
    platform: Platform, client: BaseClient
) -> None:
    name = platform.new_name("tagged")
    arn = client.create_schedule_group(Name=name, Tags=[{"Key": "a", "Value": "1"}])[
        "ScheduleGroupArn"
    ]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert client.get_schedule_group(Name=name)["State"] == "ACTIVE"
    names = [one["Name"] for one in client.list_schedule_groups()["ScheduleGroups"]]
    assert {"default", name} <= set(names)
    client.create_schedule(**wanted(name))
    client.delete_schedule_group(Name=name)
    calls: list[Callable[[], object]] = [
        lambda: client.get_schedule(GroupName=name, Name="s"),
        lambda: client.create_schedule(**wanted(name)),
        lambda: client.delete_schedule_group(Name=name),
        lambda: client.list_schedules(GroupName=name),
    ]
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        message = f"Schedule group {name} does not exist."
        assert refusal(refused.value) == ("ResourceNotFoundException", 404, message)


def test_what_exists_is_a_conflict_and_a_request_that_comes_again_is_not(
    client: BaseClient, group: str
) -> None:
    request = wanted(group, ClientToken="token-1")
    assert client.create_schedule(**request) | {"ResponseMetadata": 0} == client.create_schedule(
        **request
    ) | {"ResponseMetadata": 0}
    with pytest.raises(ClientError) as refused:
        client.create_schedule(**wanted(group))
    assert refusal(refused.value) == ("ConflictException", 409, "Schedule s already exists.")
    with pytest.raises(ClientError) as refused:
        client.create_schedule(**wanted(group, Name="another", ClientToken="token-1"))
    assert refusal(refused.value)[:2] == ("ConflictException", 409)
    for _ in range(2):
        client.delete_schedule(GroupName=group, Name="s", ClientToken="token-2")
    with pytest.raises(ClientError) as refused:
        client.create_schedule_group(Name=group)
    message = f"Schedule group {group} already exists."
    assert refusal(refused.value) == ("ConflictException", 409, message)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ScheduleExpression": "cron(0 1 * * * *)"}, "Invalid Schedule Expression cron(0 1 * * *"),
        (
            {"ScheduleExpression": "rate(10 seconds)"},
            "Invalid Schedule Expression rate(10 seconds).",
        ),
        ({"ScheduleExpression": "cron(0 0 31 2 ? *)"}, "never comes true"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "ScheduleExpressionTimezone Mars/Olympus"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes must be set"),
        ({"FlexibleTimeWindow": {"Mode": "SOME"}}, "enum value set: [OFF, FLEXIBLE]"),
        ({"Target": {"Arn": "f", "RoleArn": ROLE}}, "Provided Arn is not in correct format."),
        ({"Target": {"Arn": FUNCTION}}, "'target.roleArn' failed to satisfy constraint"),
        ({"Target": {"Arn": FUNCTION, "RoleArn": ROLE, "Input": "{"}}, "well-formed JSON"),
        (
            {"Target": {"Arn": FUNCTION.replace("us-east-1", "eu-west-1"), "RoleArn": ROLE}},
            "another region",
        ),
        (
            {"Target": {"Arn": "arn:aws:sqs:us-east-1:000000000000:q.fifo", "RoleArn": ROLE}},
            "MessageGroupId",
        ),
        (
            {
                "ScheduleExpression": "rate(1 hour)",
                "StartDate": datetime.now(UTC) - timedelta(minutes=6),  # noqa: TID251
            },
            "The StartDate you specify cannot be earlier than 5 minutes ago.",
        ),
        (
            {
                "ScheduleExpression": "rate(1 hour)",
                "EndDate": datetime.now(UTC) - timedelta(minutes=1),  # noqa: TID251
            },
            "EndDate",
        ),
        ({"Name": "not a name"}, "'name' failed to satisfy constraint"),
        ({"State": "MAYBE"}, "'state' failed to satisfy constraint"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(
    client: BaseClient, group: str, members: dict[str, object], message: str
) -> None:
    with pytest.raises(ClientError) as refused:
        client.create_schedule(**wanted(group, **members))
    code, status, said = refusal(refused.value)
    assert (code, status) == ("ValidationException", 400)
    assert message in said


@pytest.mark.parametrize(
    "target",
    [
        {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"},
        {"Arn": "arn:aws:sns:us-east-1:000000000000:topic"},
        {"Arn": FUNCTION, "KinesisParameters": {"PartitionKey": "k"}},
    ],
)
def test_a_target_of_another_kind_is_refused_by_name(
    client: BaseClient, group: str, target: dict[str, object]
) -> None:
    with pytest.raises(ClientError) as refused:
        client.create_schedule(**wanted(group, Target=target | {"RoleArn": ROLE}))
    code, status, said = refusal(refused.value)
    assert (code, status) == ("NotImplemented", 501)
    assert any(name in said for name in ("universal", "sns", "KinesisParameters"))


def test_a_schedule_calls_its_function_with_its_input(
    functions: Functions, client: BaseClient, group: str
) -> None:
    name = functions.make(PRINTS)
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    text = '{"when": "<aws.scheduler.scheduled-time>", "is": 1}'
    moment = datetime.now(UTC)  # noqa: TID251
    client.create_schedule(
        **wanted(
            group,
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            ActionAfterCompletion="DELETE",
            Target={"Arn": arn, "RoleArn": ROLE, "Input": text},
        )
    )
    event = first_event(functions.platform, name)
    assert event == {"when": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "is": 1}
    assert client.list_schedules(GroupName=group)["Schedules"] == []


def test_a_rate_without_input_calls_at_once_with_awss_notification(
    functions: Functions, client: BaseClient, group: str
) -> None:
    name = functions.make(PRINTS)
    target = {"Arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}", "RoleArn": ROLE}
    client.create_schedule(**wanted(group, ScheduleExpression="rate(1 hour)", Target=target))
    event = first_event(functions.platform, name)
    assert event["source"] == "aws.scheduler"
    assert event["detail-type"] == "Scheduled Event"
    assert event["detail"] == "{}"
    assert event["resources"] == [f"arn:aws:scheduler:us-east-1:000000000000:schedule/{group}/s"]


@pytest.fixture
def queue(platform: Platform) -> Iterator[Callable[[str], tuple[str, str]]]:
    """Makes queues, removed after the test; gives URL and ARN."""
    sqs, made = platform.client("sqs"), []

    def make(suffix: str) -> tuple[str, str]:
        name = platform.new_name("queue") + suffix
        fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if suffix else {}
        url = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
        made.append(url)
        return url, f"arn:aws:sqs:us-east-1:000000000000:{name}"

    yield make
    for url in made:
        sqs.delete_queue(QueueUrl=url)


def received(platform: Platform, url: str) -> dict[str, object]:
    """The first message of a queue."""
    (message,) = platform.client("sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], AttributeNames=["All"]
    )["Messages"]
    found: dict[str, object] = message
    return found


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_a_schedule_sends_to_a_queue(
    platform: Platform,
    client: BaseClient,
    group: str,
    queue: Callable[[str], tuple[str, str]],
    suffix: str,
) -> None:
    url, arn = queue(suffix)
    target: dict[str, object] = {"Arn": arn, "RoleArn": ROLE, "Input": "plain text"}
    if suffix:
        target["SqsParameters"] = {"MessageGroupId": "clock"}
    client.create_schedule(**wanted(group, ScheduleExpression="rate(1 hour)", Target=target))
    message = received(platform, url)
    assert message["Body"] == "plain text"
    attributes = message["Attributes"]
    assert isinstance(attributes, dict)
    assert attributes.get("MessageGroupId") == ("clock" if suffix else None)


def test_what_has_no_target_goes_to_the_dead_letter_queue(
    platform: Platform,
    client: BaseClient,
    group: str,
    queue: Callable[[str], tuple[str, str]],
) -> None:
    url, arn = queue("")
    for number, gone in enumerate((FUNCTION, f"{arn}-gone")):
        target = {"Arn": gone, "RoleArn": ROLE, "Input": "{}", "DeadLetterConfig": {"Arn": arn}}
        name, rate = f"s{number}", "rate(1 hour)"
        client.create_schedule(**wanted(group, Name=name, ScheduleExpression=rate, Target=target))
        attributes = received(platform, url)["MessageAttributes"]
        assert isinstance(attributes, dict)
        assert attributes["TARGET_ARN"]["StringValue"] == gone
        assert attributes["SCHEDULE_ARN"]["StringValue"].endswith(f"/{group}/{name}")


def test_the_command_line_makes_a_schedule_as_in_awss_documentation(
    platform: Platform, group: str, tmp_path: Path
) -> None:
    aws = [sys.executable, str(Path(sys.executable).with_name("aws")), "scheduler"]
    environment = platform.environment | {"AWS_PAGER": "", "HOME": str(tmp_path)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [*aws, *words], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = ("--name", "cli", "--group-name", group)
    target = json.dumps({"RoleArn": ROLE, "Arn": FUNCTION, "Input": "{}"})
    run(
        *("create-schedule", *place, "--schedule-expression", FAR),
        *("--target", target, "--flexible-time-window", '{"Mode": "OFF"}'),
        *("--start-date", "2150-01-01T00:00:00Z"),
    )
    read = json.loads(run("get-schedule", *place))
    assert read["ScheduleExpression"] == FAR
    assert read["StartDate"] == 5_680_281_600
    run("delete-schedule", *place)
    listed = json.loads(run("list-schedules", "--group-name", group))
    assert listed["Schedules"] == []
