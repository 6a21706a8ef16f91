"""(f)'s own program: a small Python that forks for each call; prints its samples as JSON.

A program of its own, because a fork costs what its parent is large, and the benchmark's own
process is larger than a handler needs.
"""

from __future__ import annotations

import json
import os
import sys
import time

EVENT = b'{"message":"mayfly","numbers":[1,2,3,4,5,6,7,8]}'


def call() -> int:
    """One forked call; microseconds until the answer is read. Reaping comes after, unmeasured."""
    event_read, event_write = os.pipe()
    answer_read, answer_write = os.pipe()
    start = time.perf_counter_ns()
    pid = os.fork()
    if pid == 0:
        event = json.loads(os.read(event_read, 65_536))
        os.write(answer_write, json.dumps(event).encode())
        os._exit(0)
    os.write(event_write, EVENT)
    answer = os.read(answer_read, 65_536)
    took_us = (time.perf_counter_ns() - start) // 1_000
    for fd in (event_read, event_write, answer_read, answer_write):
        os.close(fd)
    os.waitpid(pid, 0)
    if json.loads(answer) != json.loads(EVENT):
        raise RuntimeError(f"answered {answer!r}")
    return took_us


def main() -> None:
    """`fork_loop.py SECONDS CALLS`: samples, and calls a second with reaping, as JSON."""
    seconds, calls = float(sys.argv[1]), int(sys.argv[2])
    for _ in range(20):
        call()
    samples: list[int] = []
    start = time.perf_counter()
    while len(samples) < calls and time.perf_counter() - start < seconds:
        samples.append(call())
    rate = len(samples) / (time.perf_counter() - start)
    json.dump({"samples_us": samples, "per_second": rate}, sys.stdout)


if __name__ == "__main__":
    main()
