"""`mayfly rm`: removes functions, their URLs and their logs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mayfly.cli.client import Client, segment
from mayfly.cli.failure import FAILED, Failed
from mayfly.cli.options import complete_function, data_option


@click.command()
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_function
)
@data_option
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], data: Path) -> None:
    """Remove the functions NAME...; calls that run now may finish."""
    client = Client(data)
    failed = False
    for name in names:
        try:
            client.call("DELETE", f"/_mayfly/v1/functions/{segment(name)}")
        except Failed as error:
            failed = True
            print(f"mayfly: {name} was not removed: {error}", file=sys.stderr)
        else:
            print(name)
    if failed:
        ctx.exit(FAILED)
