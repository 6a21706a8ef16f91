"""Fuzz one target with atheris, guided by coverage: `python -m bench.fuzz archives -runs=100000`.

    pip install atheris            not one of our dependencies; Python 3.11 to 3.13, x86_64
    python -m bench.fuzz           lists the targets
    python -m bench.fuzz NAME ...  the rest is libFuzzer's: -max_total_time, -runs, a corpus folder

It ends at the first input that a target neither reads nor refuses, and writes it to a file.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run a target; the exit code."""
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not here: pip install atheris")
        return 1
    with atheris.instrument_imports(include=["mayfly", "zipfile"]):
        from bench.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print("\n".join(TARGETS))
        return 1
    target = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], target)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
