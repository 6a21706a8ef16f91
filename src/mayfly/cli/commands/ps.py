"""`mayfly ps`: the snapshots and isolates that are alive now."""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.display import age, kibibytes, print_json
from mayfly.cli.options import data_option, json_option
from mayfly.cli.tables import print_table


@click.command()
@data_option
@json_option
def command(data: Path, *, as_json: bool) -> None:
    """List the isolates and snapshots that are alive.

    PRIVATE is memory that the one alone uses; SHARE adds its part of what it shares.
    """
    reply = Client(data).call("GET", "/_mayfly/v1/ps").document()
    residents = document.parts(reply, "residents")
    if as_json:
        print_json(residents)
        return
    if not residents:
        print("nothing is alive: no call came lately, so nothing runs")
        return
    now_ms = clock.now_ms()
    columns = ("ID", "KIND", "FUNCTION", "VERSION", "STAGE", "PID", "AGE", "PRIVATE", "SHARE")
    print_table(columns, [_row(one, now_ms) for one in residents], numbers="PID AGE PRIVATE SHARE")


def _row(resident: document.Document, now_ms: float) -> tuple[str, ...]:
    return (
        document.text(resident, "id"),
        document.text(resident, "kind"),
        document.text(resident, "function"),
        document.text(resident, "version"),
        document.text(resident, "stage"),
        f"{document.number(resident, 'pid'):.0f}",
        age((now_ms - document.number(resident, "born_ms")) / 1000),
        kibibytes(document.number(resident, "private_kib")),
        kibibytes(document.number(resident, "proportional_kib")),
    )
