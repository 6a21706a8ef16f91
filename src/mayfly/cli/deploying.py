"""Sends a function's archive and shows the steps, on stderr, as the platform reports them.

It never reads the manifest: what is wrong in it is the platform's to say, with line and suggestion.
Used by every command that deploys.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mayfly.cli import document
from mayfly.cli.client import Client
from mayfly.cli.progress import Progress

# Installing requirements may take long and says nothing meanwhile.
_SILENCE_S = 900.0
_WORDS = {
    "unpack": "unpacking",
    "dependencies": "installing requirements",
    "grants": "granting what mayfly.toml says",
    "snapshot": "making the first snapshot",
}


def send_archive(client: Client, archive: bytes, *, quiet: bool) -> document.Document:
    """Deploy an archive, showing its steps; the reply's last line. Raises Failed."""
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
            _tell_taken(document.texts(line, "taken"))
            tell_failure(document.part(line, "failure"))
    return last


def tell_failure(failure: document.Document) -> None:
    """The function is in service, but its import fails: each call will answer with this."""
    if not failure:
        return
    kind, message = document.text(failure, "errorType"), document.text(failure, "errorMessage")
    print(f"  its import fails, and so will each call:  {kind}: {message}", file=sys.stderr)
    for line in document.texts(failure, "stackTrace"):
        print(f"  {line.rstrip()}", file=sys.stderr)


def _tell_taken(grants: Sequence[str]) -> None:
    """The manifest is the truth again."""
    if grants:
        print("  taken away, as mayfly.toml does not grant it:", file=sys.stderr)
    for one in grants:
        print(f"    {one}", file=sys.stderr)


def _step_line(step: str, line: document.Document) -> str:
    cached = ", from the cache" if line.get("cached") is True else ""
    return f"  {step:14}{document.number(line, 'ms'):8.1f} ms{cached}"
