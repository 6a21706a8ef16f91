"""(n) A steady caller's times beside hostile functions, as ratios to its quiet times.

    quiet, beside A, quiet, beside A ..    for each attacker A, then for three of them at once

The victim is a small function called every 10 ms. An attacker is a function that is called again
and again by `CALLERS` clients of its own, in a process of their own; quiet and noisy slices
alternate, so that what else happens on the machine falls on both. A failed call of the victim fails
the run.

    python -m bench.neighbours [--quick] [NAME ..]
"""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.daemon import RUNTIME, SOURCE, Daemon, daemon, invoke_path, zipped
from bench.http_client import KeepAlive
from bench.series import HANDLER, Effort, Measured, paced, show

VICTIM, CALLERS, SLICES = "victim", 2, 3
TOGETHER = ("fork bomb", "memory bomb", "log flood")
WHAT = "a call every 10 ms"
# What a series begins with is not measured: the attackers' snapshots and the first isolates.
_SETTLE_S = 0.5
_SPIN = "def handler(event, context):\n    while True:\n        pass\n"

ATTACKERS = {
    "fork bomb": """
import os
def handler(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
    "memory bomb": """
def handler(event, context):
    held = []
    while True:
        held.append(b"x" * (8 << 20))
""",
    "log flood": """
import os
def handler(event, context):
    lines = (b"x" * 99 + b"\\n") * 655
    while True:
        os.write(1, lines)
""",
    "8 cpu burners": _SPIN,
    "/tmp filler": """
def handler(event, context):
    block = bytes(1 << 20)
    while True:
        with open("/tmp/big", "wb", buffering=0) as big:
            while big.write(block) == len(block):
                pass
""",
    "descriptor hoarder": """
import os
def handler(event, context):
    while True:
        held = []
        try:
            while True:
                held += os.pipe()
        except OSError:
            for one in held:
                os.close(one)
""",
    "crash loop": "import os\ndef handler(event, context):\n    os.abort()\n",
    "deadline ignorer": """
import os, signal, time
def handler(event, context):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    for _ in range(20):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                pass
    while True:
        time.sleep(1000)
""",
    "cold start storm": f"import json, decimal, email.message\n{HANDLER}",
}
_CALLERS = {"8 cpu burners": 8}


def measure(effort: Effort, source: Path = SOURCE) -> list[Measured]:
    """A row for each attacker, and for three at once."""
    return _rows(effort, source, [*((name,) for name in ATTACKERS), TOGETHER])


def _rows(effort: Effort, source: Path, crowds: Sequence[Sequence[str]]) -> list[Measured]:
    try:
        with daemon(source=source) as platform:
            platform.deploy(VICTIM)
            for name, code in ATTACKERS.items():
                platform.deploy(_slug(name), code, timeout=1)
            return [row for crowd in crowds for row in _beside(platform, effort, crowd)]
    except RuntimeError as failed:
        return [Measured("n", WHAT, missing=str(failed).splitlines()[-1])]


def _beside(platform: Daemon, effort: Effort, crowd: Sequence[str]) -> list[Measured]:
    """The victim's times without and with a crowd, slice by slice."""
    quiet: list[int] = []
    noisy: list[int] = []
    for _ in range(SLICES):
        with platform.client(VICTIM) as client:
            client.call()
            quiet += paced(client.call, effort.seconds / SLICES)
            with _attacked(platform, crowd):
                paced(client.call, _SETTLE_S)
                noisy += paced(client.call, effort.seconds / SLICES)
            paced(client.call, _SETTLE_S)
    name = " + ".join(crowd)
    before, beside = Measured("n", f"{WHAT}, quiet", quiet), Measured("n", name, noisy)
    figures = {
        "p50_beside_to_quiet": beside.quantile_us(0.50) / before.quantile_us(0.50),
        "p99_beside_to_quiet": beside.quantile_us(0.99) / before.quantile_us(0.99),
    }
    return [before, Measured("n", f"{WHAT}, beside {name}", noisy, figures=figures)]


@contextlib.contextmanager
def _attacked(platform: Daemon, crowd: Sequence[str]) -> Iterator[None]:
    """The crowd calls, from a process of its own, for as long as the block runs."""
    process = multiprocessing.get_context("fork").Process(
        target=_attack, args=(platform, crowd), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _attack(platform: Daemon, crowd: Sequence[str]) -> None:
    threads = []
    for name in crowd:
        for number in range(_CALLERS.get(name, CALLERS)):
            call = (
                _storm(platform, number) if name == "cold start storm" else _caller(platform, name)
            )
            threads.append(threading.Thread(target=_again_and_again, args=(call,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _again_and_again(call: Callable[[], object]) -> None:
    while True:
        # A refusal is an answer too; a connection that was closed is made anew.
        with contextlib.suppress(RuntimeError, OSError):
            call()


def _caller(platform: Daemon, name: str) -> Callable[[], object]:
    kept: list[KeepAlive] = []

    def call() -> None:
        client = kept.pop() if kept else platform.client(_slug(name))
        client.call()
        kept.append(client)

    return call


def _storm(platform: Daemon, number: int) -> Callable[[], object]:
    """Functions that are made, called once and deleted."""
    made = 0

    def call() -> None:
        nonlocal made
        made += 1
        name = f"cold-{number}-{made}-{time.monotonic_ns() % 1_000_000}"
        code = f"# {name}\n{ATTACKERS['cold start storm']}"
        wanted = {
            "FunctionName": name,
            "Runtime": RUNTIME,
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Handler": "app.handler",
            "Code": {"ZipFile": base64.b64encode(zipped({"app.py": code})).decode()},
        }
        platform.ask("POST", "/2015-03-31/functions", json.dumps(wanted).encode(), "lambda")
        platform.ask("POST", invoke_path(name), b"{}", "lambda")
        platform.ask("DELETE", f"/2015-03-31/functions/{name}", service="lambda")

    return call


def _slug(name: str) -> str:
    return name.replace("/", "").replace(" ", "-")


def main() -> None:
    """Print the table: everything, or the attackers that are named, one by one."""
    effort = Effort(seconds=1.5) if "--quick" in sys.argv else Effort()
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    if not named:
        show(measure(effort))
        return
    show(_rows(effort, SOURCE, [word.split("+") for word in named]))


if __name__ == "__main__":
    main()
