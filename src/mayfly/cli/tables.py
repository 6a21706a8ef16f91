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
        numbers: The headings, separated by spaces, of columns to align to the right; where there
            is too little room, the other columns give way first.
    """
    right = set(numbers.split())
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(columns):
        width = max([len(name), *(len(row[index]) for row in rows)]) if name in right else None
        made.add_column(
            name, justify="right" if name in right else "left", no_wrap=True, min_width=width
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: str = ""
) -> None:
    """Print a table on stdout, as wide as it needs to be: a cut id or URL is of no use."""
    made = table(columns, rows, numbers=numbers)
    console(width=_WIDTH_UNBOUNDED).print(made, soft_wrap=True)


def console(width: int | None = None) -> Console:
    """Rich's console on stdout, without its guesses at what to colour.

    Args:
        width: In characters; None is the terminal's, and without a terminal as much as is needed.
    """
    if width is None and not sys.stdout.isatty():
        width = _WIDTH_UNBOUNDED
    return Console(highlight=False, markup=False, width=width)
