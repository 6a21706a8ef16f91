"""DynamoDB's put, get and query: Mayfly, moto's server and ministack, side by side in one run.

Mayfly's answers are durable (fsync before the answer, shared by those who wait at the same time)
and its callers are authenticated; the others keep items in memory and check nothing. Requests are
signed beforehand and sent by wrk, 500 different ones in turn.

    python -m bench.tables [--quick]
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.daemon import daemon
from bench.server import OTHERS, free_port, running

OPERATIONS = ("PutItem", "GetItem", "Query")
REQUESTS = 500
CLIENTS = 16
SECONDS, QUICK_SECONDS = 5, 1
TARGET = "DynamoDB_20120810."
Signer = Callable[[str, bytes], Mapping[str, str]]
# The others read the region from the scope and check nothing.
UNCHECKED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
TABLE = {
    "TableName": "bench",
    "KeySchema": [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "n", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "n", "AttributeType": "N"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


@dataclass(frozen=True)
class Rate:
    """What wrk measured: calls a second with `CLIENTS` clients, and the median of a lone one."""

    per_second: float
    p50_ms: float


def body_of(operation: str, number: int) -> bytes:
    """The request's body: items of about 250 bytes, ten to a partition."""
    key = {"id": {"S": f"user-{number // 10}"}, "n": {"N": str(number % 10)}}
    if operation == "PutItem":
        item = {**key, "name": {"S": "x" * 100}, "at": {"N": "1732449600"}, "tags": {"SS": ["a"]}}
        return json.dumps({"TableName": "bench", "Item": item}).encode()
    if operation == "GetItem":
        return json.dumps({"TableName": "bench", "Key": key}).encode()
    return json.dumps(
        {
            "TableName": "bench",
            "KeyConditionExpression": "id = :i AND n BETWEEN :low AND :high",
            "ExpressionAttributeValues": {
                ":i": key["id"],
                ":low": {"N": "0"},
                ":high": {"N": "9"},
            },
        }
    ).encode()


def measure(endpoint: str, sign: Signer, seconds: int) -> dict[str, Rate]:
    """All operations of one server, whose table is made here."""
    ask(endpoint, "CreateTable", json.dumps(TABLE).encode(), sign)
    for number in range(REQUESTS):
        ask(endpoint, "PutItem", body_of("PutItem", number), sign)
    found = json.loads(ask(endpoint, "Query", body_of("Query", 0), sign))
    assert found["Count"] == 10, found
    return {
        operation: Rate(
            wrk(endpoint, operation, sign, clients=CLIENTS, seconds=seconds)[0],
            wrk(endpoint, operation, sign, clients=1, seconds=seconds)[1],
        )
        for operation in OPERATIONS
    }


def ask(endpoint: str, operation: str, body: bytes, sign: Signer) -> bytes:
    """One request; raises on any status but 2xx."""
    request = urllib.request.Request(
        endpoint + "/", data=body, headers=dict(headers(operation, body, sign))
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def headers(operation: str, body: bytes, sign: Signer) -> dict[str, str]:
    """A request's headers."""
    return {
        "X-Amz-Target": TARGET + operation,
        "Content-Type": "application/x-amz-json-1.0",
        **sign(operation, body),
    }


def wrk(
    endpoint: str, operation: str, sign: Signer, *, clients: int, seconds: int
) -> tuple[float, float]:
    """Calls a second and the median in milliseconds; raises when an answer was not 2xx."""
    lines = ["local requests = {", ""]
    for number in range(REQUESTS):
        body = body_of(operation, number)
        named = headers(operation, body, sign)
        told = ", ".join(f"[ [==[{name}]==] ] = [==[{value}]==]" for name, value in named.items())
        lines.append(f"  {{ {{ {told} }}, [==[{body.decode()}]==] }},")
    lines += [
        "}",
        "local at = 0",
        "request = function()",
        "  at = at % #requests + 1",
        "  return wrk.format('POST', '/', requests[at][1], requests[at][2])",
        "end",
    ]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "requests.lua")
        script.write_text("\n".join(lines))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script)]
        said = subprocess.run(
            [*command, endpoint], capture_output=True, text=True, check=True
        ).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if refused:
        raise RuntimeError(f"{refused[1]} answers were not 2xx:\n{said}")
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    median = re.search(r"50% +([\d.]+)(us|ms|s)", said)
    assert rate is not None, said
    assert median is not None, said
    return float(rate[1]), float(median[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[median[2]]


@contextlib.contextmanager
def mayfly() -> Iterator[tuple[str, Signer]]:
    """A daemon of this source tree."""
    with daemon() as one:
        yield (
            one.endpoint,
            lambda _operation, body: one.signed("POST", "/", body, "dynamodb"),
        )


@contextlib.contextmanager
def another(command: list[str | Path], port: int) -> Iterator[tuple[str, Signer]]:
    """A server that checks nothing."""
    with tempfile.TemporaryDirectory() as name:
        environment = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR", "HOME": name}
        with running(command, port=port, folder=Path(name), environment=environment):
            yield f"http://127.0.0.1:{port}", lambda _operation, _body: {"Authorization": UNCHECKED}


def main() -> None:
    """Measure all that is installed; print rates, medians and ratios."""
    if shutil.which("wrk") is None:
        sys.exit("bench.tables needs wrk (apt install wrk)")
    seconds = QUICK_SECONDS if "--quick" in sys.argv else SECONDS
    found: dict[str, dict[str, Rate]] = {}
    with mayfly() as (endpoint, sign):
        found["mayfly"] = measure(endpoint, sign, seconds)
    moto = OTHERS / "moto_server"
    for name, program in (("moto", moto), ("ministack", OTHERS / "ministack")):
        if not program.exists():
            print(f"{name}: missing: not installed")
            continue
        port = free_port()
        arguments: list[str | Path] = ["-p", str(port)] if name == "moto" else []
        with another([program, *arguments], port) as (endpoint, sign):
            found[name] = measure(endpoint, sign, seconds)
    print(f"{'':12}" + "".join(f"{one:>28}" for one in OPERATIONS))
    for name, rates in found.items():
        cells = [f"{one.per_second:>12,.0f}/s {one.p50_ms:>9.2f} ms" for one in rates.values()]
        print(f"{name:12}" + "".join(f"{cell:>28}" for cell in cells))
    for name in found.keys() - {"mayfly"}:
        cells = [
            f"{found['mayfly'][one].per_second / found[name][one].per_second:.1f} times"
            for one in OPERATIONS
        ]
        print(f"{'to ' + name:12}" + "".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    main()
