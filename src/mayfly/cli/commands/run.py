"""`mayfly run`: a script, run once in a sealed isolate that is gone afterwards.

Output is passed on as it comes, and the script's exit code is the command's. Options of ours stand
before the script's name; everything after it is the script's own, as with `docker run`.
"""

from __future__ import annotations

import base64
import json
import sys
from math import ceil
from pathlib import Path

import click

from mayfly.cli import document
from mayfly.cli.client import Client
from mayfly.cli.failure import FAILED, USAGE, Failed
from mayfly.cli.options import Duration, data_option
from mayfly.cli.progress import Progress
from mayfly.model import limits

_TIMEOUT_S_DEFAULT = 60.0


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--memory",
    type=click.IntRange(limits.MEMORY_MIB_MIN, limits.MEMORY_MIB_MAX),
    default=256,
    show_default=True,
    metavar="MIB",
    help="Memory bound.",
)
@click.option(
    "--timeout",
    type=Duration(),
    default=_TIMEOUT_S_DEFAULT,
    metavar="60s",
    help="When it is killed.  [default: 60s]",
)
@click.option(
    "-e",
    "--env",
    "environment",
    multiple=True,
    metavar="KEY=VALUE",
    help="A variable of its environment; may be repeated.",
)
@data_option
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.pass_context
def command(
    ctx: click.Context,
    script: Path,
    arguments: tuple[str, ...],
    memory: int,
    timeout: float,
    environment: tuple[str, ...],
    data: Path,
) -> None:
    """Run SCRIPT once in a sealed isolate, with ARGS, and end with its exit code.

    It reaches no network and no file of this machine. Options of mayfly's own stand before
    SCRIPT; stdin is passed on when it is no terminal.
    """
    request = {
        "script": _text(script),
        "filename": script.name,
        "args": list(arguments),
        "stdin": base64.b64encode(_stdin()).decode(),
        "timeout_s": max(1, ceil(timeout)),
        "memory_mib": memory,
        "environment": dict(_pair(one) for one in environment),
    }
    ctx.exit(_stream(Client(data), json.dumps(request).encode(), script.name, timeout))


def _stream(client: Client, body: bytes, name: str, timeout_s: float) -> int:
    last: document.Document = {}
    with Progress(f"starting {name}") as progress:
        silence_s = timeout_s + 60
        for line in client.stream("POST", "/_mayfly/v1/run", body=body, timeout_s=silence_s):
            output = document.text(line, "output")
            if not output:
                last = line
                continue
            progress.end()
            sys.stdout.buffer.write(base64.b64decode(output))
            sys.stdout.buffer.flush()
    if "exit_code" not in last:
        raise Failed(f"{name} was cut off; the platform's log says more")
    lost = document.number(last, "lost_bytes")
    if lost:
        print(f"mayfly: {lost:.0f} bytes of output came too fast and are lost", file=sys.stderr)
    error = document.text(last, "error")
    code = int(document.number(last, "exit_code"))
    if error:
        raise Failed(f"{name}: {error}", exit_code=code or FAILED)
    return code


def _text(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{script} cannot be read: {error}") from error


def _stdin() -> bytes:
    return b"" if sys.stdin.isatty() else sys.stdin.buffer.read()


def _pair(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise Failed(f'-e "{written}" is not KEY=VALUE', exit_code=USAGE)
    return name, value
