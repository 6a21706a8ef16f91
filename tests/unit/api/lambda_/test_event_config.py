"""What is set for a function's asynchronous calls, as a client of Lambda's API sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.api.message import Headers, Request
from mayfly.api.permits import AccessDenied
from mayfly.api.wire.params import Params
from tests.support.aws_call import Refused, principal
from tests.support.lambda_api import LambdaApi

HELLO = "arn:aws:lambda:us-east-1:000000000000:function:hello"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:records"
BUCKET = "arn:aws:s3:::failures"


async def put(api: LambdaApi, **members: object) -> dict[str, object]:
    return await api.call("PutFunctionEventInvokeConfig", FunctionName="hello", **members)


async def update(api: LambdaApi, **members: object) -> dict[str, object]:
    return await api.call("UpdateFunctionEventInvokeConfig", FunctionName="hello", **members)


def destinations(success: str = "", failure: str = "") -> dict[str, object]:
    wanted = {"OnSuccess": success, "OnFailure": failure}
    return {key: {"Destination": arn} if arn else {} for key, arn in wanted.items()}


async def test_what_was_put_is_given_back(api: LambdaApi) -> None:
    await api.make()
    made = await put(
        api,
        MaximumRetryAttempts=0,
        MaximumEventAgeInSeconds=60,
        DestinationConfig=destinations(QUEUE, BUCKET),
    )
    assert made["FunctionArn"] == f"{HELLO}:$LATEST"
    assert made["DestinationConfig"] == destinations(QUEUE, BUCKET)
    assert (made["MaximumRetryAttempts"], made["MaximumEventAgeInSeconds"]) == (0, 60)
    for named in ({}, {"Qualifier": "$LATEST"}):
        got = await api.call("GetFunctionEventInvokeConfig", FunctionName="hello", **named)
        assert {k: v for k, v in got.items() if k != "ResponseMetadata"} == {
            k: v for k, v in made.items() if k != "ResponseMetadata"
        }


async def test_put_begins_anew_and_update_changes_what_is_given(api: LambdaApi) -> None:
    await api.make()
    await put(api, MaximumRetryAttempts=1, DestinationConfig=destinations(QUEUE))
    changed = await update(api, MaximumEventAgeInSeconds=90)
    assert changed["MaximumRetryAttempts"] == 1
    assert changed["DestinationConfig"] == destinations(QUEUE)
    anew = await put(api, MaximumEventAgeInSeconds=100)
    assert "MaximumRetryAttempts" not in anew
    assert anew["DestinationConfig"] == destinations()


async def test_they_are_listed_and_deleted(api: LambdaApi) -> None:
    await api.make()
    listed = await api.call("ListFunctionEventInvokeConfigs", FunctionName="hello")
    assert listed["FunctionEventInvokeConfigs"] == []
    await put(api, MaximumRetryAttempts=2)
    listed = await api.call("ListFunctionEventInvokeConfigs", FunctionName="hello", MaxItems=1)
    found = listed["FunctionEventInvokeConfigs"]
    assert isinstance(found, list)
    assert [one["MaximumRetryAttempts"] for one in found] == [2]
    assert "NextMarker" not in listed
    await api.call("DeleteFunctionEventInvokeConfig", FunctionName="hello")
    for operation in ("Get", "Delete"):
        with pytest.raises(Refused, match="doesn't have an EventInvokeConfig") as refused:
            await api.call(f"{operation}FunctionEventInvokeConfig", FunctionName="hello")
        assert (refused.value.status, refused.value.code) == (404, "ResourceNotFoundException")


async def test_an_update_needs_something_to_change(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"hello:\$LATEST doesn't have an EventInvokeConfig"):
        await update(api, MaximumRetryAttempts=1)


@pytest.mark.parametrize("act", [put, update])
async def test_nothing_at_all_is_refused(
    api: LambdaApi, act: Callable[[LambdaApi], Awaitable[object]]
) -> None:
    await api.make()
    with pytest.raises(Refused, match="at least one of error handling or destination") as refused:
        await act(api)
    assert refused.value.code == "InvalidParameterValueException"


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"MaximumRetryAttempts": 3}, "maximumRetryAttempts"),
        ({"MaximumRetryAttempts": -1}, "maximumRetryAttempts"),
        ({"MaximumEventAgeInSeconds": 59}, "maximumEventAgeInSeconds"),
        ({"MaximumEventAgeInSeconds": 21_601}, "maximumEventAgeInSeconds"),
        ({"DestinationConfig": destinations("nonsense")}, "destinationConfig.onSuccess"),
    ],
)
async def test_what_breaks_the_models_bounds_is_refused(
    api: LambdaApi, members: dict[str, object], place: str
) -> None:
    await api.make()
    with pytest.raises(Refused, match=place) as refused:
        await put(api, **members)
    assert (refused.value.status, refused.value.code) == (400, "ValidationException")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (destinations("arn:aws:sns:us-east-1:000000000000:t"), "SNS topics"),
        (destinations("", "arn:aws:events:us-east-1:000000000000:event-bus/b"), "EventBridge"),
        (destinations("", "kafka://records"), "Kafka"),
        (destinations(BUCKET), "failures only"),
        (destinations(QUEUE + ".fifo"), "FIFO"),
        (destinations("arn:aws:sqs:eu-west-1:000000000000:q"), "is invalid"),
        (destinations("arn:aws:sqs:us-east-1:111111111111:q"), "is invalid"),
        (destinations("arn:aws:lambda:us-east-1:000000000000:layer:x"), "is invalid"),
        (destinations("", "arn:aws:s3:::UPPER"), "is invalid"),
        (destinations("arn:aws:dynamodb:us-east-1:000000000000:table/t"), "is invalid"),
    ],
)
async def test_a_destination_that_cannot_be_used_is_refused_by_name(
    api: LambdaApi, wanted: dict[str, object], why: str
) -> None:
    await api.make()
    with pytest.raises(Refused, match=why):
        await put(api, DestinationConfig=wanted)
    with pytest.raises(Refused, match="doesn't have"):
        await api.call("GetFunctionEventInvokeConfig", FunctionName="hello")


@pytest.mark.parametrize("named", [{"FunctionName": "nobody"}, {"Qualifier": "9"}])
async def test_there_must_be_such_a_function(api: LambdaApi, named: dict[str, str]) -> None:
    await api.make()
    for operation, members in (("Get", {}), ("Put", {"MaximumRetryAttempts": 1}), ("Delete", {})):
        wanted: dict[str, object] = {"FunctionName": "hello", **named, **members}
        with pytest.raises(Refused, match="The function doesn't exist") as refused:
            await api.call(f"{operation}FunctionEventInvokeConfig", **wanted)
        assert refused.value.status == 404


async def test_a_dead_letter_queue_is_set_and_taken_away(api: LambdaApi) -> None:
    made = await api.make(DeadLetterConfig={"TargetArn": QUEUE})
    assert made["DeadLetterConfig"] == {"TargetArn": QUEUE}
    kept = await api.call("UpdateFunctionConfiguration", FunctionName="hello", Timeout=9)
    assert kept["DeadLetterConfig"] == {"TargetArn": QUEUE}
    gone = await api.call(
        "UpdateFunctionConfiguration", FunctionName="hello", DeadLetterConfig={"TargetArn": ""}
    )
    assert "DeadLetterConfig" not in gone


@pytest.mark.parametrize(
    "arn",
    [f"{QUEUE}.fifo", HELLO, BUCKET, "arn:aws:sqs:us-east-1:111111111111:q"],
)
async def test_dead_letters_go_to_a_standard_queue_alone(api: LambdaApi, arn: str) -> None:
    with pytest.raises(Refused, match="standard queue"):
        await api.make(DeadLetterConfig={"TargetArn": arn})


async def test_everything_but_invoke_is_the_owners(api: LambdaApi) -> None:
    await api.make()
    operations = LambdaOperations(api.platform)
    caller = replace(principal("lambda"), function_name="f", grants=())
    request = Request("GET", "/", "", Headers(), b"", caller, "r")
    every = [*operations._performers, "Invoke"]
    assert len(every) > 20
    for operation in every:
        with pytest.raises(AccessDenied):
            await operations.handle(operation, Params(FunctionName="hello"), request)
