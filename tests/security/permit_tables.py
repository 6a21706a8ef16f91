"""What each operation needs, by service: the members of a probe about NAME, and the grant.

An operation that is implemented and not here fails `test_permits`: whoever adds one says here
what a function must be granted to use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.security.permit_world import ACCOUNT, REGION, function_arn

Members = dict[str, object]
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


class Needs(StrEnum):
    """Which of a grant's verbs an operation asks for."""

    READ = "read"
    WRITE = "write"
    EITHER = "either"
    BOTH = "both"
    OWNER = "the owner"


@dataclass(frozen=True)
class Probe:
    """One operation.

    Args:
        members: Of a request about the thing of this name.
        reveals: It may be answered whoever asks.
    """

    needs: Needs
    members: Callable[[str], Members]


def _of(needs: Needs, **members: object) -> Probe:
    """A probe whose members hold the name as {}."""

    def fill(value: object, name: str) -> object:
        if isinstance(value, str):
            return value.replace("{}", name)
        if isinstance(value, dict):
            return {str(fill(key, name)): fill(one, name) for key, one in value.items()}
        if isinstance(value, list):
            return [fill(one, name) for one in value]
        return value

    return Probe(needs, lambda name: {key: fill(value, name) for key, value in members.items()})


_KEY, _ITEM = {"id": {"S": "new"}}, {"id": {"S": "new"}, "said": {"S": "x"}}
_TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}"
_TAG, _TAGS = [{"Key": "a", "Value": "b"}], ["a"]
_SCHEMA: Members = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}

DYNAMODB: Mapping[str, Probe] = {
    "GetItem": _of(Needs.READ, TableName="{}", Key=_KEY),
    "PutItem": _of(Needs.WRITE, TableName="{}", Item=_ITEM),
    "UpdateItem": _of(
        Needs.WRITE,
        TableName="{}",
        Key=_KEY,
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    ),
    "DeleteItem": _of(Needs.WRITE, TableName="{}", Key=_KEY),
    "Query": _of(
        Needs.READ,
        TableName="{}",
        KeyConditionExpression="id = :a",
        ExpressionAttributeValues={":a": {"S": "a"}},
    ),
    "Scan": _of(Needs.READ, TableName="{}"),
    "BatchGetItem": _of(Needs.READ, RequestItems={"{}": {"Keys": [_KEY]}}),
    "BatchWriteItem": _of(Needs.WRITE, RequestItems={"{}": [{"PutRequest": {"Item": _ITEM}}]}),
    "TransactGetItems": _of(Needs.READ, TransactItems=[{"Get": {"TableName": "{}", "Key": _KEY}}]),
    "TransactWriteItems": _of(
        Needs.WRITE, TransactItems=[{"Put": {"TableName": "{}", "Item": _ITEM}}]
    ),
    "CreateTable": _of(Needs.OWNER, TableName="{}", **_SCHEMA),
    "DescribeTable": _of(Needs.EITHER, TableName="{}"),
    "ListTables": _of(Needs.OWNER),
    "UpdateTable": _of(Needs.OWNER, TableName="{}", BillingMode="PAY_PER_REQUEST"),
    "DeleteTable": _of(Needs.OWNER, TableName="{}"),
    "DescribeTimeToLive": _of(Needs.READ, TableName="{}"),
    "UpdateTimeToLive": _of(
        Needs.OWNER,
        TableName="{}",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"},
    ),
    "TagResource": _of(Needs.OWNER, ResourceArn=_TABLE_ARN, Tags=_TAG),
    "UntagResource": _of(Needs.OWNER, ResourceArn=_TABLE_ARN, TagKeys=_TAGS),
    "ListTagsOfResource": _of(Needs.OWNER, ResourceArn=_TABLE_ARN),
    "DescribeLimits": _of(Needs.OWNER),
    "DescribeEndpoints": _of(Needs.OWNER),
    "DescribeContinuousBackups": _of(Needs.OWNER, TableName="{}"),
}

STREAMS: Mapping[str, Probe] = {
    "ListStreams": _of(Needs.READ, TableName="{}"),
    "DescribeStream": _of(Needs.READ, StreamArn="{stream}"),
    "GetShardIterator": _of(
        Needs.READ, StreamArn="{stream}", ShardId="{shard}", ShardIteratorType="TRIM_HORIZON"
    ),
    "GetRecords": _of(Needs.READ, ShardIterator="{iterator}"),
}

_URL = "{url}"
_ENTRY: Members = {"Id": "a", "ReceiptHandle": "{receipt}"}

SQS: Mapping[str, Probe] = {
    "SendMessage": _of(Needs.WRITE, QueueUrl=_URL, MessageBody="x"),
    "SendMessageBatch": _of(Needs.WRITE, QueueUrl=_URL, Entries=[{"Id": "a", "MessageBody": "x"}]),
    "ReceiveMessage": _of(Needs.READ, QueueUrl=_URL, VisibilityTimeout=0),
    "DeleteMessage": _of(Needs.READ, QueueUrl=_URL, ReceiptHandle="{receipt}"),
    "DeleteMessageBatch": _of(Needs.READ, QueueUrl=_URL, Entries=[_ENTRY]),
    "ChangeMessageVisibility": _of(
        Needs.READ, QueueUrl=_URL, ReceiptHandle="{receipt}", VisibilityTimeout=0
    ),
    "ChangeMessageVisibilityBatch": _of(
        Needs.READ, QueueUrl=_URL, Entries=[{**_ENTRY, "VisibilityTimeout": 0}]
    ),
    "CreateQueue": _of(Needs.OWNER, QueueName="{}"),
    "GetQueueUrl": _of(Needs.EITHER, QueueName="{}"),
    "ListQueues": _of(Needs.OWNER),
    "ListDeadLetterSourceQueues": _of(Needs.OWNER, QueueUrl=_URL),
    "DeleteQueue": _of(Needs.OWNER, QueueUrl=_URL),
    "PurgeQueue": _of(Needs.OWNER, QueueUrl=_URL),
    "GetQueueAttributes": _of(Needs.EITHER, QueueUrl=_URL, AttributeNames=["All"]),
    "SetQueueAttributes": _of(Needs.OWNER, QueueUrl=_URL, Attributes={"DelaySeconds": "1"}),
    "TagQueue": _of(Needs.OWNER, QueueUrl=_URL, Tags={"a": "b"}),
    "UntagQueue": _of(Needs.OWNER, QueueUrl=_URL, TagKeys=_TAGS),
    "ListQueueTags": _of(Needs.OWNER, QueueUrl=_URL),
    "AddPermission": _of(
        Needs.OWNER, QueueUrl=_URL, Label="a", AWSAccountIds=[ACCOUNT], Actions=["*"]
    ),
    "RemovePermission": _of(Needs.OWNER, QueueUrl=_URL, Label="a"),
    "StartMessageMoveTask": _of(Needs.OWNER, SourceArn="{queue}"),
    "ListMessageMoveTasks": _of(Needs.OWNER, SourceArn="{queue}"),
    "CancelMessageMoveTask": _of(Needs.OWNER, TaskHandle="{move}"),
}

_FUNCTION, _FUNCTION_ARN = "{}", function_arn("{}")
_MAPPING = "11111111-1111-4111-8111-111111111111"

LAMBDA: Mapping[str, Probe] = {
    "Invoke": _of(Needs.READ, FunctionName=_FUNCTION),
    "CreateFunction": _of(
        Needs.OWNER,
        FunctionName=_FUNCTION,
        Role=_ROLE,
        Code={"ZipFile": b"no archive"},
        Handler="app.handler",
        Runtime="python3.11",
    ),
    "GetFunction": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "GetFunctionConfiguration": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "ListFunctions": _of(Needs.OWNER),
    "UpdateFunctionCode": _of(Needs.OWNER, FunctionName=_FUNCTION, ZipFile=b"no archive"),
    "UpdateFunctionConfiguration": _of(
        Needs.OWNER, FunctionName=_FUNCTION, Environment={"Variables": {"MODE": "b"}}
    ),
    "DeleteFunction": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "CreateFunctionUrlConfig": _of(Needs.OWNER, FunctionName=_FUNCTION, AuthType="NONE"),
    "GetFunctionUrlConfig": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "UpdateFunctionUrlConfig": _of(Needs.OWNER, FunctionName=_FUNCTION, AuthType="NONE"),
    "ListFunctionUrlConfigs": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "DeleteFunctionUrlConfig": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "TagResource": _of(Needs.OWNER, Resource=_FUNCTION_ARN, Tags={"a": "b"}),
    "UntagResource": _of(Needs.OWNER, Resource=_FUNCTION_ARN, TagKeys=_TAGS),
    "ListTags": _of(Needs.OWNER, Resource=_FUNCTION_ARN),
    "PutFunctionConcurrency": _of(
        Needs.OWNER, FunctionName=_FUNCTION, ReservedConcurrentExecutions=0
    ),
    "GetFunctionConcurrency": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "DeleteFunctionConcurrency": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "PutFunctionEventInvokeConfig": _of(
        Needs.OWNER, FunctionName=_FUNCTION, MaximumRetryAttempts=0
    ),
    "UpdateFunctionEventInvokeConfig": _of(
        Needs.OWNER, FunctionName=_FUNCTION, MaximumRetryAttempts=0
    ),
    "GetFunctionEventInvokeConfig": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "ListFunctionEventInvokeConfigs": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "DeleteFunctionEventInvokeConfig": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "CreateEventSourceMapping": _of(Needs.OWNER, FunctionName=_FUNCTION, EventSourceArn="{queue}"),
    "GetEventSourceMapping": _of(Needs.OWNER, UUID=_MAPPING),
    "ListEventSourceMappings": _of(Needs.OWNER, FunctionName=_FUNCTION),
    "UpdateEventSourceMapping": _of(Needs.OWNER, UUID=_MAPPING, Enabled=False),
    "DeleteEventSourceMapping": _of(Needs.OWNER, UUID=_MAPPING),
}

_GROUP_ARN = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{{}}"
_SCHEDULE: Members = {
    "ScheduleExpression": "at(2090-01-01T00:00:00)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": function_arn("mine"), "RoleArn": _ROLE},
}

SCHEDULER: Mapping[str, Probe] = {
    "CreateSchedule": _of(Needs.OWNER, Name="{}", **_SCHEDULE),
    "GetSchedule": _of(Needs.OWNER, Name="{}"),
    "UpdateSchedule": _of(Needs.OWNER, Name="{}", **_SCHEDULE),
    "DeleteSchedule": _of(Needs.OWNER, Name="{}"),
    "ListSchedules": _of(Needs.OWNER),
    "CreateScheduleGroup": _of(Needs.OWNER, Name="{}"),
    "GetScheduleGroup": _of(Needs.OWNER, Name="{}"),
    "DeleteScheduleGroup": _of(Needs.OWNER, Name="{}"),
    "ListScheduleGroups": _of(Needs.OWNER),
    "TagResource": _of(Needs.OWNER, ResourceArn=_GROUP_ARN, Tags=_TAG),
    "UntagResource": _of(Needs.OWNER, ResourceArn=_GROUP_ARN, TagKeys=_TAGS),
    "ListTagsForResource": _of(Needs.OWNER, ResourceArn=_GROUP_ARN),
}

TABLES: Mapping[str, Mapping[str, Probe]] = {
    "dynamodb": DYNAMODB,
    "dynamodbstreams": STREAMS,
    "sqs": SQS,
    "lambda": LAMBDA,
    "scheduler": SCHEDULER,
}
