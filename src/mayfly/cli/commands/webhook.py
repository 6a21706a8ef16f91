"""`mayfly webhook`: URLs that others post to, verified, each calling a function.

The secret is named, never given: `mayfly secret set` keeps it.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from mayfly.cli import document
from mayfly.cli.client import Client, segment
from mayfly.cli.display import print_json
from mayfly.cli.options import complete_function, data_option, json_option
from mayfly.cli.removal import remove_each
from mayfly.cli.tables import print_table

_PATH = "/_mayfly/v1/webhooks"
_SCHEMES = ("github", "stripe", "hmac", "none")


@click.group()
def command() -> None:
    """Make URLs that verify what is posted to them and call a function."""


@command.command("add")
@click.argument("name")
@click.option(
    "--function",
    required=True,
    metavar="FUNCTION",
    shell_complete=complete_function,
    help="Whom deliveries are for.",
)
@click.option(
    "--scheme",
    required=True,
    type=click.Choice(_SCHEMES),
    help='How deliveries are signed; "none" lets everybody in who knows the URL.',
)
@click.option(
    "--secret",
    default="",
    metavar="SECRET",
    help="The name of the secret that they are signed with; see `mayfly secret set`.",
)
@data_option
@json_option
def add(name: str, function: str, scheme: str, secret: str, data: Path, *, as_json: bool) -> None:
    """Make the webhook NAME, or change it, and print the URL to give to the sender."""
    body = json.dumps({"function": function, "scheme": scheme, "secret": secret}).encode()
    reply = Client(data).call("PUT", f"{_PATH}/{segment(name)}", body=body).document()
    if as_json:
        print_json(reply)
    else:
        print(document.text(reply, "url"))


@command.command("ls")
@data_option
@json_option
def ls(data: Path, *, as_json: bool) -> None:
    """List the webhooks with their URLs."""
    reply = Client(data).call("GET", _PATH).document()
    if as_json:
        print_json(reply)
        return
    columns = ("name", "function", "scheme", "secret", "url")
    print_table(
        [one.upper() for one in columns],
        [
            [document.text(one, column, "-") for column in columns]
            for one in document.parts(reply, "webhooks")
        ],
    )


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@data_option
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...], data: Path) -> None:
    """Remove the webhooks NAME...; their URLs are gone for good."""
    ctx.exit(remove_each(data, _PATH, names))
