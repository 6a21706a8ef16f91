"""`mayfly timeline`: the latest calls, each as the life of its isolate.

resize    18d2...  cold   in 1.9 MB   out 214 kB
  born      -21.4 ms  forked from the snapshot
  parked    -20.9 ms  sealed and waiting
  event       0.0 ms  arrived
  answered  312.0 ms
  died      312.6 ms  with all its memory, files and processes
"""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.display import print_json, size
from mayfly.cli.options import data_option, json_option


@click.command()
@click.argument("name", required=False)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 1_000),
    default=5,
    show_default=True,
    help="How many calls.",
)
@data_option
@json_option
def command(name: str | None, count: int, data: Path, *, as_json: bool) -> None:
    """Show the latest calls, of NAME or of all functions, in the order that they came.

    Times are milliseconds from the event's arrival.
    """
    asked = 1_000 if name else count
    reply = Client(data).call("GET", "/_mayfly/v1/lives", query={"count": str(asked)}).document()
    lives = [
        one
        for one in document.parts(reply, "lives")
        if name in (None, document.text(one, "function_name"))
    ]
    lives = sorted(lives, key=lambda one: document.number(one, "event_ms"))[-count:]
    if as_json:
        print_json(lives)
        return
    if not lives:
        print("no calls yet; `mayfly invoke NAME` makes one")
    for index, life in enumerate(lives):
        print(("\n" if index else "") + "\n".join(picture(life)))


def picture(life: document.Document) -> list[str]:
    """One call's lines."""
    error = document.text(life, "error_type")
    grants = ", ".join(document.texts(life, "grants"))
    event_ms = document.number(life, "event_ms")
    cold = "  cold" if life.get("cold") is True else ""
    came, went = (size(document.number(life, key)) for key in ("bytes_in", "bytes_out"))
    name, request_id = (document.text(life, key) for key in ("function_name", "request_id"))
    return [
        f"{name}  {request_id}  at {clock.local_time(event_ms)}{cold}",
        *(f"  {stage:9}{told}" for stage, told in _stages(life, event_ms, error)),
        f"  in {came}, out {went}, granted: {grants or 'nothing'}",
    ]


def _stages(life: document.Document, event_ms: float, error: str) -> list[tuple[str, str]]:
    stages = []
    moments = (
        ("born_ms", "forked from its snapshot"),
        ("parked_ms", "sealed, waiting for an event"),
        ("event_ms", "arrived"),
        ("answered_ms", f"with {error}" if error else "returned"),
        ("died_ms", "with its memory, files and processes"),
    )
    for key, what in moments:
        moment_ms = document.number_or_none(life, key)
        shown = "         -     " if moment_ms is None else f"{moment_ms - event_ms:+12.2f} ms"
        told = "lives on for the next call" if moment_ms is None else what
        stages.append((key.removesuffix("_ms"), f"{shown}  {told}"))
    return stages
