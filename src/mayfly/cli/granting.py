"""What `grant`, `revoke` and `grants` share: the request, and the table of a function's grants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mayfly.cli import document
from mayfly.cli.client import Client, segment
from mayfly.cli.deploying import tell_failure
from mayfly.cli.display import print_json
from mayfly.cli.tables import print_table

# A secret that is not there, or a slow import, is told in the reply.
_PATIENCE_S = 120.0
_ORIGINS = {
    "manifest": "mayfly.toml",
    "hand": "mayfly grant",
    "tag": "tag mayfly:grants",
}


def path(name: str) -> str:
    """Where the control API has a function's grants."""
    return f"/_mayfly/v1/grants/{segment(name)}"


def change(method: str, name: str, grants: Sequence[str], data: Path, *, as_json: bool) -> None:
    """Grant or revoke, and show what is granted now. Raises Failed."""
    body = json.dumps({"grants": list(grants)}).encode()
    client = Client(data)
    reply = client.call(method, path(name), body=body, timeout_s=_PATIENCE_S).document()
    if as_json:
        print_json(reply)
        return
    show(reply)
    tell_failure(document.part(document.part(reply, "snapshot"), "failure"))


def show(reply: document.Document) -> None:
    """A table, or a sentence where there is nothing."""
    grants = document.parts(reply, "grants")
    if not grants:
        print(f"{document.text(reply, 'function')} was granted nothing: it reaches nothing")
        return
    rows = [
        (document.text(one, "grant"), _ORIGINS.get(origin := document.text(one, "from"), origin))
        for one in grants
    ]
    print_table(("GRANT", "FROM"), rows)
