"""Every kind of event under load, and a daemon that is killed at random moments meanwhile.

    clients --put, write, send, invoke--> daemon (kill -9, start, kill -9, ...)
       |                                     `--> function --its door--> collector
       `-- what was acknowledged ------------- compared with ------------'

Nothing that was acknowledged may be missing at the end; a call may come twice.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from botocore.exceptions import BotoCoreError, ClientError

from tests.support.control import deploy
from tests.support.life import Life, new_life
from tests.support.platform import Platform

BUCKET, TABLE, QUEUE, NAME = "storm-in", "storm-rows", "storm-mail", "collect"
ARN = f"arn:aws:lambda:us-east-1:000000000000:function:{NAME}"
LIFE_S = (0.3, 1.5)
SETTLE_S = 120.0

APP = """
import json, os, socket

PORT = int(os.environ["COLLECTOR"])

def _ids(event):
    for record in event.get("Records", ()):
        source = record.get("eventSource", "")
        if source == "aws:s3":
            yield "put", record["s3"]["object"]["key"]
        elif source == "aws:sqs":
            yield "message", record["body"]
        elif source == "aws:dynamodb":
            yield "write", record["dynamodb"]["Keys"]["id"]["S"]
    if "id" in event:
        yield "call", event["id"]

def handler(event, context):
    with socket.create_connection(("localhost", PORT), 5) as one:
        one.sendall("".join(f"{kind} {name}\\n" for kind, name in _ids(event)).encode())
        one.shutdown(socket.SHUT_WR)
        assert one.recv(2) == b"ok"
"""


@dataclass(frozen=True)
class Tally:
    """What became of one kind of event."""

    acknowledged: int
    arrived: int
    repeated: int
    lost: tuple[str, ...]


class _Collector(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.seen: Counter[str] = Counter()


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Collector)
        for line in self.rfile.read().decode().splitlines():
            self.server.seen[line] += 1
        self.wfile.write(b"ok")


@contextlib.contextmanager
def collector() -> Iterator[_Collector]:
    """Hears of each call, for as long as the block runs."""
    with _Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Storm:
    """Clients that go on, whatever becomes of the daemon."""

    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_id(self) -> str:
        """A name that was not used yet."""
        with self._lock:
            self._number += 1
            return f"n{self._number:07d}"

    def keep_on(self, kind: str, act: Callable[[str], object]) -> None:
        """Act until it is over or the daemon is gone; remember what was acknowledged."""
        while not self.over.is_set():
            name = self.new_id()
            try:
                act(name)
            except (ClientError, BotoCoreError, OSError):
                return
            self.acknowledged.setdefault(kind, []).append(name)


def acts(platform: Platform) -> Mapping[str, Callable[[str], object]]:
    """One of each kind of event, by a name."""
    s3, rows = platform.client("s3"), platform.client("dynamodb")
    mail, functions = platform.client("sqs"), platform.client("lambda")
    url = mail.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    return {
        "put": lambda name: s3.put_object(Bucket=BUCKET, Key=name, Body=name.encode()),
        "write": lambda name: rows.put_item(TableName=TABLE, Item={"id": {"S": name}}),
        "message": lambda name: mail.send_message(QueueUrl=url, MessageBody=name),
        "call": lambda name: functions.invoke(
            FunctionName=NAME, InvocationType="Event", Payload=json.dumps({"id": name})
        ),
    }


def prepare(platform: Platform, collector_port: int) -> None:
    """The function, its sources, and what feeds it."""
    manifest = (
        f'[function]\nname = "{NAME}"\nhandler = "app.handler"\ntimeout = "5s"\n'
        f'[function.env]\nCOLLECTOR = "{collector_port}"\n'
        f'[grants]\nnet = ["localhost:{collector_port}"]\n'
    )
    last = deploy(platform, {"mayfly.toml": manifest, "app.py": APP})
    assert "error" not in last, last
    s3, rows = platform.client("s3"), platform.client("dynamodb")
    mail, functions = platform.client("sqs"), platform.client("lambda")
    s3.create_bucket(Bucket=BUCKET)
    rule = {"LambdaFunctionArn": ARN, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]}
    )
    stream = rows.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )["TableDescription"]["LatestStreamArn"]
    mail.create_queue(QueueName=QUEUE, Attributes={"VisibilityTimeout": "6"})
    functions.create_event_source_mapping(
        FunctionName=NAME, EventSourceArn=stream, StartingPosition="TRIM_HORIZON"
    )
    functions.create_event_source_mapping(
        FunctionName=NAME, EventSourceArn=f"arn:aws:sqs:us-east-1:000000000000:{QUEUE}"
    )


def weather(kills: int, *, seed: int, say: Callable[[str], object] = lambda _line: None) -> Tally:
    """Kill the daemon so many times under load; the tally of all kinds together.

    Args:
        seed: Of the moments; the load itself runs as the machine lets it.
        say: Told of each kind's tally.
    """
    tallies = storm(kills, seed=seed)
    for kind, one in tallies.items():
        say(
            f"{kind:8} acknowledged {one.acknowledged:6}, arrived {one.arrived:6}, "
            f"more than once {one.repeated:4}, lost {len(one.lost)} {one.lost[:5]}"
        )
    return Tally(
        sum(one.acknowledged for one in tallies.values()),
        sum(one.arrived for one in tallies.values()),
        sum(one.repeated for one in tallies.values()),
        tuple(f"{kind} {name}" for kind, one in tallies.items() for name in one.lost),
    )


def storm(kills: int, *, seed: int) -> Mapping[str, Tally]:
    """See `weather`; by kind."""
    random, state = Random(seed), Storm()  # noqa: S311 moments, not secrets
    with new_life(ordinary_user=False) as life, collector() as heard:
        platform = life.up().platform
        prepare(platform, heard.server_address[1])
        for _ in range(kills):
            _live(life, state, random.uniform(*LIFE_S))
            life.up()
        _settle(state, heard)
        life.end()
        return {kind: _tally(kind, names, heard.seen) for kind, names in state.acknowledged.items()}


def _live(life: Life, state: Storm, seconds: float) -> None:
    """Load for a while, then the kill."""
    assert life.platform is not None
    state.over.clear()
    threads = [
        threading.Thread(target=state.keep_on, args=(kind, act))
        for kind, act in acts(life.platform).items()
    ]
    for one in threads:
        one.start()
    # The moment of the kill is what the seed says; nothing else could end this wait.
    threading.Event().wait(seconds)
    life.kill()
    state.over.set()
    for one in threads:
        one.join()


def _settle(state: Storm, heard: _Collector) -> None:
    wanted = {f"{kind} {name}" for kind, names in state.acknowledged.items() for name in names}
    deadline = time.monotonic() + SETTLE_S
    while wanted - heard.seen.keys() and time.monotonic() < deadline:
        threading.Event().wait(0.1)


def _tally(kind: str, names: list[str], seen: Counter[str]) -> Tally:
    counts = [seen[f"{kind} {name}"] for name in names]
    return Tally(
        acknowledged=len(names),
        arrived=sum(1 for count in counts if count),
        repeated=sum(1 for count in counts if count > 1),
        lost=tuple(name for name, count in zip(names, counts, strict=True) if not count),
    )
