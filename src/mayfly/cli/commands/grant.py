"""`mayfly grant`: a function may reach more, from its next call on, without a deploy."""

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
    r"""Let the function NAME reach more.

    \b
    net=api.example.com:443    a host and its port
    objects=photos/in:read     a bucket, or what begins so: read, write
    tables=orders:write        a table: read, write
    queues=mail:send           a queue: send, receive
    invoke=thumbnail           another function
    secrets=stripe-key         a secret, as the variable STRIPE_KEY

    It holds from the next call on, until the next deploy: then mayfly.toml says what is granted.
    """
    granting.change("PUT", name, grants, data, as_json=as_json)
