"""`mayfly deploy`: packs a folder, sends it, shows the steps, says where to call it.

The steps go to stderr as the platform reports them, the result to stdout. It never reads the
manifest: what is wrong in it is the platform's to say, with line and suggestion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.deploying import send_archive
from mayfly.cli.display import print_json
from mayfly.cli.failure import Failed
from mayfly.cli.options import data_option, json_option
from mayfly.cli.packing import pack


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@data_option
@json_option
def command(folder: Path, data: Path, *, as_json: bool) -> None:
    """Put the function in DIR (by default the present folder) into service.

    Calls go to the new code from the next one on; running ones finish on the old.
    """
    started_s = clock.monotonic_s()
    archive = pack(folder)
    last = send_archive(Client(data), archive, quiet=as_json)
    function = document.part(last, "function")
    if not function:
        raise Failed("the deployment broke off; `mayfly ls` shows what is in service")
    if as_json:
        print_json(last)
        return
    _show(function, document.texts(last, "changed"), clock.monotonic_s() - started_s)


def _show(function: document.Document, changed: Sequence[str], seconds: float) -> None:
    name = document.text(function, "name")
    runtime = document.text(function, "runtime")
    memory = document.number(function, "memory_mib")
    what = f"changed: {', '.join(changed)}" if changed else "nothing changed"
    note = "new" if "created" in changed else what
    print(f"{name} is in service ({runtime}, {memory:.0f} MiB) after {seconds:.2f} s; {note}")
    url = document.text(function, "url")
    if url:
        print(f"  its URL:  {url}")
    print(f"  next:     mayfly invoke {name} '{{}}'")
    print(f"            mayfly logs {name} -f")
