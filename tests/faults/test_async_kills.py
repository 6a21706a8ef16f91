"""`kill -9` of the daemon under a load of asynchronous calls with destinations: nothing is lost.

A record is posted in the transaction that ends its event, and an event ends when its function
answered. So a record for each accepted call proves that each was called, and told.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from mayfly.testing.ids import seeded
from tests.support.functions import Functions
from tests.support.life import Life, new_life

# More of them for a soak.
KILLS = int(os.environ.get("MAYFLY_TEST_KILLS", "8"))  # noqa: TID251  a test's own size
CALLERS = 4
FAILS_EACH_THIRD = """
    def handler(event, context):
        if event["n"] % 3 == 0:
            raise KeyError(event["n"])
        return event["n"]
"""


@dataclass
class Load:
    """Callers that go on until the daemon dies, and the ids that were acknowledged."""

    accepted: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call_until_dead(self, functions: Functions, name: str, first: int) -> None:
        number = first
        while True:
            number += CALLERS
            try:
                done = functions.call(name, {"n": number}, InvocationType="Event")
            except (BotoCoreError, ClientError):
                return
            with self._lock:
                self.accepted[done.request_id] = number


@pytest.fixture
def life() -> Iterator[Life]:
    with new_life(ordinary_user=False) as one:
        yield one


def records(functions: Functions, url: str, wanted: set[str]) -> list[dict[str, Any]]:
    """All that comes into the queue, until each of these events is told of."""
    client = functions.platform.client("sqs")
    found: list[dict[str, Any]] = []
    told: set[str] = set()
    while not wanted <= told:
        messages = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20
        ).get("Messages")
        assert messages, f"{len(wanted - told)} of {len(wanted)} were lost"
        entries = [
            {"Id": str(place), "ReceiptHandle": one["ReceiptHandle"]}
            for place, one in enumerate(messages)
        ]
        client.delete_message_batch(QueueUrl=url, Entries=entries)
        found += [json.loads(one["Body"]) for one in messages]
        told = {one["requestContext"]["requestId"] for one in found}
    return found


@pytest.mark.timeout(60 + 20 * KILLS)
def test_every_accepted_call_is_made_and_told_whenever_the_daemon_dies(life: Life) -> None:
    functions, chance, load = life.up(), seeded(11), Load()
    name = functions.make(FAILS_EACH_THIRD, name="told")
    url = functions.platform.client("sqs").create_queue(QueueName="records")["QueueUrl"]
    destination = {"Destination": "arn:aws:sqs:us-east-1:000000000000:records"}
    functions.client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": destination, "OnFailure": destination},
    )
    for kill in range(KILLS):
        with ThreadPoolExecutor(CALLERS) as pool:
            before = len(load.accepted)
            wanted = before + chance.randrange(20, 200)
            running = [
                pool.submit(load.call_until_dead, functions, name, kill * 1_000_000 + caller)
                for caller in range(CALLERS)
            ]
            while len(load.accepted) < wanted and not all(one.done() for one in running):
                functions.platform.get("/_mayfly/health")
            life.kill()
            for one in running:
                one.result()
        functions = life.up()
    found = records(functions, url, set(load.accepted))
    by_id = Counter(one["requestContext"]["requestId"] for one in found)
    for record in found:
        number = load.accepted.get(record["requestContext"]["requestId"])
        condition = record["requestContext"]["condition"]
        if number is not None:
            assert record["requestPayload"] == {"n": number}
            assert condition == ("RetriesExhausted" if number % 3 == 0 else "Success")
    # Each event ends in one transaction, so it is told of once, however often it was called.
    assert set(by_id.values()) == {1}
    sys.stdout.write(f"{KILLS} kills, {len(load.accepted)} accepted, {len(by_id)} told\n")
