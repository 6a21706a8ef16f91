"""`mayfly events`: asynchronous calls that wait or failed; seen, run again, put away.

A list shows an error on one line; `show` gives it whole, with the payload. What changes events says
how many it changed, and on stderr which of those that were named it did not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client, segment
from mayfly.cli.display import age, print_json
from mayfly.cli.failure import FAILED, Failed
from mayfly.cli.options import Duration, complete_function, data_option, json_option
from mayfly.cli.tables import print_table

_PATH = "/_mayfly/v1/events"
_ERROR_WIDTH = 60


@click.group()
def command() -> None:
    """See asynchronous calls that wait or failed, and run them again.

    An event is kept until its function answered it. What failed for good is kept as well, within
    bounds of number and age, to be looked at and replayed.
    """


@command.command("ls")
@click.argument("name", default="", required=False, shell_complete=complete_function)
@click.option("--failed", "state", flag_value="failed", help="Only those that were given up.")
@click.option("--waiting", "state", flag_value="waiting", help="Only those that wait for a try.")
@click.option("--all", "state", flag_value="all", default=True, help="All of them (the default).")
@click.option("--source", default="", metavar="S", help="Where it came from, or how that begins.")
@click.option("--since", type=Duration(), metavar="1h", help="Accepted within this time.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@data_option
@json_option
def ls(
    name: str,
    state: str,
    source: str,
    since: float | None,
    limit: int,
    data: Path,
    *,
    as_json: bool,
) -> None:
    """List events, the newest first; of the function NAME alone when it is given."""
    query = {"state": state, "limit": str(limit)}
    if name:
        query["function"] = name
    if source:
        query["source"] = source
    if since is not None:
        query["since_ms"] = str(int(clock.now_ms() - since * 1000))
    reply = Client(data).call("GET", _PATH, query=query).document()
    events = document.parts(reply, "events")
    if as_json:
        print_json(reply)
        return
    if events:
        now_ms = clock.now_ms()
        columns = ("ID", "FUNCTION", "STATE", "SOURCE", "TRIES", "AGE", "NEXT", "ERROR")
        print_table(columns, [_row(one, now_ms) for one in events], numbers="TRIES AGE NEXT")
    counts = document.part(reply, "counts")
    told = [f"{document.number(counts, one):.0f} {one}" for one in ("failed", "waiting", "leased")]
    print(f"in all: {', '.join(told)}", file=sys.stderr if events else sys.stdout)


@command.command("show")
@click.argument("event_id", metavar="ID")
@data_option
@json_option
def show(event_id: str, data: Path, *, as_json: bool) -> None:
    """Show one event: payload, tries, error, source and times."""
    event = Client(data).call("GET", f"{_PATH}/{segment(event_id)}").document()
    if as_json:
        print_json(event)
        return
    for label, key in (
        ("id", "id"),
        ("function", "function"),
        ("qualifier", "qualifier"),
        ("state", "state"),
        ("condition", "condition"),
        ("source", "source"),
        ("tries", "attempts"),
        ("trace", "trace_id"),
    ):
        _line(label, document.text(event, key))
    for label, key in (
        ("accepted", "accepted_ms"),
        ("next try", "due_ms" if document.text(event, "state") == "waiting" else ""),
        ("failed", "failed_ms"),
        ("replayed", "replayed_ms"),
    ):
        when_ms = document.number(event, key)
        _line(label, clock.local_date(when_ms) if when_ms else "")
    print(f"payload ({document.number(event, 'payload_bytes'):.0f} bytes):")
    print(_pretty(document.text(event, "payload")))
    if document.text(event, "error"):
        print("error:")
        print(_pretty(document.text(event, "error")))


@command.command("replay")
@click.argument("event_ids", nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Every failed event.")
@click.option("--function", default="", shell_complete=complete_function, help="With --all: of it.")
@click.option("--source", default="", metavar="S", help="With --all: that came from there.")
@data_option
@click.pass_context
def replay(
    ctx: click.Context,
    event_ids: tuple[str, ...],
    function: str,
    source: str,
    data: Path,
    *,
    everything: bool,
) -> None:
    """Run the events ID... again now, with all their tries before them."""
    _act(ctx, data, "replay", event_ids, everything=everything, function=function, source=source)


@command.command("redrive")
@click.argument("name", shell_complete=complete_function)
@click.option("--queue", default="", metavar="QUEUE", help="Take the messages of this queue.")
@data_option
def redrive(name: str, queue: str, data: Path) -> None:
    """Run all failed events of the function NAME again, or a queue's dead letters."""
    client = Client(data)
    if not queue:
        body = json.dumps({"all": True, "function": name}).encode()
        reply = client.call("POST", f"{_PATH}/replay", body=body).document()
        print(f"{document.number(reply, 'replayed'):.0f} replayed")
        return
    body = json.dumps({"queue": queue, "function": name}).encode()
    reply = client.call("POST", f"{_PATH}/redrive", body=body, timeout_s=600).document()
    print(f"{document.number(reply, 'moved'):.0f} moved from {queue} to {name}")
    left = document.number(reply, "left")
    if left:
        why = document.text(reply, "why")
        raise Failed(f"{left:.0f} stay in {queue}: {why}")


@command.command("rm")
@click.argument("event_ids", nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Every failed event.")
@click.option("--function", default="", shell_complete=complete_function, help="With --all: of it.")
@click.option("--source", default="", metavar="S", help="With --all: that came from there.")
@data_option
@click.pass_context
def rm(
    ctx: click.Context,
    event_ids: tuple[str, ...],
    function: str,
    source: str,
    data: Path,
    *,
    everything: bool,
) -> None:
    """Forget the events ID...; nothing will be called with them."""
    _act(ctx, data, "remove", event_ids, everything=everything, function=function, source=source)


def _act(
    ctx: click.Context,
    data: Path,
    act: str,
    event_ids: tuple[str, ...],
    *,
    everything: bool,
    function: str,
    source: str,
) -> None:
    if bool(event_ids) == everything:
        raise click.UsageError("name events by their ids, or give --all", ctx)
    if (function or source) and not everything:
        raise click.UsageError("--function and --source go with --all", ctx)
    wanted: dict[str, object] = {"ids": list(event_ids)}
    if everything:
        wanted = {"all": True, "function": function, "source": source}
    path, body = f"{_PATH}/{act}", json.dumps(wanted).encode()
    reply = Client(data).call("POST", path, body=body, timeout_s=600).document()
    word = {"replay": "replayed", "remove": "removed"}[act]
    print(f"{document.number(reply, word):.0f} {word}")
    missing = document.texts(reply, "missing")
    for one in missing:
        print(f"mayfly: {one} is not kept, or is being delivered now", file=sys.stderr)
    if missing:
        ctx.exit(FAILED)


def _row(event: document.Document, now_ms: float) -> tuple[str, ...]:
    waiting = document.text(event, "state") == "waiting"
    left_s = (document.number(event, "due_ms") - now_ms) / 1000
    return (
        document.text(event, "id"),
        document.text(event, "function"),
        document.text(event, "state"),
        document.text(event, "source"),
        f"{document.number(event, 'attempts'):.0f}",
        age((now_ms - document.number(event, "accepted_ms")) / 1000),
        age(left_s) if waiting else "-",
        _short_error(event),
    )


def _short_error(event: document.Document) -> str:
    """The condition and what the error says, on one line."""
    error, condition = document.text(event, "error"), document.text(event, "condition")
    try:
        told = document.parse(error.partition("\n")[0])
    except ValueError:
        pass
    else:
        kind, message = document.text(told, "errorType"), document.text(told, "errorMessage")
        error = ": ".join(filter(None, (kind, message))) or error
    line = " ".join(filter(None, (condition, error))).replace("\n", " ")
    return line if len(line) <= _ERROR_WIDTH else f"{line[: _ERROR_WIDTH - 3]}..."


def _line(label: str, value: str) -> None:
    if value:
        print(f"{label:<10} {value}")


def _pretty(text: str) -> str:
    """JSON with indents; anything else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
