"""The AWS command line, unmodified, with the environment that `mayfly env` prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.functions import ECHO, Functions
from tests.support.platform import ROLE, RUNTIME, zipped

Aws = Callable[..., str]


@pytest.fixture
def aws(functions: Functions, tmp_path: Path) -> Aws:
    """Runs `aws lambda ...` in a folder of its own and returns what it prints."""
    program = Path(sys.executable).with_name("aws")
    environment = functions.platform.environment | {"AWS_PAGER": "", "HOME": str(tmp_path)}

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, program, "lambda", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_a_function_is_made_invoked_and_deleted_as_in_the_documentation(
    aws: Aws, functions: Functions, tmp_path: Path
) -> None:
    (tmp_path / "code.zip").write_bytes(zipped({"app.py": ECHO}))
    name = functions.platform.new_name("cli")
    create = ("create-function", "--function-name", name, "--runtime", RUNTIME, "--role", ROLE)
    made = json.loads(aws(*create, "--handler", "app.handler", "--zip-file", "fileb://code.zip"))
    assert made["FunctionName"] == name
    aws("wait", "function-active-v2", "--function-name", name)
    payload = '{"from": "the command line"}'
    said = json.loads(aws("invoke", "--function-name", name, "--payload", payload, "answer.json"))
    assert said == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads((tmp_path / "answer.json").read_text()) == json.loads(payload)
    aws("delete-function", "--function-name", name)
    assert name not in aws("list-functions", "--query", "Functions[].FunctionName")


def test_the_log_is_shown_by_log_type_tail(aws: Aws, functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    print('seen by the cli')\n")
    said = json.loads(aws("invoke", "--function-name", name, "--log-type", "Tail", "/dev/null"))
    assert said["LogResult"]


def test_a_functions_failure_is_told_apart_from_a_failed_request(
    aws: Aws, functions: Functions, tmp_path: Path
) -> None:
    name = functions.make("def handler(e, c):\n    raise ValueError('x')\n")
    said = json.loads(aws("invoke", "--function-name", name, "out.json"))
    assert said["FunctionError"] == "Unhandled"
    assert json.loads((tmp_path / "out.json").read_text())["errorType"] == "ValueError"


def test_code_is_updated_and_waited_for(aws: Aws, functions: Functions, tmp_path: Path) -> None:
    name = functions.make()
    (tmp_path / "new.zip").write_bytes(zipped({"app.py": "def handler(e, c):\n    return 'new'\n"}))
    aws("update-function-code", "--function-name", name, "--zip-file", "fileb://new.zip")
    aws("wait", "function-updated-v2", "--function-name", name)
    assert functions.call(name).value == "new"


def test_a_url_is_made_and_listed(aws: Aws, functions: Functions) -> None:
    name = functions.make()
    made = aws("create-function-url-config", "--function-name", name, "--auth-type", "NONE")
    url = json.loads(made)["FunctionUrl"]
    listed = json.loads(aws("list-function-url-configs", "--function-name", name))
    assert [one["FunctionUrl"] for one in listed["FunctionUrlConfigs"]] == [url]
