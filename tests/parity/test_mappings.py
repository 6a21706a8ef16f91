"""Event source mappings by boto3 on a real platform: queues and tables call functions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.life import new_life
from tests.support.mapped import ARN, Place, eventually, made_on
from tests.support.platform import Platform, run_platform


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as running:
        yield running


@pytest.fixture
def place(platform: Platform) -> Place:
    return made_on(platform, platform.new_name("mapped"))


def test_messages_call_the_function_and_are_gone(place: Place) -> None:
    url = place.queue("plain")
    made = place.mapped(ARN + "plain")
    for n in range(5):
        place.queues.send_message(QueueUrl=url, MessageBody=f"m{n}")
    eventually(lambda: place.seen() == {f"m{n}" for n in range(5)})
    eventually(lambda: place.left(url) == 0)
    told = place.functions.get_event_source_mapping(UUID=made["UUID"])
    assert told["LastProcessingResult"] == "OK"
    metrics = place.platform.get("/metrics").body.decode()
    assert f'mayfly_mapping_records_total{{function="{place.name}"' in metrics


def test_messages_that_fail_go_to_the_dead_letter_queue(place: Place) -> None:
    dead = place.queue("dead")
    policy = json.dumps({"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": 2})
    url = place.queue("failing", VisibilityTimeout="3", RedrivePolicy=policy)
    place.mapped(ARN + "failing", FunctionResponseTypes=["ReportBatchItemFailures"])
    entries = [{"Id": name, "MessageBody": name} for name in ("good", "bad", "fine")]
    place.queues.send_message_batch(QueueUrl=url, Entries=entries)
    eventually(lambda: place.left(dead) == 1 and place.left(url) == 0)
    batches = place.batches()
    assert sum(batch.count("bad") for batch in batches) == 2
    assert sum(batch.count("good") for batch in batches) == 1


def test_a_fifo_queue_keeps_its_order(place: Place) -> None:
    url = place.queue("line.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for n in range(25):
        place.queues.send_message(QueueUrl=url, MessageBody=f"m{n}", MessageGroupId="g")
    place.mapped(ARN + "line.fifo", BatchSize=4)
    eventually(lambda: place.left(url) == 0)
    order = [name for batch in place.batches() for name in batch]
    assert order == [f"m{n}" for n in range(25)]


def test_a_disabled_mapping_reads_nothing_and_goes_on_when_enabled(place: Place) -> None:
    url = place.queue("switched")
    made = place.mapped(ARN + "switched")
    place.functions.update_event_source_mapping(UUID=made["UUID"], Enabled=False)
    place.in_state(made, "Disabled")
    place.queues.send_message(QueueUrl=url, MessageBody="late")
    told = place.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert told["ApproximateNumberOfMessages"] == "1"
    place.functions.update_event_source_mapping(UUID=made["UUID"], Enabled=True)
    eventually(lambda: place.seen() == {"late"})
    place.functions.delete_event_source_mapping(UUID=made["UUID"])
    with pytest.raises(place.functions.exceptions.ResourceNotFoundException):
        place.functions.get_event_source_mapping(UUID=made["UUID"])


def test_filtered_messages_and_records_do_not_call(place: Place) -> None:
    url, stream = place.queue("sieve"), place.table("sieve")
    pattern = json.dumps({"body": {"kind": ["wanted"]}})
    place.mapped(ARN + "sieve", FilterCriteria={"Filters": [{"Pattern": pattern}]})
    pattern = json.dumps({"dynamodb": {"Keys": {"id": {"S": [{"prefix": "w"}]}}}})
    place.mapped(
        stream, StartingPosition="LATEST", FilterCriteria={"Filters": [{"Pattern": pattern}]}
    )
    wanted = json.dumps({"kind": "wanted"})
    for body in (json.dumps({"kind": "other"}), "plain", wanted):
        place.queues.send_message(QueueUrl=url, MessageBody=body)
    place.put("sieve", "a", "w", "b")
    eventually(lambda: place.seen() == {wanted, "w"} and place.left(url) == 0)


def test_changes_of_a_table_call_the_function(place: Place) -> None:
    stream = place.table("rows")
    place.put("rows", "early")
    place.mapped(stream, StartingPosition="TRIM_HORIZON")
    place.put("rows", *(f"r{n}" for n in range(20)))
    eventually(lambda: place.seen() == {"early", *(f"r{n}" for n in range(20))})


def test_a_poison_record_is_found_by_halves_and_told_to_a_queue_and_a_bucket(place: Place) -> None:
    lost, stream = place.queue("lost"), place.table("poisoned")
    place.put("poisoned", "raise", *(f"r{n}" for n in range(20)))
    place.mapped(
        stream,
        StartingPosition="TRIM_HORIZON",
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": ARN + "lost"}},
    )
    eventually(lambda: place.left(lost) == 1)
    eventually(lambda: place.seen() == {"raise", *(f"r{n}" for n in range(20))})
    (message,) = place.queues.receive_message(QueueUrl=lost)["Messages"]
    told = json.loads(message["Body"])
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    where = told["DDBStreamBatchInfo"]
    assert where["batchSize"] == 1
    streams = place.platform.client("dynamodbstreams")
    iterator = streams.get_shard_iterator(
        StreamArn=stream,
        ShardId=where["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=where["startSequenceNumber"],
    )["ShardIterator"]
    (record, *_) = streams.get_records(ShardIterator=iterator)["Records"]
    assert record["dynamodb"]["Keys"] == {"id": {"S": "raise"}}
    s3 = place.platform.client("s3")
    s3.create_bucket(Bucket="lost-records")
    other = made_on(place.platform, place.platform.new_name("other"))
    other.mapped(
        stream,
        StartingPosition="TRIM_HORIZON",
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::lost-records"}},
    )
    eventually(lambda: s3.list_objects_v2(Bucket="lost-records")["KeyCount"] == 1)
    (found,) = s3.list_objects_v2(Bucket="lost-records")["Contents"]
    assert found["Key"].startswith("aws/lambda/")
    document = json.load(s3.get_object(Bucket="lost-records", Key=found["Key"])["Body"])
    (kept,) = json.loads(document["payload"])["Records"]
    assert kept["dynamodb"]["Keys"] == {"id": {"S": "raise"}}


def test_of_a_tables_batch_what_the_function_names_is_tried_again(place: Place) -> None:
    stream = place.table("partly")
    place.put("partly", "bad", *(f"r{n}" for n in range(10)))
    place.mapped(
        stream,
        StartingPosition="TRIM_HORIZON",
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=2,
        BisectBatchOnFunctionError=True,
    )
    eventually(lambda: place.seen() == {"bad", *(f"r{n}" for n in range(10))})


def test_a_function_that_is_deleted_and_made_again_gets_what_waited(place: Place) -> None:
    url = place.queue("patient")
    made = place.mapped(ARN + "patient")
    place.functions.delete_function(FunctionName=place.name)
    place.queues.send_message(QueueUrl=url, MessageBody="patience")

    def told() -> bool:
        answer = place.functions.get_event_source_mapping(UUID=made["UUID"])
        return bool(answer["LastProcessingResult"] == "PROBLEM: Function not found")

    eventually(told)
    made_on(place.platform, place.name)
    eventually(lambda: place.seen() == {"patience"})


def test_a_restart_in_the_middle_loses_nothing() -> None:
    with new_life(ordinary_user=True) as life:
        place = made_on(life.up().platform, "phoenix")
        url, stream = place.queue("mail", VisibilityTimeout="3"), place.table("rows")
        place.mapped(ARN + "mail")
        place.mapped(stream, StartingPosition="LATEST")
        sent: set[str] = set()
        for turn in range(3):
            for n in range(20):
                place.queues.send_message(QueueUrl=url, MessageBody=f"m{turn}.{n}")
                place.put("rows", f"r{turn}.{n}")
                sent |= {f"m{turn}.{n}", f"r{turn}.{n}"}
            # Killed at random moments: tests/faults/test_nothing_is_lost.py.
            life.end()
            place = Place(life.up().platform, "phoenix")
        eventually(lambda: place.seen() >= sent)
        eventually(lambda: place.left(url) == 0)
        life.end()
