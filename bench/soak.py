"""The soak: the daemon is killed two hundred times under load of every kind, and nothing is lost.

    python -m bench.soak [KILLS [SEED]]

Prints what was acknowledged, what arrived, and what came more than once; exit status 1 when
anything that was acknowledged is missing. fsync at every commit, as always.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.support.storm import weather

KILLS = 200


def main() -> None:
    """Run the storm and print its tally."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mayfly-soak-") as suite:
        Path(suite).chmod(0o755)
        os.environ["MAYFLY_SUITE"] = suite
        os.environ.setdefault("TMPDIR", suite)
        tally = weather(kills, seed=seed, say=print)
    took_s = time.monotonic() - started_s
    print(f"{kills} kills in {took_s:.0f} s: {tally.acknowledged} acknowledged, ", end="")
    print(f"{tally.repeated} more than once, {len(tally.lost)} lost")
    sys.exit(1 if tally.lost else 0)


if __name__ == "__main__":
    main()
