"""`mayfly revoke`: a function may reach less, from its next call on, without a deploy."""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import granting
from mayfly.cli.options import complete_function, data_option, json_option


@click.command()
@click.argument("name", shell_complete=complete_function)
@click.argument("grants", nargs=-1, required=True, metavar="KIND=WHAT...")
@data_option
@json_option
def command(name: str, grants: tuple[str, ...], data: Path, *, as_json: bool) -> None:
    """Take grants from the function NAME, written as `mayfly grants NAME` lists them.

    Calls that run finish with what they began with. A grant that stands in mayfly.toml comes back
    with the next deploy.
    """
    granting.change("DELETE", name, grants, data, as_json=as_json)
