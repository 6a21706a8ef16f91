"""`mayfly plan`: what `mayfly apply` would do to bring a system to what its folder declares.

Nothing is changed, made or installed by it.
"""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli.client import Client
from mayfly.cli.display import print_json
from mayfly.cli.options import data_option, json_option
from mayfly.cli.system.declared import read_system
from mayfly.cli.system.plan import READERS, form_of, make_plan
from mayfly.cli.system.showing import lines

_CHANGES = 2


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("--prune-data", is_flag=True, help="Also remove what holds data.")
@click.option("--detailed-exitcode", "detailed", is_flag=True, help="Exit with 2 when it differs.")
@data_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    folder: Path,
    data: Path,
    *,
    prune_data: bool,
    detailed: bool,
    as_json: bool,
) -> None:
    """Show what differs between the system.toml in DIR and the platform."""
    plan = make_plan(Client(data), read_system(folder, READERS), prune_data=prune_data)
    if as_json:
        print_json(form_of(plan))
    else:
        for one in lines(plan):
            print(one)
    if detailed and plan.changes:
        ctx.exit(_CHANGES)
