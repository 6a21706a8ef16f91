"""(l) From a put into a bucket until the handler is entered, beside a synchronous call.

The bucket's change is synced to disk with its event, then delivered to a fresh isolate. The handler
answers with the time at which it was entered; a destination queue brings that back. Both clocks
are the machine's one. Puts and calls are made every 20 ms, in turn, on kept connections.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from bench.daemon import SOURCE, Daemon, daemon
from bench.series import Effort, Measured, run_alone

HANDLER = "import time\n\ndef handler(event, context):\n    return time.time()\n"
WHAT, CALL = "put into a bucket to handler entered", "synchronous call to handler entered"
ROUND_TRIP = "the same call, answer included"
BUCKET, QUEUE, NAME = "bench-in", "bench-entered", "entered"
PACE_S = 0.020
_ACCOUNT = "us-east-1:000000000000"
_BODY = b"x" * 4_096


def measure(effort: Effort, source: Path = SOURCE) -> list[Measured]:
    """Both series; missing when the platform does not come up."""
    try:
        with daemon(source=source) as platform:
            return _measure(platform, effort)
    except RuntimeError as failed:
        return [Measured("l", WHAT, missing=str(failed).splitlines()[-1])]


def _measure(platform: Daemon, effort: Effort) -> list[Measured]:
    url = _prepare(platform)
    puts: dict[str, float] = {}
    calls: list[float] = []
    trips: list[float] = []
    count = min(effort.calls, int(effort.seconds / PACE_S))
    with _kept(platform) as connection, platform.client(NAME) as client:
        for number in range(count):
            key = f"k{number:06d}"
            request = _put(platform, key)
            started_s = time.time()
            connection.request("PUT", f"/{BUCKET}/{key}", _BODY, request)
            connection.getresponse().read()
            puts[key] = started_s
            time.sleep(PACE_S / 2)
            started_s = time.time()
            calls.append(float(client.call()) - started_s)
            trips.append(time.time() - started_s)
            time.sleep(PACE_S / 2)
    entered = _entered(platform, url, count)
    waits = [entered[key] - puts[key] for key in puts]
    rows = ((WHAT, waits), (CALL, calls), (ROUND_TRIP, trips))
    return [Measured("l", what, [int(one * 1e6) for one in found]) for what, found in rows]


def _prepare(platform: Daemon) -> str:
    """The bucket that calls the function, whose answers go to a queue; the queue's URL."""
    platform.deploy(NAME, HANDLER)
    arn = f"arn:aws:lambda:{_ACCOUNT}:function:{NAME}"
    url: str = _client(platform, "sqs").create_queue(QueueName=QUEUE)["QueueUrl"]
    _client(platform, "lambda").put_function_event_invoke_config(
        FunctionName=NAME,
        DestinationConfig={"OnSuccess": {"Destination": f"arn:aws:sqs:{_ACCOUNT}:{QUEUE}"}},
    )
    objects = _client(platform, "s3")
    objects.create_bucket(Bucket=BUCKET)
    rule = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    objects.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]}
    )
    return url


def _entered(platform: Daemon, url: str, count: int) -> dict[str, float]:
    """When the handler was entered, by key; each is awaited."""
    queues = _client(platform, "sqs")
    found: dict[str, float] = {}
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            record = json.loads(message["Body"])
            key = record["requestPayload"]["Records"][0]["s3"]["object"]["key"]
            found[key] = float(record["responsePayload"])
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    if len(found) < count:
        raise RuntimeError(f"{count} puts were made, and {len(found)} came back")
    return found


def _put(platform: Daemon, key: str) -> dict[str, str]:
    request = AWSRequest("PUT", f"{platform.endpoint}/{BUCKET}/{key}", data=_BODY)
    S3SigV4Auth(platform.key, "s3", "us-east-1").add_auth(request)
    return {name: value for name, value in request.headers.items() if name.lower() != "host"}


def _client(platform: Daemon, service: str) -> Any:  # noqa: ANN401 boto3 has no types
    return boto3.client(
        service,
        endpoint_url=platform.endpoint,
        aws_access_key_id=platform.key.access_key,
        aws_secret_access_key=platform.key.secret_key,
        region_name="us-east-1",
    )


@contextlib.contextmanager
def _kept(platform: Daemon) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(platform.endpoint).netloc)
    with contextlib.closing(connection):
        yield connection


if __name__ == "__main__":
    run_alone(measure)
