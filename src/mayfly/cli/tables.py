"""Tables for people, drawn by Rich; imported by the commands that draw one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_UNBOUNDED = 1_000


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: str = "") -> Table:
    """A table in Docker's manner: headings in capitals, no lines.

    Args:
        numbers: The headings, separated by spaces, of columns to align to the right.
    """
    right = set(numbers.split())
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(
            name, justify="right" if name in right else "left", no_wrap=True, overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: str = ""
) -> None:
    """Print a table on stdout; into a pipe it is as wide as it needs to be."""
    console().print(table(columns, rows, numbers=numbers), soft_wrap=not sys.stdout.isatty())


def console() -> Console:
    """Rich's console on stdout, without its guesses at what to colour."""
    width = None if sys.stdout.isatty() else _WIDTH_UNBOUNDED
    return Console(highlight=False, markup=False, width=width)
