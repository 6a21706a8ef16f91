"""`mayfly deploy`: packs a folder, sends it, shows the steps, says where to call it.

The steps go to stderr as the platform reports them, the result to stdout. It never reads the
manifest: what is wrong in it is the platform's to say, with line and suggestion.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.display import print_json
from mayfly.cli.failure import Failed
from mayfly.cli.options import data_option, json_option
from mayfly.cli.packing import pack
from mayfly.cli.progress import Progress

# Installing requirements may take long and says nothing meanwhile.
_SILENCE_S = 900.0
_WORDS = {
    "unpack": "unpacking",
    "dependencies": "installing requirements",
    "snapshot": "making the first snapshot",
}


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
    last = _send(Client(data), archive, quiet=as_json)
    function = document.part(last, "function")
    if not function:
        raise Failed("the deployment broke off; `mayfly ls` shows what is in service")
    if as_json:
        print_json(last)
        return
    _show(function, document.texts(last, "changed"), clock.monotonic_s() - started_s)


def _send(client: Client, archive: bytes, *, quiet: bool) -> document.Document:
    last: document.Document = {}
    with Progress(f"sending {len(archive) / 1000:.0f} kB") as progress:
        for line in client.stream("PUT", "/_mayfly/v1/deploy", body=archive, timeout_s=_SILENCE_S):
            step = document.text(line, "step")
            if not step:
                last = line
                continue
            progress.step(_WORDS.get(step, step))
            if not quiet:
                print(_step_line(step, line), file=sys.stderr)
            _tell_failure(document.part(line, "failure"))
    return last


def _tell_failure(failure: document.Document) -> None:
    """The function is in service, but its import fails: each call will answer with this."""
    if not failure:
        return
    kind, message = document.text(failure, "errorType"), document.text(failure, "errorMessage")
    print(f"  its import fails, and so will each call:  {kind}: {message}", file=sys.stderr)
    for line in document.texts(failure, "stackTrace"):
        print(f"  {line.rstrip()}", file=sys.stderr)


def _step_line(step: str, line: document.Document) -> str:
    cached = ", from the cache" if line.get("cached") is True else ""
    return f"  {step:14}{document.number(line, 'ms'):8.1f} ms{cached}"


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
