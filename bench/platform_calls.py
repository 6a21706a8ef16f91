"""(a) to (d) The platform through its whole HTTP path: signed requests over kept connections.

    (a) a fresh sealed isolate for each call     (b) the same with reuse = "warm"
    (c) calls a second of both, 16 clients       (d) the first call of a function just made

"Back to back" sends the next call as soon as the last one is answered: a fresh isolate for each is
then limited by how fast they are born. "Every 10 ms" is a caller that leaves time to refill.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from bench.daemon import RUNTIME, SOURCE, Daemon, daemon, invoke_path, zipped
from bench.http_client import calls_per_second
from bench.series import EVENT, HANDLER, Effort, Measured, paced, run_alone, timed

COLD_CALLS = 21
FRESH, WARM = "Mayfly, fresh isolate a call", 'Mayfly, reuse = "warm"'


def measure(effort: Effort, source: Path = SOURCE) -> list[Measured]:
    """All rows; a platform that does not come up is reported as missing, with what it said."""
    try:
        with daemon(source=source) as platform:
            return _measure(platform, effort)
    except RuntimeError as failed:
        return [Measured("a", "Mayfly through HTTP", missing=str(failed).splitlines()[-1])]


def _measure(platform: Daemon, effort: Effort) -> list[Measured]:
    platform.deploy("fresh")
    platform.deploy("warm", reuse="warm")
    return [
        _times(platform, "fresh", effort, "a", FRESH),
        _paced(platform, "fresh", effort, "a", f"{FRESH}, a call every 10 ms"),
        _times(platform, "warm", effort, "b", WARM),
        _paced(platform, "warm", effort, "b", f"{WARM}, a call every 10 ms"),
        _rate(platform, "fresh", effort, FRESH),
        _rate(platform, "warm", effort, WARM),
        *_cold(platform, effort),
    ]


def _times(platform: Daemon, name: str, effort: Effort, letter: str, what: str) -> Measured:
    with platform.client(name) as client:
        assert json.loads(client.call()) == json.loads(EVENT)
        return Measured(letter, f"{what}, back to back", timed(client.call, effort, warm_up=100))


def _paced(platform: Daemon, name: str, effort: Effort, letter: str, what: str) -> Measured:
    with platform.client(name) as client:
        return Measured(letter, what, paced(client.call, effort.seconds))


def _rate(platform: Daemon, name: str, effort: Effort, what: str) -> Measured:
    path = invoke_path(name)
    rate = calls_per_second(
        platform.endpoint + path,
        EVENT,
        headers=platform.signed("POST", path, EVENT),
        clients=effort.clients,
        seconds=effort.seconds,
    )
    row = f"{what}, {effort.clients} clients"
    return Measured("c", row, per_second=rate, missing="" if rate else "wrk is not installed")


def _cold(platform: Daemon, effort: Effort) -> list[Measured]:
    """First calls; and what a steady caller of another function sees meanwhile."""
    first = [_first_call(platform, f"cold-{number}") for number in range(COLD_CALLS)]
    alone = _paced(platform, "warm", effort, "d", "a neighbour's call, nothing else going on")
    beside = _beside_cold_starts(platform, effort)
    return [Measured("d", "Mayfly, first call of a function just made", first), alone, beside]


def _first_call(platform: Daemon, name: str) -> int:
    _create(platform, name)
    with platform.client(name) as client:
        start = time.perf_counter_ns()
        client.call()
        took_us = (time.perf_counter_ns() - start) // 1_000
    platform.ask("DELETE", f"/2015-03-31/functions/{name}", service="lambda")
    return took_us


def _create(platform: Daemon, name: str) -> None:
    wanted = {
        "FunctionName": name,
        "Runtime": RUNTIME,
        "Role": "arn:aws:iam::000000000000:role/bench",
        "Handler": "app.handler",
        "Code": {"ZipFile": base64.b64encode(zipped({"app.py": f"# {name}\n{HANDLER}"})).decode()},
    }
    platform.ask("POST", "/2015-03-31/functions", json.dumps(wanted).encode(), "lambda")


def _beside_cold_starts(platform: Daemon, effort: Effort) -> Measured:
    samples: list[int] = []
    with platform.client("warm") as client:
        end = time.perf_counter() + effort.seconds
        number = 0
        while time.perf_counter() < end:
            number += 1
            _create(platform, f"beside-{number}")
            with platform.client(f"beside-{number}") as cold:
                cold.send()
                samples += paced(client.call, 0.08)
                cold.receive()
            platform.ask("DELETE", f"/2015-03-31/functions/beside-{number}", service="lambda")
    return Measured("d", "a neighbour's call while others start cold", samples)


if __name__ == "__main__":
    run_alone(measure)
