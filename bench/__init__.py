"""How fast it is, next to what people use instead: series, ratios, and comparisons of revisions.

    bench.run        the whole table, (a) to (j), and bench/out/*.json
    bench.ab REV     this work tree against a revision, in one run
    bench.memory     what a parked isolate costs, and how many can be parked

Each thing that is measured is a file of its own with `measure(effort) -> list[Measured]`, and runs
alone: `python -m bench.bare_fork`. What is not installed is reported as missing, never estimated.
"""
