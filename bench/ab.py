"""`make bench-ab BASE=REVISION`: this work tree against a revision, measured alternately.

The revision is checked out into a work tree of its own and its daemon is started from there; the
client and what is measured are this tree's. Rounds alternate, so that a machine that slows down
slows both. Printed are the ratios of medians: under 1 is faster than the base.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench import platform_calls
from bench.daemon import SOURCE
from bench.series import Effort, ms

ROUNDS = 3
EFFORT = Effort(seconds=3.0, calls=1_500)
TREE = Path(__file__).parent / ".worktree"


def main() -> None:
    """Measure base and tree in turn and print what changed."""
    revision = sys.argv[1]
    medians: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with checked_out(revision) as base:
        for number in range(ROUNDS):
            for side, source in (("base", base / "src"), ("tree", SOURCE)):
                print(f"round {number + 1} of {ROUNDS}: {side}", file=sys.stderr)
                for row in platform_calls.measure(EFFORT, source):
                    if row.missing:
                        sys.exit(f"{side}: {row.what}: {row.missing}")
                    # A rate becomes a time for each call, so that less is better everywhere.
                    value = row.p50_us or 1e6 / (row.per_second or 1.0)
                    medians[row.what][side].append(value)
    print(f"{'':58} {revision[:12]:>12} {'this tree':>12} {'ratio':>7}")
    for what, sides in medians.items():
        base_us, tree_us = (statistics.median(sides[side]) for side in ("base", "tree"))
        print(f"{what:58} {ms(base_us):>12} {ms(tree_us):>12} {tree_us / base_us:7.2f}")


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A work tree of the revision, removed at the end."""
    root = Path(__file__).parents[1]
    git = ("git", "-C", str(root), "worktree")
    subprocess.run([*git, "add", "--force", "--detach", str(TREE), revision], check=True)
    try:
        yield TREE
    finally:
        subprocess.run([*git, "remove", "--force", str(TREE)], check=True)


if __name__ == "__main__":
    main()
