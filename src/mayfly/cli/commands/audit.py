"""`mayfly audit`: all that a function can touch, on one page, beside a default Docker container.

For a pipeline: --json with stable keys, --fail-on with rules, --against an earlier audit's JSON.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from mayfly.cli import auditing, document
from mayfly.cli.client import Client, segment
from mayfly.cli.display import print_json
from mayfly.cli.failure import FAILED, USAGE, Failed
from mayfly.cli.options import complete_function, data_option, json_option

_PATH = "/_mayfly/v1/audit"
_LABEL, _WIDTH = 14, 100


@click.command()
@click.argument("name", required=False, shell_complete=complete_function)
@click.option("--verbose", "-v", is_flag=True, help="Every system call and file with its reason.")
@click.option("--fail-on", metavar="RULE,...", help="Exit with 1 if a rule is broken; or `list`.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Show the difference to an earlier audit, saved with --json.",
)
@data_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    fail_on: str | None,
    against: Path | None,
    data: Path,
    *,
    verbose: bool,
    as_json: bool,
) -> None:
    """Show all that the function NAME can touch, each with its reason."""
    client = Client(data)
    rules = _rules(client) if fail_on else {}
    if fail_on == "list":
        _list(rules)
        return
    if name is None:
        raise click.UsageError("say which function: mayfly audit NAME")
    wanted = _wanted(fail_on or "", rules, compares=against is not None)
    before = _earlier(against) if against else {}
    reply = client.call("GET", f"{_PATH}/{segment(name)}").document()
    changes = auditing.changes(document.part(before, "facts"), document.part(reply, "facts"))
    found = _found(reply, changes if before else ())
    if as_json:
        print_json({**reply, "changes": [str(one) for one in changes]} if before else reply)
    elif before:
        _show_changes(name, changes)
    else:
        _show(reply, verbose=verbose)
    broken = [rule for rule in wanted if rule in found]
    for rule in broken:
        click.echo(f"mayfly: {rule}: {rules[rule]}: {', '.join(found[rule])}", err=True)
    ctx.exit(FAILED if broken else 0)


def _rules(client: Client) -> Mapping[str, str]:
    told = document.part(client.call("GET", _PATH).document(), "rules")
    compared = {rule: meaning for rule, (meaning, _keys) in auditing.COMPARED.items()}
    return {**{rule: str(meaning) for rule, meaning in told.items()}, **compared}


def _list(rules: Mapping[str, str]) -> None:
    for rule, meaning in rules.items():
        needs = "; needs --against" if rule in auditing.COMPARED else ""
        print(f"{rule:22}{meaning}{needs}")


def _wanted(written: str, rules: Mapping[str, str], *, compares: bool) -> Sequence[str]:
    wanted = [one.strip() for one in written.split(",") if one.strip()]
    for rule in wanted:
        if rule not in rules:
            known = ", ".join(rules)
            raise Failed(f'there is no rule "{rule}"; rules are {known}', exit_code=USAGE)
        if rule in auditing.COMPARED and not compares:
            raise Failed(f"the rule {rule} compares: give --against FILE", exit_code=USAGE)
    return wanted


def _earlier(file: Path) -> document.Document:
    try:
        found = document.parse(file.read_bytes())
    except ValueError:
        found = {}
    if not document.part(found, "facts"):
        raise Failed(f"{file} is no audit; write one with `mayfly audit NAME --json > {file.name}`")
    return found


def _found(
    reply: document.Document, changes: Sequence[auditing.Change]
) -> Mapping[str, Sequence[str]]:
    told = {
        document.text(one, "rule"): document.texts(one, "what")
        for one in document.parts(reply, "findings")
    }
    return {**told, **auditing.broken(changes)}


def _show_changes(name: str, changes: Sequence[auditing.Change]) -> None:
    for one in changes:
        print(one)
    if not changes:
        print(f"{name} can touch what it could: nothing changed")


def _show(reply: document.Document, *, verbose: bool) -> None:
    facts = document.part(reply, "facts")
    print(
        f"{document.text(reply, 'function')}: {document.text(facts, 'runtime')}, "
        f"{document.text(facts, 'kernel')} {document.text(facts, 'architecture')}, "
        f"driver {document.text(facts, 'driver')}"
    )
    for row in document.parts(reply, "rows"):
        print()
        _line(document.text(row, "name"), document.text(row, "says"))
        _line("  why", document.text(row, "why"))
        _line("  docker", document.text(row, "docker"))
    told = document.parts(reply, "findings")
    print()
    _line("rules broken", ", ".join(document.text(one, "rule") for one in told) or "none")
    if verbose:
        _show_calls(reply, facts)


def _show_calls(reply: document.Document, facts: document.Document) -> None:
    conditional = set(document.texts(facts, "syscalls_conditional"))
    print("\nsystem calls (* for some arguments only)")
    for call, why in document.part(reply, "syscall_reasons").items():
        _line(f"  {call}{'*' if call in conditional else ''}", str(why), label_width=26)
    print("\nprograms in the image")
    for path in document.texts(document.part(facts, "image"), "programs"):
        print(f"  {path}")


def _line(label: str, text: str, *, label_width: int = _LABEL) -> None:
    wrapped = textwrap.wrap(text, _WIDTH - label_width) or [""]
    for index, one in enumerate(wrapped):
        print(f"{label if index == 0 else '':{label_width}}{one}")
