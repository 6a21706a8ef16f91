"""The handlers that the driver's contract calls: as a module for real drivers, and for the fake."""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.testing.driver import Deed, Handler

IMPORT_PRINTS = b"hello from the import\n"

SOURCE = """
import os
import time

print("hello from the import")
calls = 0


def echo(event, context):
    return event


def count(event, context):
    global calls
    calls += 1
    return calls


def fail(event, context):
    raise ValueError("as written")


def leave(event, context):
    os._exit(3)


def hang(event, context):
    time.sleep(3600)


def strange(event, context):
    return object()


def large(event, context):
    return "x" * 7_000_000


def speak(event, context):
    print("hello from the call", flush=True)
    return event
"""

SCRIPT = """
print("hello from the script", flush=True)
"""


def _count(_event: object, memory: dict[str, object]) -> object:
    before = memory.get("calls", 0)
    assert isinstance(before, int)
    memory["calls"] = before + 1
    return before + 1


def _fail(_event: object, _memory: dict[str, object]) -> object:
    raise ValueError("as written")


FAKES: Mapping[str, Handler] = {
    "app.echo": lambda event, _memory: event,
    "app.count": _count,
    "app.fail": _fail,
    "app.leave": lambda _event, _memory: Deed(exits=3),
    "app.hang": lambda _event, _memory: Deed(hangs=True),
    "app.strange": lambda _event, _memory: object(),
    "app.large": lambda _event, _memory: "x" * 7_000_000,
    "app.speak": lambda event, _memory: Deed(event, output=b"hello from the call\n"),
    "script.py": lambda _event, _memory: Deed(output=b"hello from the script\n"),
}
