"""Requests by chance: members of the model's shapes with values that somebody hopes will break it.

    fuzzer = Fuzzer(platform, seed=1)
    fuzzer.run(1_000)
    assert not fuzzer.found

Botocore writes the requests, from parameters that need not fit, and then bytes of the body, the
path, the query or a header are damaged before it is signed: what arrives is well signed and wrong.
The platform may refuse; it may not fail.
"""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.platform import ROLE, RUNTIME, Platform, zipped

# Botocore ships without types; what comes from it is looked at as it is.
Shape = Any
Client = Any
SERVICES = ("lambda", "s3", "dynamodb", "sqs", "scheduler", "sts", "dynamodbstreams")
# Waits on purpose, or ends what the others need.
_LEFT_OUT = {"WriteGetObjectResponse", "SelectObjectContent"}
_THERE = ("fuzzed", "fuzzed.fifo", "fuzzed-bucket", "a/b.txt", "live", "$LATEST", "1", "default")
_ARNS = (
    "arn:aws:lambda:us-east-1:000000000000:function:fuzzed",
    "arn:aws:sqs:us-east-1:000000000000:fuzzed",
    "arn:aws:dynamodb:us-east-1:000000000000:table/fuzzed",
    "arn:aws:s3:::fuzzed-bucket",
    ROLE,
    "arn:aws:lambda:us-east-1:000000000000:function:fuzzed:" + "9" * 40,
    "arn:aws:::::::",
)
_TEXTS = (
    *("", " ", "\0", "../../etc/passwd", "a" * 3_000, "\ud7ff\U0010ffff", "e\u0301", "%", "%zz"),
    *("\r\nX: y", "null", "{}", "[]", '{"a":{"$or":[]}}', "[" * 400, "-1", "9" * 400, "1e999"),
    *("NaN", "rate(0 minutes)", "cron(* * * * ? *)", "cron(0 0 30 2 ? 2099)", "2099-13-99T99"),
    *("#a = :b", "SET a = " + "(" * 300, "NOT " * 200 + "a", "a[99999999999999999999]", "<a>&b;"),
    *("bytes=99-1", "W/", '"', "s3:*", "text/plain; charset=\u00ff", "AQ" * 60, "=?utf-8?b?", ";"),
)
_NUMBERS = (0, 1, -1, 2, 10, 128, 2**31, -(2**31), 2**63, 10**30, 0.5, -0.0, 1e308)
_JUNK = (b"", b"\xff", b"\0", b"{", b"<!DOCTYPE x>", b"&amp", b'"', b"]")
_TAILS = ("?a&b=%ff", "/%2e%2e/", "//", "?x-id=1&x-id=2", "%00", "?versions", "?uploads&tagging")
_HEADERS = ("Content-Type", "X-Amz-Target", "Range", "x-amz-tagging", "Content-MD5", "If-Match")
_BODIES = (b"", b"null", b"[]", b"\xff\xfe", b"{" * 5_000, b"<a/>", b"<a>" * 500, b"a=%ff&Action=x")
_OTHERS: tuple[object, ...] = (None, True, [], {}, [[]], [None], {"": ""}, "", 7, [{}] * 50)


@dataclass
class Found:
    """One answer that should not be.

    Attributes:
        what: Service, operation, number of the request.
        told: The answer.
        given: The parameters.
    """

    what: str
    told: str
    given: object


@dataclass
class Fuzzer:
    """Sends requests to a platform; `found` holds what failed.

    Attributes:
        platform: Where to.
        seed: The same one sends the same requests.
        sent: How many went out.
    """

    platform: Platform
    seed: int
    found: list[Found] = field(default_factory=list)
    sent: int = 0
    _mutate: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - a seeded run
        numbers = self._any_of(_NUMBERS)
        self._makers: dict[str, Callable[[Shape, str, int], object]] = {
            "structure": lambda shape, _name, depth: self._structure(shape, depth),
            "list": self._list,
            "map": self._map,
            **dict.fromkeys(("integer", "long", "float", "double"), numbers),
            "boolean": self._any_of((True, False)),
            "blob": lambda shape, name, depth: self._text(shape, name, depth).encode(),
            "timestamp": self._any_of((0, -1, 1e10, 2**40, "2026-01-01T00:00:00Z")),
        }
        self._clients = {name: self.platform.client(name) for name in SERVICES}
        for client in self._clients.values():
            client.meta.events.register("before-sign", self._before_sign)

    def furnish(self) -> None:
        """Make what the requests speak of, once more where they have removed it."""
        code = zipped({"app.py": "def handler(event, context):\n    return event\n"})
        makes: list[Callable[[], object]] = [
            lambda: self._clients["lambda"].create_function(
                FunctionName="fuzzed",
                Role=ROLE,
                Runtime=RUNTIME,
                Handler="app.handler",
                Code={"ZipFile": code},
            ),
            lambda: self._clients["s3"].create_bucket(Bucket="fuzzed-bucket"),
            lambda: self._clients["s3"].put_object(
                Bucket="fuzzed-bucket", Key="a/b.txt", Body=b"x"
            ),
            lambda: self._clients["sqs"].create_queue(QueueName="fuzzed"),
            lambda: self._clients["dynamodb"].create_table(
                TableName="fuzzed",
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            ),
        ]
        self._mutate = False
        for make in makes:
            self._send("furnish", make, None)

    def run(self, count: int) -> None:
        """Send so many requests."""
        for number, (service, operation) in zip(range(count), self._operations(), strict=False):
            if number % 250 == 0:
                self.furnish()
            client = self._clients[service]
            model = client.meta.service_model.operation_model(operation)
            given = self._structure(model.input_shape, 0) if model.input_shape else {}
            self._mutate = self.chance.random() < 0.4
            what = f"{service} {operation} {number}"
            self._send(what, partial(_call, client, operation, given), given)

    def _operations(self) -> Iterator[tuple[str, str]]:
        every = [
            (service, operation)
            for service, client in self._clients.items()
            for operation in client.meta.service_model.operation_names
            if operation not in _LEFT_OUT
        ]
        while True:
            self.chance.shuffle(every)
            yield from every

    def _send(self, what: str, act: Callable[[], object], given: object) -> None:
        try:
            act()
        except ClientError as refused:
            status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
            code = str(refused.response["Error"].get("Code"))
            # "500" is botocore's own word for an answer to another question than it asked.
            if status >= 500 and status != 501 and code not in ("NotImplemented", "500"):
                self.found.append(Found(what, str(refused), given))
        except BotoCoreError as error:
            # Botocore itself would not send it, or could not read an answer: the latter counts.
            if "ParserError" in type(error).__name__ or "Connection" in type(error).__name__:
                self.found.append(Found(what, f"{type(error).__name__}: {error}", given))
        except Exception:  # noqa: BLE001 - botocore cannot write down what does not fit at all
            return

    def _structure(self, shape: Shape, depth: int) -> dict[str, object]:
        required = set(shape.required_members)
        return {
            name: self._value(member, name, depth + 1)
            for name, member in shape.members.items()
            if self.chance.random() < (0.95 if name in required else 0.3 / (1 + depth / 2))
        }

    def _value(self, shape: Shape, name: str, depth: int) -> object:
        if self.chance.random() < 0.04:
            return self.chance.choice(_OTHERS)
        if depth > 6:
            return {}
        make = self._makers.get(shape.type_name, self._text)
        return make(shape, name, depth)

    def _list(self, shape: Shape, name: str, depth: int) -> object:
        count = self.chance.choice((0, 1, 1, 1, 2, 3))
        return [self._value(shape.member, name, depth + 1) for _ in range(count)]

    def _map(self, shape: Shape, name: str, depth: int) -> object:
        count = self.chance.choice((0, 1, 1, 2))
        keys = [self._text(shape.key, "", depth) for _ in range(count)]
        return {key: self._value(shape.value, name, depth + 1) for key in keys}

    def _any_of(self, values: Sequence[object]) -> Callable[[Shape, str, int], object]:
        return lambda _shape, _name, _depth: self.chance.choice(values)

    def _text(self, shape: Shape, name: str, _depth: int) -> str:
        chance = self.chance
        known = getattr(shape, "enum", None) if chance.random() < 0.7 else None
        if name == "QueueUrl":
            known = [f"{self.platform.endpoint}/000000000000/fuzzed"]
        if name == "Bucket" and chance.random() < 0.8:
            known = ["fuzzed-bucket"]
        if name.lower().endswith("arn") and chance.random() < 0.8:
            known = _ARNS
        return str(chance.choice(known or chance.choice((_THERE, _TEXTS))))

    def _before_sign(self, request: AWSRequest, **_more: object) -> None:
        self.sent += 1
        if not self._mutate:
            return
        chance = self.chance
        body = request.data if isinstance(request.data, bytes) else b""
        match chance.randrange(4):
            case 0:
                at = chance.randrange(len(body) + 1)
                end = at + chance.choice((0, 1, 1, 9))
                request.data = body[:at] + chance.choice(_JUNK) + body[end:]
            case 1:
                request.url += chance.choice(_TAILS)
            case 2:
                name, text = chance.choice(_HEADERS), chance.choice(_TEXTS)
                del request.headers[name]
                request.headers[name] = text.replace("\r\n", " ").replace("\0", "")
            case _:
                request.data = chance.choice(_BODIES)


def _call(client: Client, operation: str, given: dict[str, object]) -> None:
    if operation == "ReceiveMessage":
        given["WaitTimeSeconds"] = 0
    client._make_api_call(operation, given)
