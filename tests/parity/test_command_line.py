"""The command line as a person uses it, as a program, against a real platform."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.platform import Platform

APP = """
import os, sys

def handler(event, context):
    print("got", event)
    if event.get("fail"):
        raise KeyError(event["fail"])
    return {"event": event, "size": os.environ["SIZE"]}
"""
MANIFEST = """
[function]
name = "{name}"
handler = "app.handler"
timeout = "5s"
[function.env]
SIZE = "200"
[url]
auth = "none"
"""


class Shell:
    """Runs `mayfly` on one platform."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __call__(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "mayfly.cli", words[0], "--data", str(self._data), *words[1:]],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=100,
        )

    def json(self, *words: str) -> dict[str, object]:
        """A command's --json."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told


@pytest.fixture
def shell(platform: Platform) -> Shell:
    return Shell(platform.data)


@pytest.fixture
def name(shell: Shell, tmp_path: Path) -> str:
    """A deployed function."""
    name = f"typed-{abs(hash(str(tmp_path))) % 10**9}"
    (tmp_path / "mayfly.toml").write_text(MANIFEST.format(name=name))
    (tmp_path / "app.py").write_text(APP)
    done = shell("deploy", str(tmp_path))
    assert done.returncode == 0, done.stderr
    return name


def test_what_is_deployed_answers_by_name_and_by_its_url(shell: Shell, name: str) -> None:
    done = shell("invoke", name, '{"a": 1}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"event": {"a": 1}, "size": "200"}
    url = str(shell.json("inspect", name)["url"])
    with urllib.request.urlopen(url) as reply:
        assert json.loads(reply.read())["size"] == "200"


def test_a_functions_error_is_told_with_its_trace_and_exit_code_1(shell: Shell, name: str) -> None:
    done = shell("invoke", name, '{"fail": "x"}')
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"KeyError: 'x'" in done.stderr
    assert b"app.py" in done.stderr


def test_log_and_logs_show_what_was_printed(shell: Shell, name: str) -> None:
    done = shell("invoke", name, '{"a": 1}', "--log")
    assert b"got {'a': 1}" in done.stderr
    assert b"REPORT RequestId:" in done.stderr
    assert b"got {'a': 1}" in shell("logs", name).stdout


def test_the_function_can_be_seen_and_its_calls_followed(shell: Shell, name: str) -> None:
    shell("invoke", name, "{}")
    assert name.encode() in shell("ls").stdout
    assert name.encode() in shell("stats", "--once").stdout
    assert name.encode() in shell("ps").stdout
    timeline = shell("timeline", name).stdout.decode()
    assert [line.split()[0] for line in timeline.splitlines()[1:6]] == [
        "born",
        "parked",
        "event",
        "answered",
        "died",
    ]
    assert "granted: nothing" in timeline


def test_a_removed_function_is_gone(shell: Shell, name: str) -> None:
    assert shell("rm", name).returncode == 0
    done = shell("invoke", name, "{}")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_run_is_a_script_in_an_isolate_with_its_exit_code(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import os, sys\nprint(sys.argv[1:], os.environ['A'], sys.stdin.read())\nsys.exit(7)\n"
    )
    done = shell("run", "-e", "A=b", str(script), "--x", "y", stdin=b"in")
    assert done.stdout.decode() == "['--x', 'y'] b in\n"
    assert done.returncode == 7


def test_a_script_reaches_no_file_of_this_machine(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "spy.py"
    script.write_text(f"print(open({str(__file__)!r}).read())\n")
    done = shell("run", str(script))
    assert done.returncode == 1
    assert b"FileNotFoundError" in done.stdout + done.stderr


def test_a_wrong_manifest_is_told_with_line_and_suggestion(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mayfly.toml").write_text('[function]\nname = "x"\nhandlr = "app.handler"\n')
    done = shell("deploy", str(tmp_path))
    assert done.returncode == 1
    assert b"handler" in done.stderr
    assert b"Traceback" not in done.stderr
