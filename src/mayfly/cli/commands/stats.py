"""`mayfly stats`: calls, latencies and memory, redrawn every second.

Without a terminal, or with --once, it prints once and ends. The rate is the difference of two
readings; the platform keeps totals only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.display import age, kibibytes, milliseconds, print_json
from mayfly.cli.options import data_option, json_option
from mayfly.cli.tables import console, table

_EVERY_S = 1.0
_COLUMNS = (
    "FUNCTION",
    "CALLS",
    "/S",
    "ERRORS",
    "THROTTLED",
    "COLD",
    "BUSY",
    "PARKED",
    "P50",
    "P99",
)


@click.command()
@click.option("--once", is_flag=True, help="Print once and end; so it is without a terminal.")
@data_option
@json_option
def command(data: Path, *, once: bool, as_json: bool) -> None:
    """Show calls, latencies and memory, live until Ctrl-C."""
    client = Client(data)
    now = _read(client)
    if as_json:
        print_json(now)
        return
    screen = console()
    if once or not sys.stdout.isatty():
        screen.print(_picture(now, None))
        return
    with Live(_picture(now, None), console=screen, auto_refresh=False) as live:
        while True:
            clock.sleep(_EVERY_S)
            before, now = now, _read(client)
            live.update(_picture(now, before), refresh=True)


def _read(client: Client) -> document.Document:
    return client.call("GET", "/_mayfly/v1/stats").document()


def _picture(now: document.Document, before: document.Document | None) -> Group:
    functions = document.part(now, "functions")
    earlier = document.part(before, "functions") if before is not None else None
    rows = [_row(name, document.part(functions, name), earlier) for name in sorted(functions)]
    return Group(
        table(_COLUMNS, rows, numbers=" ".join(_COLUMNS[1:])),
        Text(_node(document.part(now, "node"))),
    )


def _row(
    name: str, counted: document.Document, earlier: document.Document | None
) -> tuple[str, ...]:
    calls = document.number(counted, "calls")
    rate = "-"
    if earlier is not None:
        rate = f"{(calls - document.number(document.part(earlier, name), 'calls')) / _EVERY_S:.0f}"
    keys = ("errors", "throttles", "cold_starts", "busy", "parked")
    return (
        name,
        f"{calls:.0f}",
        rate,
        *(f"{document.number(counted, key):.0f}" for key in keys),
        milliseconds(document.number_or_none(counted, "p50_ms")),
        milliseconds(document.number_or_none(counted, "p99_ms")),
    )


def _node(node: document.Document) -> str:
    return (
        f"\nnode: {document.number(node, 'snapshots'):.0f} snapshots, "
        f"{document.number(node, 'isolates_parked'):.0f} parked, "
        f"{document.number(node, 'isolates_busy'):.0f} busy, "
        f"{kibibytes(document.number(node, 'resident_kib'))}, "
        f"{document.number(node, 'cpu_seconds'):.1f} s of CPU, "
        f"up {age(document.number(node, 'uptime_s'))}"
    )
