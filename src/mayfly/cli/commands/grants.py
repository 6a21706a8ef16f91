"""`mayfly grants`: what a function may reach, and where it was said so."""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import granting
from mayfly.cli.client import Client
from mayfly.cli.display import print_json
from mayfly.cli.options import complete_function, data_option, json_option


@click.command()
@click.argument("name", shell_complete=complete_function)
@data_option
@json_option
def command(name: str, data: Path, *, as_json: bool) -> None:
    """List what the function NAME may reach, and where each grant came from."""
    reply = Client(data).call("GET", granting.path(name)).document()
    if as_json:
        print_json(reply)
    else:
        granting.show(reply)
