"""A hundred thousand waiting events: the daemon starts at once, stays small, and serves others."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.functions import Functions
from tests.support.life import Life, new_life

WAITING = 100_000
START_S_MAX = 10.0
GROWTH_KIB_MAX = 48 * 1024
SLOW = "import time\ndef handler(event, context):\n    time.sleep(60)\n"
POISON = "import os\ndef handler(event, context):\n    os._exit(9)\n"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:records"


@pytest.fixture
def life() -> Iterator[Life]:
    with new_life(ordinary_user=False) as one:
        yield one


def rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def fill(database: Path, name: str) -> None:
    """Events as they are accepted, all due."""
    now_ms = int(time.time() * 1000)  # noqa: TID251  the daemon's clock is the real one
    connection = sqlite3.connect(database)
    with connection:
        connection.executemany(
            "INSERT INTO event (event_id, state, ready_ms, due_ms, accepted_ms, attempts, "
            "function_name, qualifier, source, client_context, error, payload) "
            "VALUES (?, 'waiting', ?, ?, ?, 0, ?, '$LATEST', 'invoke', '', '', ?)",
            (
                (f"e{number}", now_ms, now_ms, now_ms, name, b'{"a": "%s"}' % (b"x" * 300))
                for number in range(WAITING)
            ),
        )
    connection.close()


def told(functions: Functions, url: str, *, name: str, count: int) -> None:
    """`count` calls of a function are made and told of, in good time."""
    for number in range(count):
        functions.call(name, {"n": number}, InvocationType="Event")
    seen: set[int] = set()
    while len(seen) < count:
        messages = functions.platform.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10
        )["Messages"]
        seen |= {json.loads(one["Body"])["requestPayload"]["n"] for one in messages}


@pytest.mark.timeout(200)
def test_a_flood_of_slow_events_keeps_nobody_else_waiting(life: Life) -> None:
    functions = life.up()
    flood = functions.make(SLOW, name="flood", Timeout=90)
    other = functions.make(name="other")
    url = functions.platform.client("sqs").create_queue(QueueName="records")["QueueUrl"]
    functions.client.put_function_event_invoke_config(
        FunctionName=other, DestinationConfig={"OnSuccess": {"Destination": QUEUE}}
    )
    # Bounded, so that the test costs few processes; what is measured is the backlog.
    functions.client.put_function_concurrency(FunctionName=flood, ReservedConcurrentExecutions=4)
    told(functions, url, name=other, count=5)
    assert life.platform is not None
    small_kib = rss_kib(life.platform.process.pid)
    life.end()
    fill(life.data / "mayfly.db", flood)
    start_s = time.monotonic()  # noqa: TID251  how long a person waits
    functions = life.up()
    took_s = time.monotonic() - start_s  # noqa: TID251
    told(functions, url, name=other, count=50)
    assert life.platform is not None
    grown_kib = rss_kib(life.platform.process.pid) - small_kib
    sys.stdout.write(f"{WAITING} waiting: up in {took_s:.2f} s, grown by {grown_kib} KiB\n")
    assert took_s < START_S_MAX
    assert grown_kib < GROWTH_KIB_MAX


@pytest.mark.timeout(120)
def test_a_function_that_always_dies_harms_no_other(life: Life) -> None:
    functions = life.up()
    poison = functions.make(POISON, name="poison")
    other = functions.make(name="other")
    url = functions.platform.client("sqs").create_queue(QueueName="records")["QueueUrl"]
    for name, kind in ((poison, "OnFailure"), (other, "OnSuccess")):
        functions.client.put_function_event_invoke_config(
            FunctionName=name,
            MaximumRetryAttempts=0,
            DestinationConfig={kind: {"Destination": QUEUE}},
        )
    for number in range(100, 130):
        functions.call(poison, {"n": number}, InvocationType="Event")
    told(functions, url, name=other, count=30)
