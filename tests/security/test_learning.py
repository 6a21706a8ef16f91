"""A recording is sealed as ever: a decoy leads nowhere, and nothing is reached that was not."""

from __future__ import annotations

import base64
import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.support.control import ask, deploy
from tests.support.platform import run_platform

PROBE = """
import ctypes, json, os, socket

def attempt(act):
    try:
        return repr(act())
    except OSError as error:
        return type(error).__name__

def asked_decoy():
    with socket.create_connection(("secret.example.com", 443), timeout=5) as line:
        line.sendall(b"data that must not leave")
        return line.recv(1)

def connected(address):
    socket.create_connection(address, timeout=2).close()
    return "through"

def handler(event, context):
    libc = ctypes.CDLL(None, use_errno=True)
    found = {
        "decoy": attempt(asked_decoy),
        "platform": attempt(lambda: connected(("127.0.0.1", event["port"]))),
        "number": attempt(lambda: connected(("1.1.1.1", 443))),
        "write": attempt(lambda: open("/var/task/x", "w")),
        "trace": libc.ptrace(0x4206, os.getppid() or 1, 0, 0),
    }
    print("SAW", json.dumps(found))
"""
NOWHERE = {"ConnectionRefusedError", "PermissionError", "OSError", "ConnectionResetError"}


@pytest.mark.parametrize("ordinary_user", [False, True])
def test_a_recording_lets_nothing_out_that_was_not_granted(*, ordinary_user: bool) -> None:
    with run_platform(ordinary_user=ordinary_user) as platform:
        port = urlsplit(platform.endpoint).port
        assert port is not None
        # The control: outside, the platform's own listener is there.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        name = platform.new_name()
        manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n'
        assert "error" not in deploy(platform, {"mayfly.toml": manifest, "app.py": PROBE})
        body = json.dumps({"events": [{"port": port}]}).encode()
        answer = ask(platform, "POST", f"/_mayfly/v1/learn/{name}", body)
        lines = [json.loads(one) for one in answer.body.splitlines()]
        assert lines[-1]["failed"] == 0, lines
        saw = _printed(lines)
        assert saw["decoy"] in NOWHERE | {"b''"}
        assert saw["platform"] in NOWHERE
        assert saw["number"] in NOWHERE
        assert saw["write"] in {"OSError", "PermissionError"}
        assert saw["trace"] == -1
        assert lines[-1]["grants"]["add"] == ["net=secret.example.com:443"]
        granted = json.loads(ask(platform, "GET", f"/_mayfly/v1/grants/{name}").body)
        assert granted["grants"] == []


def _printed(lines: list[dict[str, str]]) -> dict[str, object]:
    text = b"".join(base64.b64decode(one["output"]) for one in lines if "output" in one).decode()
    line = next(one for one in text.splitlines() if one.startswith("SAW "))
    found: dict[str, object] = json.loads(line[4:])
    return found
