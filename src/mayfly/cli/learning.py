"""What `mayfly learn` hears from the platform, and what it makes of it for a person.

The platform runs and proposes; here the proposal becomes changed lines of a mayfly.toml.
"""

from __future__ import annotations

import base64
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence

from mayfly.cli import document
from mayfly.cli.client import Client, segment
from mayfly.cli.display import milliseconds
from mayfly.cli.failure import Failed
from mayfly.cli.progress import Progress
from mayfly.cli.proposing import Edits, Value

# A function may take its 15 minutes.
_SILENCE_S = 960.0
_KINDS = ("net", "objects", "tables", "queues", "invoke", "secrets")


def rehearse(
    client: Client, name: str, events: Sequence[object], allow: Sequence[str], *, quiet: bool
) -> document.Document:
    """Run the function on the events; the proposal. Its output and each run go to stderr."""
    body = json.dumps({"events": list(events), "allow": list(allow)}).encode()
    path = f"/_mayfly/v1/learn/{segment(name)}"
    last: document.Document = {}
    with Progress(f"running {name}") as progress:
        for line in client.stream("POST", path, body=body, timeout_s=_SILENCE_S):
            if "grants" in line:
                last = line
            elif not quiet:
                progress.end()
                _show_line(line)
    if not last:
        raise Failed(f"learning of {name} broke off; the platform's log says more")
    return last


def wished(proposal: document.Document, text: str) -> Edits:
    """The keys of this manifest that the proposal changes."""
    grants = document.part(proposal, "grants")
    add, remove = document.texts(grants, "add"), set(document.texts(grants, "remove"))
    keep = document.texts(grants, "keep")
    try:
        present: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"mayfly.toml cannot be read: {error}") from error
    lists: dict[str, Value | None] = {}
    for kind in _KINDS:
        has = list(document.texts(document.part(present, "grants"), kind))
        new = [one for one in has if f"{kind}={one}" not in remove]
        wanted = [one.partition("=")[2] for one in (*keep, *add) if one.startswith(f"{kind}=")]
        new += [one for one in wanted if one not in new]
        if new != has:
            lists[kind] = new or None
    bounds = {
        key: int(document.number(found, "proposed"))
        for key in ("memory", "timeout", "tmp")
        if (found := document.part(document.part(proposal, "bounds"), key))
        and document.number(found, "proposed") != document.number(found, "now")
    }
    return {"function": bounds, "grants": lists}


def as_manifest(proposal: document.Document) -> str:
    """What a manifest says of these things now, for a function whose file is not at hand."""
    grants = document.part(proposal, "grants")
    present = [*document.texts(grants, "keep"), *document.texts(grants, "remove")]
    bounds = document.part(proposal, "bounds")
    lines = ["[function]"]
    lines += [f"{k} = {document.number(document.part(bounds, k), 'now'):.0f}" for k in bounds]
    lines += ["", "[grants]"]
    for kind in _KINDS:
        names = [one.partition("=")[2] for one in present if one.startswith(f"{kind}=")]
        if names:
            lines.append(f"{kind} = {json.dumps(names)}")
    return "\n".join(lines) + "\n"


def explain(proposal: document.Document) -> None:
    """What the diff does not say, on stderr."""
    name = document.text(proposal, "function")
    runs, failed = document.number(proposal, "runs"), document.number(proposal, "failed")
    _say(f"{name}: {runs:.0f} runs, {failed:.0f} failed")
    for key, unit in (("memory", "MiB"), ("timeout", "s"), ("tmp", "MiB")):
        bound = document.part(document.part(proposal, "bounds"), key)
        _say(f"  {key}: {bound.get('seen')} {unit} seen, {bound.get('now')} {unit} allowed")
    _say(f"  {_seen(document.part(proposal, 'seen'))}")
    for host in document.texts(proposal, "hosts_without_port"):
        _say(f"  it looked up {host}; at which port is not known: allow net={host}:PORT")
    narrower = document.part(document.part(proposal, "grants"), "narrower")
    for grant in narrower:
        _say(f"  {grant} is wider than was used: {', '.join(document.texts(narrower, grant))}")
    if document.texts(proposal, "missing"):
        _say("  what was refused may have hidden more: run again with --allow")
    if failed:
        _say("  a run failed: nothing is taken away or lowered")
    if document.number(proposal, "not_recorded"):
        _say("  it asked for more than is kept; what is shown is not all")


def _seen(seen: document.Document) -> str:
    """One line of what the tracer saw; `--json` has the names."""
    if document.text(seen, "untraced"):
        return f"files and system calls could not be seen: {document.text(seen, 'untraced')}"
    files, calls = document.texts(seen, "files"), document.texts(seen, "syscalls")
    own = sum(one.startswith(("/var/task/", "/var/deps/")) for one in files)
    return (
        f"opened: {len(files)} files, {own} of its own; used: {len(calls)} system calls, "
        f"{document.number(seen, 'tasks'):.0f} processes and threads at once"
    )


def _show_line(line: document.Document) -> None:
    output = document.text(line, "output")
    if output:
        sys.stderr.buffer.write(base64.b64decode(output))
        sys.stderr.flush()
        return
    number = document.number(line, "event") + 1
    took = milliseconds(document.number(line, "duration_ms"))
    error = document.text(line, "error")
    _say(f"event {number:.0f}: {took}, {f'failed: {error}' if error else 'answered'}")
    for one in document.texts(line, "refused"):
        _say(f"  refused: {one}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
