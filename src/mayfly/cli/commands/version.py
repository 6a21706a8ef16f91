"""`mayfly version`."""

from __future__ import annotations

import click

from mayfly import __version__


@click.command()
def command() -> None:
    """Print the version."""
    print(f"mayfly {__version__}")
