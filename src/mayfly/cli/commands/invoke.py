"""`mayfly invoke`: one call over AWS's own API; the answer goes to stdout as it is.

stdout carries the function's answer and nothing else, so that it can be piped; the log, errors
and progress go to stderr. It is the command that is typed most, so it imports the least.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import click

from mayfly.cli import document
from mayfly.cli.client import LAMBDA, Client, Reply, segment
from mayfly.cli.failure import USAGE, Failed
from mayfly.cli.options import complete_function, data_option
from mayfly.cli.progress import Progress
from mayfly.model import limits

_TIMEOUT_S = limits.TIMEOUT_S_MAX + 60.0


@click.command()
@click.argument("name", shell_complete=complete_function)
@click.argument("event", required=False)
@click.option(
    "-f",
    "--file",
    "event_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help='Read the event from a file; "-" is stdin.',
)
@click.option("--log", "show_log", is_flag=True, help="Print the call's log on stderr.")
@click.option("--async", "later", is_flag=True, help="Have the event kept and answered later.")
@click.option("--qualifier", metavar="VERSION", help="A version or an alias.")
@data_option
def command(
    name: str,
    event: str | None,
    event_file: Path | None,
    data: Path,
    qualifier: str | None,
    *,
    show_log: bool,
    later: bool,
) -> None:
    """Call the function NAME and print its answer.

    EVENT is JSON; without it the event is read from --file, or from stdin when that is no
    terminal, and is {} otherwise. A function's error goes to stderr, with exit code 1.
    """
    payload = _payload(event, event_file)
    with Progress(f"calling {name}"):
        reply = Client(data).call(
            "POST",
            f"/2015-03-31/functions/{segment(name)}/invocations",
            query={"Qualifier": qualifier} if qualifier else {},
            headers={
                "content-type": "application/json",
                "x-amz-invocation-type": "Event" if later else "RequestResponse",
                "x-amz-log-type": "Tail" if show_log and not later else "None",
            },
            body=payload,
            service=LAMBDA,
            timeout_s=_TIMEOUT_S,
        )
    if later:
        request_id = reply.headers.get("x-amzn-requestid", "unknown")
        print(f"accepted as {request_id}; `mayfly logs {name}` will show it", file=sys.stderr)
        return
    _print_log(reply)
    if "x-amz-function-error" in reply.headers:
        raise _function_error(name, reply.body)
    _print_raw(reply.body)


# What clients raise in a function that was not granted what they want to reach.
_UNREACHABLE = frozenset(
    {
        "NoCredentialsError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "NameResolutionError",
        "NewConnectionError",
        "ConnectionError",
        "ConnectError",
        "URLError",
        "gaierror",
    }
)


def _payload(event: str | None, event_file: Path | None) -> bytes:
    if event is not None and event_file is not None:
        raise click.UsageError("the event is given twice, as text and as --file; give one")
    given = event if event_file is None else str(event_file)
    if given == "-" or (given is None and not sys.stdin.isatty()):
        content = sys.stdin.buffer.read()
    elif event_file is not None:
        content = event_file.read_bytes()
    else:
        content = (event or "").encode()
    return _checked(content.strip() or b"{}")


def _checked(content: bytes) -> bytes:
    try:
        json.loads(content)
    except ValueError as error:
        shown = content[:40].decode(errors="replace")
        remedy = (
            f"a file is given by --file {shown[1:]}"
            if shown.startswith("@")
            else "in a shell, put it between single quotes"
        )
        raise Failed(
            f"the event is not JSON ({error}): {shown}; {remedy}", exit_code=USAGE
        ) from None
    return content


def _print_log(reply: Reply) -> None:
    encoded = reply.headers.get("x-amz-log-result")
    if encoded:
        text = base64.b64decode(encoded).decode(errors="replace")
        print(text.rstrip("\n"), file=sys.stderr)


def _print_raw(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def _function_error(name: str, body: bytes) -> Failed:
    try:
        error = document.parse(body)
    except ValueError:
        return Failed(f"{name} failed: {body[:200].decode(errors='replace')}")
    kind = document.text(error, "errorType", "error")
    trace = "".join(document.texts(error, "stackTrace"))
    hint = "" if trace else f"; `mayfly logs {name}` may say more"
    if kind in _UNREACHABLE:
        hint += f"; it reaches what it was granted and nothing else: `mayfly grants {name}`"
    message = document.text(error, "errorMessage", "no message").strip()
    return Failed(f"{name} failed with {kind}: {message}{hint}", detail=trace)
