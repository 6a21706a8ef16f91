"""`mayfly ls`: the functions in service, one a line.

A table for a person, as wide as its words; with --json the platform's own forms, and with -q names
alone, for scripts.
"""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.display import age, milliseconds, print_json
from mayfly.cli.options import data_option, json_option
from mayfly.cli.tables import print_table


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Print names only.")
@data_option
@json_option
def command(data: Path, *, quiet: bool, as_json: bool) -> None:
    """List the functions."""
    reply = Client(data).call("GET", "/_mayfly/v1/functions").document()
    functions = document.parts(reply, "functions")
    if quiet:
        for one in functions:
            print(document.text(one, "name"))
        return
    if as_json:
        print_json(functions)
        return
    if not functions:
        print("no functions yet; `mayfly init DIR` writes one, `mayfly deploy DIR` serves it")
        return
    columns = (
        "NAME",
        "RUNTIME",
        "MEMORY",
        "TIMEOUT",
        "CALLS",
        "ERRORS",
        "P50",
        "AGE",
        "TRIGGERS",
        "URL",
    )
    now_ms = clock.now_ms()
    print_table(
        columns, [_row(one, now_ms) for one in functions], numbers="MEMORY TIMEOUT CALLS ERRORS P50"
    )


def _row(function: document.Document, now_ms: float) -> tuple[str, ...]:
    counted = document.part(function, "statistics")
    modified_ms = document.number(function, "modified_ms")
    triggers = document.parts(function, "triggers")
    return (
        document.text(function, "name"),
        document.text(function, "runtime"),
        f"{document.number(function, 'memory_mib'):.0f} MiB",
        f"{document.number(function, 'timeout_s'):.0f} s",
        f"{document.number(counted, 'calls'):.0f}",
        f"{document.number(counted, 'errors'):.0f}",
        milliseconds(document.number_or_none(counted, "p50_ms")),
        age((now_ms - modified_ms) / 1000),
        ",".join(sorted({document.text(one, "type") for one in triggers})) or "-",
        document.text(function, "url", "-"),
    )
