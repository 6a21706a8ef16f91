"""(k) Asynchronous calls a second: accepted over signed HTTP, each on disk before its 202.

Accepted while nothing is called (the function's one place is taken), and accepted while each event
is delivered beside it to a fresh isolate, as far as the machine keeps up. synchronous = FULL: an
fsync for each commit, which those who accept at the same time share.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.daemon import SOURCE, Daemon, daemon, invoke_path
from bench.http_client import KeepAlive, calls_per_second
from bench.series import EVENT, Effort, Measured, run_alone, timed

SLOW = "import time\n\ndef handler(event, context):\n    time.sleep(60)\n"
CLIENTS = 64
WHAT = "asynchronous calls accepted"
_ASYNC = {"X-Amz-Invocation-Type": "Event"}


def measure(effort: Effort, source: Path = SOURCE) -> list[Measured]:
    """Each on a platform of its own; missing when it does not come up."""
    rows: list[Measured] = []
    try:
        with daemon(source=source) as platform:
            platform.deploy("held", SLOW, concurrency=1, timeout="90s")
            rows.append(_alone(platform, effort))
            rows.append(_rate(platform, "held", effort, f"{WHAT}, none delivered meanwhile"))
        with daemon(source=source) as platform:
            platform.deploy("fresh")
            row = _rate(platform, "fresh", effort, f"{WHAT}, delivered beside it")
            row.figures["delivered a second meanwhile"] = _calls(platform) / effort.seconds
            rows.append(row)
    except RuntimeError as failed:
        rows.append(Measured("k", WHAT, missing=str(failed).splitlines()[-1]))
    return rows


def _alone(platform: Daemon, effort: Effort) -> Measured:
    path = invoke_path("held")
    headers = {**platform.signed("POST", path, EVENT), **_ASYNC}
    with KeepAlive(platform.endpoint + path, EVENT, headers) as client:
        return Measured("k", f"{WHAT}, one client", timed(client.call, effort, warm_up=20))


def _rate(platform: Daemon, name: str, effort: Effort, what: str) -> Measured:
    path = invoke_path(name)
    rate = calls_per_second(
        platform.endpoint + path,
        EVENT,
        headers={**platform.signed("POST", path, EVENT), **_ASYNC},
        clients=CLIENTS,
        seconds=effort.seconds,
    )
    missing = "" if rate else "wrk is not installed"
    return Measured("k", f"{what}, {CLIENTS} clients", per_second=rate, missing=missing)


def _calls(platform: Daemon) -> int:
    counted = json.loads(platform.ask("GET", "/_mayfly/v1/stats"))["functions"]
    return int(counted["fresh"]["calls"])


if __name__ == "__main__":
    run_alone(measure)
