"""Removing things by name, one after the other; one's failure is its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mayfly.cli.client import Client, segment
from mayfly.cli.failure import FAILED, Failed


def remove_each(data: Path, path: str, names: Sequence[str]) -> int:
    """Remove what `path` of the control API has under these names; print those that are gone.

    Returns:
        The exit status: 0 when all are gone.
    """
    client, status = Client(data), 0
    for name in names:
        try:
            client.call("DELETE", f"{path}/{segment(name)}")
        except Failed as error:
            status = FAILED
            print(f"mayfly: {name} was not removed: {error}", file=sys.stderr)
        else:
            print(name)
    return status
