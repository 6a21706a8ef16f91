"""Deliveries to a webhook across SIGKILL: what was answered with 202 calls its function."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
from collections.abc import Iterator

import pytest

from tests.support.control import ask
from tests.support.functions import Functions
from tests.support.life import Life, new_life
from tests.support.platform import Platform, fetch

SECRET = b"s3cret"
# After so many accepted deliveries the platform is killed.
ENOUGH = (15, 40, 25)
ANSWERS = """
    def handler(event, context):
        return event["webhook"]["deliveryId"]
"""
QUEUE = "arn:aws:sqs:us-east-1:000000000000:answered"


@pytest.fixture
def life() -> Iterator[Life]:
    with new_life(ordinary_user=False) as made:
        yield made


def post(url: str, name: str) -> str:
    """Deliver once; what the platform says of it, "" when it says nothing."""
    body = json.dumps({"name": name}).encode()
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": name}
    try:
        answer = fetch(url, data=body, method="POST", headers=headers)
    except OSError:
        return ""
    return str(json.loads(answer.body)["status"]) if answer.status == 202 else ""


def make_webhook(functions: Functions) -> str:
    """A webhook and its function; the path of its URL."""
    platform = functions.platform
    functions.make(ANSWERS, name="answers")
    platform.client("sqs").create_queue(QueueName="answered")
    functions.client.put_function_event_invoke_config(
        FunctionName="answers", DestinationConfig={"OnSuccess": {"Destination": QUEUE}}
    )
    assert ask(platform, "PUT", "/_mayfly/v1/secrets/s", SECRET).status == 200
    wanted = {"function": "answers", "scheme": "github", "secret": "s"}
    made = ask(platform, "PUT", "/_mayfly/v1/webhooks/w", json.dumps(wanted).encode())
    return str(json.loads(made.body)["url"]).removeprefix(platform.endpoint)


def answered(platform: Platform, wanted: set[str]) -> set[str]:
    """Deliveries that the function has answered, by the records of its destination.

    Not by its log: what it printed a moment before a kill may be lost.
    """
    sqs, found = platform.client("sqs"), set[str]()
    url = sqs.get_queue_url(QueueName="answered")["QueueUrl"]
    while not wanted <= found:
        told = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        messages = told.get("Messages", [])
        assert messages, f"no more answers, and these are missing: {wanted - found}"
        found |= {json.loads(one["Body"])["responsePayload"] for one in messages}
    return found


class Sender:
    """Posts from several threads until the platform is gone, and keeps what it was told."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.unanswered: set[str] = set()

    def post_until_killed(self, life: Life, url: str, number: int, *, enough: int) -> None:
        """Kill the platform when so many more were accepted."""
        goal = len(self.accepted) + enough
        reached = threading.Event()

        def deliver(worker: int) -> None:
            for count in itertools.count():
                name = f"{number}-{worker}-{count}"
                if not post(url, name):
                    self.unanswered.add(name)
                    return
                self.accepted.add(name)
                if len(self.accepted) >= goal:
                    reached.set()

        workers = [threading.Thread(target=deliver, args=(one,)) for one in range(4)]
        for worker in workers:
            worker.start()
        assert reached.wait(60)
        life.kill()
        for worker in workers:
            worker.join()


@pytest.mark.timeout(180)
def test_what_was_accepted_calls_its_function_and_is_known_when_it_comes_again(life: Life) -> None:
    path, sender = "", Sender()
    for number, enough in enumerate(ENOUGH):
        functions = life.up()
        path = path or make_webhook(functions)
        url = functions.platform.endpoint + path
        told = {post(url, name) for name in sender.accepted}
        assert told <= {"duplicate"}
        sender.post_until_killed(life, url, number, enough=enough)
    functions = life.up()
    url = functions.platform.endpoint + path
    assert all(post(url, name) for name in sender.unanswered)
    wanted = sender.accepted | sender.unanswered
    assert wanted <= answered(functions.platform, wanted)
