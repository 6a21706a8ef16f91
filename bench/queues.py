"""SQS's send, receive and delete: Mayfly, moto's server and ministack, side by side in one run.

Mayfly's answers are durable (fsync before the answer, shared by those who wait at the same time)
and its callers are authenticated; the others keep messages in memory and check nothing. wrk sends
one signed message of 200 bytes again and again, alone or ten in a batch. Then threads of one
Python process, which signs each request, receive ten and delete them, until their time is up; that
client takes one of the machine's cores for itself, so those rates are its own at best.

    python -m bench.queues [--quick]
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

from bench.daemon import Daemon, daemon
from bench.http_client import calls_per_second
from bench.server import OTHERS, free_port, running
from mayfly.cli.signer import Key, sign

CLIENTS, CONSUMERS = 16, 4
SECONDS, QUICK_SECONDS = 5, 1
BODY = "x" * 200
# The others read the region from the scope and check nothing.
UNCHECKED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
Signer = Callable[[str, bytes], Mapping[str, str]]


class Client:
    """One kept connection that signs each request."""

    def __init__(self, endpoint: str, signer: Signer) -> None:
        self._connection = HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=60)
        self._signer = signer

    def ask(self, operation: str, **members: object) -> dict[str, list[dict[str, str]]]:
        """One operation; raises on any status but 200."""
        body = json.dumps(members).encode()
        self._connection.request("POST", "/", body, dict(self._signer(operation, body)))
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation} answered {answer.status}: {content[:300]!r}")
        found: dict[str, list[dict[str, str]]] = json.loads(content or b"{}")
        return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def headers(operation: str) -> dict[str, str]:
    """What every request of an operation has."""
    return {
        "X-Amz-Target": f"AmazonSQS.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
    }


def unchecked(operation: str, _body: bytes) -> Mapping[str, str]:
    """For servers that check nothing."""
    return headers(operation) | UNCHECKED


def signer_of(platform: Daemon) -> Signer:
    """For ours."""
    key = Key(platform.key.access_key, platform.key.secret_key)
    host = urllib.parse.urlsplit(platform.endpoint).netloc

    def signed(operation: str, body: bytes) -> Mapping[str, str]:
        named = {name.lower(): value for name, value in headers(operation).items()}
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        return sign(
            method="POST",
            path="/",
            query="",
            headers={**named, "host": host},
            body=body,
            key=key,
            service="sqs",
            amazon_date=now,
        )

    return signed


def measure(endpoint: str, signer: Signer, seconds: int) -> dict[str, float]:
    """Messages a second, by what was done with them; one server, two queues of its own."""
    client = Client(endpoint, signer)
    urls = [
        str(client.ask("CreateQueue", QueueName=name)["QueueUrl"]) for name in ("alone", "batch")
    ]
    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]
    client.ask("SendMessage", QueueUrl=urls[0], MessageBody=BODY)
    found = {
        "send": _sent(endpoint, signer, seconds, "SendMessage", QueueUrl=urls[0], MessageBody=BODY),
        "send ten": 10
        * _sent(endpoint, signer, seconds, "SendMessageBatch", QueueUrl=urls[1], Entries=entries),
        "receive + delete": _consumed(endpoint, signer, seconds, urls[0], 1),
        "receive + delete ten": _consumed(endpoint, signer, seconds, urls[1], 10),
    }
    client.close()
    return found


def _sent(endpoint: str, signer: Signer, seconds: int, operation: str, **members: object) -> float:
    """Requests a second of one and the same request."""
    body = json.dumps(members).encode()
    named = {key.title(): value for key, value in signer(operation, body).items()}
    named.pop("Host", None)
    rate = calls_per_second(
        endpoint + "/", body, headers=named, clients=CLIENTS, seconds=float(seconds)
    )
    assert rate is not None
    return rate


def _consumed(endpoint: str, signer: Signer, seconds: int, url: str, count: int) -> float:
    """Messages a second that several threads receive and delete."""
    totals = [0] * CONSUMERS
    start = time.perf_counter()

    def consume(number: int) -> None:
        client = Client(endpoint, signer)
        while time.perf_counter() - start < seconds:
            found = client.ask("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=count)
            handles = [one["ReceiptHandle"] for one in found.get("Messages", [])]
            if not handles:
                break
            if count == 1:
                client.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=handles[0])
            else:
                entries = [{"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(handles)]
                client.ask("DeleteMessageBatch", QueueUrl=url, Entries=entries)
            totals[number] += len(handles)
        client.close()

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(CONSUMERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(totals) / (time.perf_counter() - start)


def main() -> None:
    """Measure all that is installed; print rates and ratios."""
    if shutil.which("wrk") is None:
        sys.exit("bench.queues needs wrk (apt install wrk)")
    seconds = QUICK_SECONDS if "--quick" in sys.argv else SECONDS
    found: dict[str, dict[str, float]] = {}
    with daemon() as one:
        # A new platform copies its runtime first, which takes a core for some seconds.
        one.deploy("ready")
        found["mayfly"] = measure(one.endpoint, signer_of(one), seconds)
    moto = OTHERS / "moto_server"
    for name, program in (("moto", moto), ("ministack", OTHERS / "ministack")):
        if not program.exists():
            print(f"{name}: missing: not installed")
            continue
        with _other(name, program) as endpoint:
            found[name] = measure(endpoint, unchecked, seconds)
    print(f"{'messages a second':18}" + "".join(f"{one:>22}" for one in found["mayfly"]))
    for name, rates in found.items():
        print(f"{name:18}" + "".join(f"{rate:>22,.0f}" for rate in rates.values()))
    for name in [one for one in found if one != "mayfly"]:
        ratios = [found["mayfly"][what] / max(rate, 0.01) for what, rate in found[name].items()]
        print(f"{'to ' + name:18}" + "".join(f"{one:>16.1f} times" for one in ratios))


@contextlib.contextmanager
def _other(name: str, program: Path) -> Iterator[str]:
    port = free_port()
    arguments: list[str | Path] = ["-p", str(port)] if name == "moto" else []
    with tempfile.TemporaryDirectory() as folder:
        environment = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR", "HOME": folder}
        command = [program, *arguments]
        with running(command, port=port, folder=Path(folder), environment=environment):
            yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
