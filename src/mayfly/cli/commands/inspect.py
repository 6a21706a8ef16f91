"""`mayfly inspect`: everything that is known of one function.

Lines of label and value for a person; with --json the platform's own document, untouched, so that
a program never depends on how a person is shown it.
"""

from __future__ import annotations

from pathlib import Path

import click

from mayfly.cli import clock, document
from mayfly.cli.client import Client, segment
from mayfly.cli.display import milliseconds, print_json, size
from mayfly.cli.options import complete_function, data_option, json_option


@click.command()
@click.argument("name", shell_complete=complete_function)
@data_option
@json_option
def command(name: str, data: Path, *, as_json: bool) -> None:
    """Show all about the function NAME."""
    function = Client(data).call("GET", f"/_mayfly/v1/functions/{segment(name)}").document()
    if as_json:
        print_json(function)
        return
    for label, value in _lines(function):
        print(f"{label:14}{value}")


def _lines(function: document.Document) -> list[tuple[str, str]]:
    code = document.part(function, "code")
    counted = document.part(function, "statistics")
    concurrency = document.number_or_none(function, "concurrency")
    lines = [
        ("name", document.text(function, "name")),
        ("arn", document.text(function, "arn")),
        ("runtime", document.text(function, "runtime")),
        ("handler", document.text(function, "handler")),
        ("memory", f"{document.number(function, 'memory_mib'):.0f} MiB"),
        ("timeout", f"{document.number(function, 'timeout_s'):.0f} s"),
        ("/tmp", f"{document.number(function, 'tmp_mib'):.0f} MiB"),  # noqa: S108  a label
        ("isolate", document.text(function, "isolate")),
        ("reuse", document.text(function, "reuse")),
        ("concurrency", "shared" if concurrency is None else f"{concurrency:.0f}"),
        (
            "code",
            f"{document.text(code, 'digest')[:16]}, {size(document.number(code, 'size_bytes'))}",
        ),
        ("requirements", document.text(code, "dependencies", "none")[:16]),
        ("url", _url(function)),
        ("changed", clock.local_date(document.number(function, "modified_ms"))),
        ("revision", document.text(function, "revision_id")),
        ("calls", _calls(counted)),
        ("latency", _latency(counted)),
    ]
    lines += _list("grants", document.texts(function, "grants"), "none: it reaches nothing")
    lines += _list("triggers", trigger_lines(function), "none in its mayfly.toml")
    lines += _list("environment", _pairs(function, "environment"), "none")
    return lines + _list("tags", _pairs(function, "tags"), "none")


def trigger_lines(function: document.Document) -> list[str]:
    """Each trigger in a line: its type, and its options as they stand in the manifest."""
    return [
        " ".join([document.text(one, "type"), *_options(one)])
        for one in document.parts(function, "triggers")
    ]


def _options(trigger: document.Document) -> list[str]:
    return [
        f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in trigger.items()
        if key != "type"
    ]


def _url(function: document.Document) -> str:
    url = document.text(function, "url")
    return f"{url} (auth {document.text(function, 'url_auth')})" if url else "none"


def _calls(counted: document.Document) -> str:
    names = ("calls", "errors", "throttles", "cold_starts", "busy", "parked")
    return ", ".join(
        f"{document.number(counted, name):.0f} {name.replace('_', ' ')}" for name in names
    )


def _latency(counted: document.Document) -> str:
    p50, p99 = (milliseconds(document.number_or_none(counted, key)) for key in ("p50_ms", "p99_ms"))
    return f"p50 {p50}, p99 {p99}"


def _pairs(function: document.Document, key: str) -> list[str]:
    return [f"{name}={value}" for name, value in document.part(function, key).items()]


def _list(label: str, values: object, empty: str) -> list[tuple[str, str]]:
    shown = [str(one) for one in values] if isinstance(values, list | tuple) else []
    rows = shown or [empty]
    return [(label if index == 0 else "", value) for index, value in enumerate(rows)]
