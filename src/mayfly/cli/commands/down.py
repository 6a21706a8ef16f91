"""`mayfly down`: asks the platform to stop and waits until its process is gone."""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import clock, running
from mayfly.cli.client import Client
from mayfly.cli.failure import Failed
from mayfly.cli.options import data_option
from mayfly.cli.progress import Progress

_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02


@click.command()
@data_option
def command(data: Path) -> None:
    """Stop the platform; running calls may finish first.

    Functions, accepted events and logs stay in the data folder.
    """
    platform = running.find(data)
    if platform is None or not platform.alive():
        print(f"nothing runs on {data}")
        return
    if not platform.answers():
        raise Failed(
            f"process {platform.pid} is alive but nothing answers at {platform.endpoint}; end it "
            f"with `kill {platform.pid}`, and with `kill -9 {platform.pid}` if it stays: nothing "
            "that was accepted is lost"
        )
    Client(data).call("POST", "/_mayfly/v1/down")
    with Progress("stopping"):
        _await_end(platform)
    print(f"stopped the platform on {data}")


def _await_end(platform: running.Platform) -> None:
    deadline_s = clock.monotonic_s() + _STOP_TIMEOUT_S
    while platform.alive():
        if clock.monotonic_s() > deadline_s:
            raise Failed(
                f"process {platform.pid} has not ended within {_STOP_TIMEOUT_S:.0f} s; "
                f"`kill -9 {platform.pid}` is safe: nothing that was accepted is lost"
            )
        clock.sleep(_POLL_S)
