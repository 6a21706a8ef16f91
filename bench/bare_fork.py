"""(f) The floor: a small Python that forks for each call; no seal, no HTTP, one caller."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.series import Effort, Measured, run_alone

WHAT = "bare os.fork and reply, no seal, no HTTP, one caller"
PROGRAM = Path(__file__).with_name("fork_loop.py")


def measure(effort: Effort) -> list[Measured]:
    """The series, from a process of its own."""
    command = [sys.executable, "-S", "-E", str(PROGRAM), str(effort.seconds), str(effort.calls)]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    found = json.loads(said)
    return [Measured("f", WHAT, found["samples_us"], per_second=found["per_second"])]


if __name__ == "__main__":
    run_alone(measure)
