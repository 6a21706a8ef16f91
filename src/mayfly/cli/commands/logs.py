"""`mayfly logs`: what a function wrote, as plain lines; follows with -f.

Lines are printed as they come and flushed, so that they can be piped into grep. A stream that is
followed ends with Ctrl-C, or with a complaint when the platform goes.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client, segment
from mayfly.cli.options import Duration, complete_function, data_option, json_option

_LIMIT = 1_000


@click.command()
@click.argument("name", shell_complete=complete_function)
@click.option("-f", "--follow", is_flag=True, help="Go on with lines as they come, until Ctrl-C.")
@click.option("--since", type=Duration(), metavar="5m", help="Only lines that are younger.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=_LIMIT,
    show_default=True,
    help="At most this many of the latest lines.",
)
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time.")
@data_option
@json_option
def command(
    name: str,
    since: float | None,
    lines: int,
    data: Path,
    *,
    follow: bool,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Print what the function NAME wrote to stdout and stderr."""
    query = {"limit": str(lines), "follow": str(int(follow))}
    if since is not None:
        query["since_ms"] = str(int(clock.now_ms() - since * 1000))
    stream = Client(data).stream(
        "GET",
        f"/_mayfly/v1/logs/{segment(name)}",
        query=query,
        timeout_s=None if follow else 60.0,
    )
    for line in stream:
        if as_json:
            print(json.dumps(line, ensure_ascii=False), flush=True)
        else:
            print(_line(line, timestamps=timestamps), flush=True)


def _line(line: document.Document, *, timestamps: bool) -> str:
    text = document.text(line, "text")
    if not timestamps:
        return text
    return f"{clock.local_time(document.number(line, 'when_ms'))}  {text}"
