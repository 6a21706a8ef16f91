"""`mayfly learn`: the smallest grants and bounds of a function, found by running it.

What it lacks stays refused while it runs, unless a person allows it for the next round. The
proposal is a diff of mayfly.toml; nothing is written or granted before somebody says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mayfly.cli import document, learning, proposing
from mayfly.cli.client import Client
from mayfly.cli.display import print_json
from mayfly.cli.failure import Failed
from mayfly.cli.options import complete_function, data_option, json_option

_ROUNDS_MAX = 10


@click.command()
@click.argument("name", shell_complete=complete_function)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[EVENT.json]...")
@click.option("--events", type=click.Path(path_type=Path), help="Every *.json of this folder.")
@click.option("--allow", is_flag=True, help="Ask for what it lacks, and run again with it.")
@click.option(
    "--apply",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the proposal into this folder's mayfly.toml, after a question.",
)
@click.option("--yes", "-y", is_flag=True, help="Answer every question with yes.")
@data_option
@json_option
def command(
    name: str,
    files: tuple[Path, ...],
    events: Path | None,
    folder: Path | None,
    data: Path,
    *,
    allow: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Run NAME on sample events and propose the smallest grants and bounds that it needs.

    It runs for real, with what it was granted: what it writes is written. What it was not granted
    is refused and noted. Without an event it gets {}. Output and notes go to stderr, the
    diff to stdout.
    """
    samples = [_event(one) for one in (*files, *_below(events))] or [{}]
    manifest = None if folder is None else folder / "mayfly.toml"
    text = None if manifest is None else _text(manifest)
    proposal = _rounds(Client(data), name, samples, allow=allow, yes=yes, quiet=as_json)
    before = learning.as_manifest(proposal) if text is None else text
    after = proposing.edited(before, learning.wished(proposal, before))
    change = proposing.difference(before, after, "mayfly.toml")
    if as_json:
        print_json({**proposal, "diff": change})
    else:
        learning.explain(proposal)
        print(change, end="") if change else print(f"{name} has what it needs and no more")
    if manifest is not None and change and (yes or _confirmed(f"write {manifest}?")):
        manifest.write_text(after, encoding="utf-8")
        print(f"written; `mayfly deploy {folder}` puts it in force", file=sys.stderr)


def _rounds(
    client: Client, name: str, events: Sequence[object], *, allow: bool, yes: bool, quiet: bool
) -> document.Document:
    """Run until it lacks nothing, or a person says no."""
    allowed: list[str] = []
    proposal = learning.rehearse(client, name, events, allowed, quiet=quiet)
    for _ in range(_ROUNDS_MAX):
        missing = [one for one in document.texts(proposal, "missing") if one not in allowed]
        accepted = [
            one for one in missing if allow and (yes or _confirmed(f"allow {one} for now?"))
        ]
        if not accepted:
            break
        allowed += accepted
        proposal = learning.rehearse(client, name, events, allowed, quiet=quiet)
    return proposal


def _confirmed(question: str) -> bool:
    return click.confirm(question, default=False, err=True)


def _below(folder: Path | None) -> Sequence[Path]:
    if folder is None:
        return ()
    found = sorted(folder.glob("*.json"))
    if not found:
        raise Failed(f"{folder} holds no *.json; save sample events there, one a file")
    return found


def _event(path: Path) -> object:
    try:
        found: object = json.loads(_text(path))
    except ValueError as error:
        raise Failed(f"{path} is no JSON: {error}") from error
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{path} cannot be read: {error}") from error
