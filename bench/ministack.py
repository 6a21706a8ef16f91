"""(j) ministack's Lambda (PyPI): an emulator of AWS's API for tests; warm, and the first call."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

from bench.http_client import KeepAlive
from bench.series import EVENT, HANDLER, Effort, Measured, run_alone, timed
from bench.server import OTHERS, free_port, running

WARM = "ministack's Lambda, warm"
FIRST = "ministack's Lambda, first call"
# It reads the region and the account from the scope and does not check the signature.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
FIRST_CALLS = 7


def measure(effort: Effort) -> list[Measured]:
    """Both series, or why not."""
    program = OTHERS / "ministack"
    if not program.exists():
        why = "not installed (make bench-setup)"
        return [Measured("j", WARM, missing=why), Measured("j", FIRST, missing=why)]
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR", "HOME": name}
        with running([program], port=port, folder=folder, environment=environment):
            endpoint = f"http://127.0.0.1:{port}"
            first = [_first_call(endpoint, f"first-{number}") for number in range(FIRST_CALLS)]
            with KeepAlive(_url(endpoint, "first-0"), EVENT, SIGNED) as client:
                assert json.loads(client.call()) == json.loads(EVENT)
                warm = timed(client.call, effort, warm_up=5)
    return [Measured("j", WARM, warm), Measured("j", FIRST, first)]


def _first_call(endpoint: str, name: str) -> int:
    _create(endpoint, name)
    with KeepAlive(_url(endpoint, name), EVENT, SIGNED) as client:
        start = time.perf_counter_ns()
        client.call()
        return (time.perf_counter_ns() - start) // 1_000


def _url(endpoint: str, name: str) -> str:
    return f"{endpoint}/2015-03-31/functions/{name}/invocations"


def _create(endpoint: str, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", HANDLER)
    wanted = {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": "arn:aws:iam::000000000000:role/bench",
        "Handler": "app.handler",
        "Code": {"ZipFile": base64.b64encode(buffer.getvalue()).decode()},
    }
    request = urllib.request.Request(
        f"{endpoint}/2015-03-31/functions",
        data=json.dumps(wanted).encode(),
        headers={"Content-Type": "application/json", **SIGNED},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


if __name__ == "__main__":
    run_alone(measure)
