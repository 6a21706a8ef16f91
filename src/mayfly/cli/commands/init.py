"""`mayfly init`: a new function's folder, small enough to read at once.

It never overwrites. What it writes must deploy and answer as it stands: a test runs it, and the
manifest's comments show the settings that people ask for first.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from mayfly.cli.failure import Failed
from mayfly.model import limits

_MANIFEST = """\
[function]
name = "{name}"
handler = "app.handler"       # file app.py, function handler
memory = 128                  # MiB
timeout = "10s"
# reuse = "warm"              # keep the isolate between calls; by default each call has a fresh one

# [function.env]
# GREETING = "Hello"

[url]
auth = "none"                 # anyone who reaches the port may call it; or "iam"
"""

_APP = '''\
"""A Mayfly function: `handler` is called once for each event, in a fresh sealed isolate."""


def handler(event, context):
    """Greet whom the event names; the answer is anything that JSON can hold."""
    query = event.get("queryStringParameters") or {}
    name = event.get("name") or query.get("name") or "world"
    print(f"greeting {name} for request {context.aws_request_id}")
    return {"message": f"Hello, {name}!"}
'''


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("--name", help="The function's name.  [default: the folder's]")
def command(folder: Path, name: str | None) -> None:
    """Write a new function's folder: mayfly.toml and app.py.

    Files that are there already are never overwritten.
    """
    chosen = name or _name_from(folder.absolute().name)
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{limits.NAME_LENGTH_MAX}}}", chosen):
        raise click.BadParameter(
            f'"{chosen}" is no function name: letters, digits, "-" and "_", at most '
            f"{limits.NAME_LENGTH_MAX}",
            param_hint="--name",
        )
    contents = {"mayfly.toml": _MANIFEST.format(name=chosen), "app.py": _APP}
    for file_name in contents:
        if (folder / file_name).exists():
            raise Failed(f"{folder / file_name} is there already; name another folder or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, content in contents.items():
            with (folder / file_name).open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise Failed(f"{folder} cannot be written: {error.strerror}") from error
    print(f"wrote {folder / 'mayfly.toml'} and {folder / 'app.py'}")
    print(f"  next:  mayfly deploy {folder}")
    print(f'         mayfly invoke {chosen} \'{{"name": "Ada"}}\'')


def _name_from(folder_name: str) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "-", folder_name).strip("-")
    return cleaned[: limits.NAME_LENGTH_MAX] or "function"
