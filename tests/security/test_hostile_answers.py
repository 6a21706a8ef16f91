"""Documents that a function forges, seen by the whole platform: they cost nobody else anything."""

from __future__ import annotations

import pytest

from tests.support.control import follow_log
from tests.support.functions import Functions
from tests.support.platform import fetch

# Says to the runtime's channel what the event tells, in place of the guest.
FORGER = """
import os, socket, struct
def say(kind, body):
    for fd in range(1000, 1024):
        try:
            one = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with one:
            if one.type == socket.SOCK_STREAM:
                return one.sendall(struct.pack("<HBBI", 0x464D, kind, 0, len(body)) + body)

DEEP = b"[" * 100_000
def failure(kind, document):
    return struct.pack("<IH", 4_294_967_295, len(kind)) + kind + document
"""
FORGED = {
    "a document nested without end": 'say(7, failure(b"Runtime.ExitError", DEEP))',
    "a nested object": 'say(7, failure(b"Runtime.X", b\'{"a":\' * 50_000))',
    "a type that breaks lines": 'say(7, failure(b"Runtime.X\\nREPORT\\x1b[2J", b"{}"))',
    "an answer nested without end": "say(6, bytes(4) + b'{\"a\":' * 50_000)",
    "an answer that is no JSON": 'say(6, bytes(4) + b"\\xff\\x00")',
    "an answer that is nearly one": 'say(6, bytes(4) + b\'{"statusCode": "\\xff"}\')',
    "an error that is no text": 'say(7, failure(b"E", b\'{"errorType": "\\xff"}\'))',
    "an answer of memory that nobody has": 'say(6, b"\\xff" * 4 + b"1")',
}


def _forger(functions: Functions, forged: str) -> str:
    return functions.make(FORGER + f"def handler(event, context):\n    {forged}\n")


@pytest.mark.parametrize("forged", list(FORGED))
def test_a_forged_document_is_the_callers_answer_and_no_more(
    forged: str, functions: Functions
) -> None:
    name = _forger(functions, FORGED[forged])
    found = functions.call(name, LogType="Tail")
    assert found.status == 200
    assert found.log.count("\nREPORT") == 1
    assert "\x1b" not in found.log
    assert "Max Memory Used: 4" not in found.log
    assert functions.call(functions.make(), 5).value == 5


@pytest.mark.parametrize("said", ["DEEP", """b'{"errorType": "\\xff"}'""", "b'[]'"])
def test_a_forged_document_at_import_is_the_callers_answer(said: str, functions: Functions) -> None:
    forged = (
        f"say(2, {said})\nimport time\ntime.sleep(30)\ndef handler(event, context):\n    pass\n"
    )
    name = functions.make(FORGER + forged)
    found = functions.call(name)
    assert (found.status, found.error) == (200, "Unhandled")


@pytest.mark.parametrize(
    "forged",
    ["a document nested without end", "a nested object", "an error that is no text"],
)
def test_a_forged_document_does_not_stop_the_backlog(forged: str, functions: Functions) -> None:
    hostile = _forger(functions, FORGED[forged])
    honest = functions.make("def handler(event, context):\n    print('worked on', event)\n")
    for _ in range(3):
        functions.client.invoke(FunctionName=hostile, InvocationType="Event", Payload=b"1")
    functions.client.invoke(FunctionName=honest, InvocationType="Event", Payload=b'"mine"')
    assert any("worked on mine" in line for line in follow_log(functions.platform, honest))
    assert functions.call(functions.make(), 6).value == 6
    assert "Traceback" not in functions.platform.log()


@pytest.mark.parametrize(
    "forged",
    ["an answer nested without end", "an answer that is no JSON", "an answer that is nearly one"],
)
def test_a_forged_answer_at_a_url_is_a_bad_gateway(forged: str, functions: Functions) -> None:
    name = _forger(functions, FORGED[forged])
    url = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert fetch(url["FunctionUrl"]).status in (200, 502)
