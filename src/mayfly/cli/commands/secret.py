"""`mayfly secret`: values that functions and webhooks may be given; never shown again.

A value comes from a prompt, from standard input or from a file, so that it is in no shell's history
and in no list of processes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client, segment
from mayfly.cli.display import age, print_json
from mayfly.cli.options import data_option, json_option
from mayfly.cli.removal import remove_each
from mayfly.cli.tables import print_table

_PATH = "/_mayfly/v1/secrets"


@click.group()
def command() -> None:
    """Keep secrets for functions and webhooks."""


@command.command("set")
@click.argument("name")
@click.option(
    "--from-file",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the value from FILE instead of a prompt or standard input.",
)
@data_option
def set_(name: str, data: Path, file: BinaryIO | None) -> None:
    """Set NAME to a value: asked for, or read from standard input. One last newline is left out."""
    client = Client(data)
    value = _value(name, file)
    reply = client.call("PUT", f"{_PATH}/{segment(name)}", body=value).document()
    print(f"{document.text(reply, 'name')} (version {document.number(reply, 'version'):.0f})")


@command.command("ls")
@data_option
@json_option
def ls(data: Path, *, as_json: bool) -> None:
    """List the secrets' names."""
    reply = Client(data).call("GET", _PATH).document()
    if as_json:
        print_json(reply)
        return
    now_ms = clock.now_ms()
    print_table(
        ("NAME", "VERSION", "CHANGED"),
        [
            (
                document.text(one, "name"),
                document.text(one, "version"),
                age((now_ms - document.number(one, "changed_ms")) / 1000) + " ago",
            )
            for one in document.parts(reply, "secrets")
        ],
        numbers="VERSION",
    )


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@data_option
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...], data: Path) -> None:
    """Remove the secrets NAME..."""
    ctx.exit(remove_each(data, _PATH, names))


def _value(name: str, file: BinaryIO | None) -> bytes:
    if file is not None:
        return _without_newline(file.read())
    if not sys.stdin.isatty():
        return _without_newline(sys.stdin.buffer.read())
    typed: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True)
    return typed.encode()


def _without_newline(value: bytes) -> bytes:
    return value.removesuffix(b"\n").removesuffix(b"\r")
