"""`mayfly rm`: removes functions, their URLs and their logs."""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli.options import complete_function, data_option
from mayfly.cli.removal import remove_each


@click.command()
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_function
)
@data_option
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], data: Path) -> None:
    """Remove the functions NAME...; calls that run now may finish."""
    ctx.exit(remove_each(data, "/_mayfly/v1/functions", names))
