"""`mayfly apply`: brings a whole system to what its folder declares, and does nothing twice.

It asks nothing: look with `mayfly plan` first. What holds data stays unless --prune-data is given.
"""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli.client import Client
from mayfly.cli.display import print_json
from mayfly.cli.options import data_option, json_option
from mayfly.cli.system.declared import read_system
from mayfly.cli.system.plan import READERS, Step, apply_plan, form_of, make_plan
from mayfly.cli.system.showing import line, lines, summary


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("--prune-data", is_flag=True, help="Also remove what holds data.")
@data_option
@json_option
def command(folder: Path, data: Path, *, prune_data: bool, as_json: bool) -> None:
    """Make, change and remove until the platform has what the system.toml in DIR declares."""
    client = Client(data)
    plan = make_plan(client, read_system(folder, READERS), prune_data=prune_data)
    if not as_json:
        for one in lines(plan):
            print(one)

    def tell(step: Step) -> None:
        if not as_json:
            print(f"{line(step)}, done")

    apply_plan(client, plan, tell)
    if as_json:
        print_json(form_of(plan))
    elif plan.changes:
        print(f"{plan.system}: {summary(plan)}, all done")
