"""The entry point: finds the command, runs it, and turns every failure into one line.

exit code 0    done
          1    failed: "mayfly: what failed; what to do" on stderr
          2    wrongly used
          130  interrupted by Ctrl-C
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import cast

import click
from click.shell_completion import CompletionItem

from mayfly.cli.failure import FAILED, INTERRUPTED, USAGE, Failed

# Name, and what it does: the whole list, so that help needs no command's module.
COMMANDS = {
    "up": "Start the platform.",
    "down": "Stop the platform.",
    "env": "Print the AWS_* variables that point tools at the platform.",
    "doctor": "Say what this machine supports and what is lost without it.",
    "init": "Write a new function's folder.",
    "add": "Copy a ready function's folder here, to deploy or change.",
    "deploy": "Put a function's folder into service.",
    "plan": "Show what differs between a system's folder and the platform.",
    "apply": "Bring the platform to what a system's folder declares.",
    "invoke": "Call a function and print its answer.",
    "logs": "Print what a function wrote, with -f as it comes.",
    "ls": "List the functions.",
    "inspect": "Show all about a function.",
    "ps": "List the isolates and snapshots that are alive.",
    "stats": "Show calls, latencies and memory, live.",
    "timeline": "Show the latest calls: born, parked, event, answered, died.",
    "rm": "Remove functions.",
    "run": "Run a script once in a sealed isolate.",
    "events": "See asynchronous calls that wait or failed, and run them again.",
    "secret": "Keep secrets for functions and webhooks.",
    "grants": "List what a function may reach, and where that was said.",
    "grant": "Let a function reach more, without a deploy.",
    "revoke": "Take grants from a function, without a deploy.",
    "learn": "Find the smallest grants and bounds that a function needs, by running it.",
    "audit": "Show all that a function can touch, each with its reason.",
    "webhook": "Make URLs that verify what is posted and call a function.",
    "completion": "Print a shell's completion script.",
    "version": "Print the version.",
}


class Commands(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of a first use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, import_module(f"mayfly.cli.commands.{cmd_name}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or a usage error that suggests the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f'there is no command "{args[0]}"{_nearest(args[0])}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, without importing anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Command names, without importing anything."""
        names = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names or click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
A first round:
  mayfly up -d
  mayfly init hello
  mayfly deploy hello
  mayfly invoke hello""",
)
@click.version_option(package_name="mayfly", message="mayfly %(version)s")
def cli() -> None:
    """Functions that are born when an event arrives, answer, and die."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. What the `mayfly` program calls."""
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader left (`mayfly logs x | head`); Python must not complain at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. Complaints go to stderr."""
    try:
        result: object = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="mayfly",
            standalone_mode=False,
        )
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as error:  # noqa: BLE001  the border: a person never sees a traceback
        return _explain(error)
    return result if isinstance(result, int) else 0


def _explain(error: Exception) -> int:
    match error:
        case Failed():
            return _complain(str(error), error.exit_code, error.detail)
        case click.ClickException():
            return _complain(_usage_line(error), error.exit_code)
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            return _complain(f"{error.strerror or error}{where}", FAILED)
        case _:
            return _complain(f"a fault of mayfly's own, please report it: {error!r}", FAILED)


def _complain(message: str, code: int, detail: str = "") -> int:
    print(f"mayfly: {message}", file=sys.stderr)
    if detail:
        print(detail.rstrip("\n"), file=sys.stderr)
    return code


def _usage_line(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "mayfly"
    return f"{message}; see `{path} --help`" if error.exit_code == USAGE else message


def _nearest(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  only a mistake needs it

    close = get_close_matches(name, COMMANDS, n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


if __name__ == "__main__":
    main()
