"""What `mayfly up` starts in these tests instead of the daemon; its mode is the first argument.

good     describes itself in the data folder, answers to health and to down, then ends
broken   says why on stderr and ends with 3
silent   never answers
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from tests.unit.cli.fake_platform import Answer, Request, run_fake_platform, write_description


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--listen", default="")
    given = parser.parse_args()
    if given.mode == "broken":
        sys.stderr.write("port 9000 is in use\n")
        raise SystemExit(3)
    if given.mode == "silent":
        signal.pause()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())

    def down(_: Request) -> Answer:
        stopped.set()
        return Answer(202)

    with run_fake_platform(given.data) as fake:
        (given.data / "listen").write_text(given.listen)
        fake.answer("POST", "/_mayfly/v1/down", down)
        write_description(given.data, fake.endpoint, os.getpid())
        stopped.wait(30)


if __name__ == "__main__":
    main()
