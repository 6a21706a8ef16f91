"""(g) What people do first: `python3 handler.py` for each call, event in, answer out."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from bench.series import EVENT, HANDLER, Effort, Measured, run_alone, timed

WHAT = "python3 handler.py for each call"
PYTHON = "/usr/bin/python3"
SCRIPT = (
    f"{HANDLER}\nimport json, sys\njson.dump(handler(json.load(sys.stdin), None), sys.stdout)\n"
)


def measure(effort: Effort) -> list[Measured]:
    """The series, with the system's own interpreter: the quickest to start."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "handler.py")
        script.write_text(SCRIPT)
        command = [PYTHON, str(script)]

        def call() -> bytes:
            return subprocess.run(command, input=EVENT, capture_output=True, check=True).stdout

        assert json.loads(call()) == json.loads(EVENT)
        samples = timed(call, effort, warm_up=5)
    return [Measured("g", WHAT, samples)]


if __name__ == "__main__":
    run_alone(measure)
