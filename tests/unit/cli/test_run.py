from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import FakePlatform, lines

PATH = "/_mayfly/v1/run"


def output(data: bytes) -> dict[str, str]:
    return {"output": base64.b64encode(data).decode()}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text("print('hi')\n")
    return path


def test_output_is_passed_through_and_the_exit_code_is_the_scripts(
    call: Call, fake: FakePlatform, script: Path
) -> None:
    fake.answer(
        "POST", PATH, lines(output(b"a\n"), output(b"b\n"), {"exit_code": 7, "error": None})
    )
    done = call(*fake.arguments("run"), str(script))
    assert (done.code, done.out, done.err) == (7, "a\nb\n", "")


def test_arguments_options_and_stdin_reach_the_script(
    call: Call, fake: FakePlatform, script: Path
) -> None:
    fake.answer("POST", PATH, lines({"exit_code": 0}))
    words = [
        *fake.arguments("run", "--memory", "512", "--timeout", "1500ms", "-e", "A=1=2"),
        str(script),
    ]
    assert call(*words, "--flag", "x", "-e", "mine", stdin=b"in").code == 0
    sent = json.loads(fake.last.body)
    assert sent == {
        "script": "print('hi')\n",
        "filename": "job.py",
        "args": ["--flag", "x", "-e", "mine"],
        "stdin": base64.b64encode(b"in").decode(),
        "timeout_s": 2,
        "memory_mib": 512,
        "environment": {"A": "1=2"},
    }


def test_a_script_that_was_killed_fails_with_the_reason(
    call: Call, fake: FakePlatform, script: Path
) -> None:
    fake.answer("POST", PATH, lines({"exit_code": 124, "error": "timed out after 1 s"}))
    done = call(*fake.arguments("run"), str(script))
    assert (done.code, done.err) == (124, "mayfly: job.py: timed out after 1 s\n")


def test_a_stream_that_ends_early_is_no_success(
    call: Call, fake: FakePlatform, script: Path
) -> None:
    fake.answer("POST", PATH, lines(output(b"a")))
    assert call(*fake.arguments("run"), str(script)).code == 1


def test_a_variable_without_a_value_is_a_usage_error(
    call: Call, fake: FakePlatform, script: Path
) -> None:
    assert call(*fake.arguments("run", "-e", "A"), str(script)).code == 2
