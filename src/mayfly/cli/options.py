"""The options that commands share, and the completion of function names.

--data is the one that matters: the folder names the platform. The default is the configuration's,
repeated here because reading the configuration takes longer than most commands (a test compares).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.failure import Failed

DATA_DEFAULT = "~/.mayfly"
P = ParamSpec("P")
R = TypeVar("R")


class DataFolder(click.ParamType[Path]):
    """The platform's data folder, as an absolute path."""

    name = "dir"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """An absolute path."""
        del param, ctx
        return Path(str(value)).expanduser().absolute()


class Duration(click.ParamType[float]):
    """A duration such as 5m, as seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        try:
            return clock.parse_duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def data_option(command: Callable[P, R]) -> Callable[P, R]:
    """--data DIR, which names the platform; the command gets it as `data`."""
    return click.option(
        "--data",
        type=DataFolder(),
        envvar="MAYFLY_DATA",
        default=DATA_DEFAULT,
        show_default=True,
        show_envvar=True,
        metavar="DIR",
        help="The platform's data folder.",
    )(command)


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """--json; the command gets it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        command
    )


def complete_function(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of the platform's functions, or nothing when it does not answer."""
    data = ctx.params.get("data")
    folder = DataFolder().convert(data or DATA_DEFAULT, param, ctx)
    try:
        reply = Client(folder).call("GET", "/_mayfly/v1/functions", timeout_s=1).document()
    except Failed:
        return []
    names = [document.text(one, "name") for one in document.parts(reply, "functions")]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
