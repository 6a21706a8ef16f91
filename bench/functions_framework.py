"""(i) Google's functions-framework (PyPI, gunicorn), warm, over a connection that is kept.

Every call runs in the same process: no isolate, no fresh memory, which is what it is compared for.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.http_client import KeepAlive, calls_per_second
from bench.series import EVENT, Effort, Measured, paced, run_alone, timed
from bench.server import OTHERS, free_port, running

WHAT = "functions-framework, warm"
SOURCE = """
import functions_framework

@functions_framework.http
def handler(request):
    return request.get_json()
"""


def measure(effort: Effort) -> list[Measured]:
    """The series, or why not."""
    program = OTHERS / "functions-framework"
    if not program.exists():
        return [Measured("i", WHAT, missing="not installed (make bench-setup)")]
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.py").write_text(SOURCE)
        command = [str(program), "--target", "handler", "--host", "127.0.0.1", "--port", str(port)]
        with running(command, port=port, folder=folder):
            url = f"http://127.0.0.1:{port}/"
            with KeepAlive(url, EVENT) as client:
                assert json.loads(client.call()) == json.loads(EVENT)
                samples = timed(client.call, effort)
                spaced = paced(client.call, effort.seconds)
            rate = calls_per_second(url, EVENT, clients=effort.clients, seconds=effort.seconds)
    return [
        Measured("i", f"{WHAT}, back to back", samples, per_second=rate),
        Measured("i", f"{WHAT}, a call every 10 ms", spaced),
    ]


if __name__ == "__main__":
    run_alone(measure)
