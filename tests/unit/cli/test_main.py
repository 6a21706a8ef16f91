from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from mayfly.cli import main
from mayfly.cli.client import Client
from mayfly.cli.options import DATA_DEFAULT, complete_function
from mayfly.config import Config
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import FakePlatform, json_answer, write_description

NEEDS_PLATFORM = [
    ["env"],
    ["invoke", "hello", "{}"],
    ["logs", "hello"],
    ["ls"],
    ["inspect", "hello"],
    ["ps"],
    ["stats", "--once"],
    ["timeline"],
    ["rm", "hello"],
    ["run", __file__],
]


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_explains_itself(name: str, call: Call) -> None:
    done = call(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: mayfly {name}")
    assert done.err == ""


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_wrong_option_is_one_line_and_exit_code_2(name: str, call: Call) -> None:
    done = call(name, "--frobnicate")
    assert done.code == 2
    assert done.err.startswith("mayfly: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("words", NEEDS_PLATFORM, ids=lambda words: words[0])
def test_without_a_platform_a_command_says_how_to_start_one(
    words: list[str], call: Call, tmp_path: Path
) -> None:
    done = call(words[0], "--data", str(tmp_path / "none"), *words[1:])
    assert done.code == 1
    assert "mayfly up -d" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [one for one in NEEDS_PLATFORM if one != ["env"]], ids=lambda w: w[0]
)
def test_a_platform_that_died_is_reported_in_one_line(
    words: list[str], call: Call, tmp_path: Path
) -> None:
    write_description(tmp_path, "http://127.0.0.1:1", 1)
    done = call(words[0], "--data", str(tmp_path), *words[1:])
    assert done.code == 1
    assert "nothing answers at http://127.0.0.1:1" in done.err


def test_an_unknown_command_is_met_with_the_nearest_name(call: Call) -> None:
    done = call("invok")
    assert done.code == 2
    assert 'did you mean "invoke"' in done.err


def test_a_damaged_description_is_reported_in_one_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "endpoint.json").write_text("{half")
    done = call("ls", "--data", str(tmp_path))
    assert done.code == 1
    assert "endpoint.json cannot be read" in done.err


def test_the_platforms_own_message_is_what_a_person_reads(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("inspect", "hello"))
    assert (done.code, done.err) == (1, "mayfly: no such thing\n")


def test_a_fault_of_our_own_is_one_line_too(
    call: Call, fake: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Client, "call", fail)
    done = call(*fake.arguments("ls"))
    assert done.code == 1
    assert "please report it" in done.err
    assert "Traceback" not in done.err


def test_ctrl_c_ends_with_130_and_without_a_word(
    call: Call, fake: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "call", interrupt)
    done = call(*fake.arguments("ls"))
    assert (done.code, done.err.strip()) == (130, "")


def test_the_folder_may_come_from_the_environment(
    call: Call, fake: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAYFLY_DATA", str(fake.data))
    assert fake.endpoint in call("env").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion_script(shell: str, call: Call) -> None:
    done = call("completion", shell)
    assert done.code == 0
    assert f"_MAYFLY_COMPLETE={shell}_complete" in done.out


def test_help_and_version_import_neither_rich_nor_an_http_client() -> None:
    code = (
        "import sys; from mayfly.cli import main; main.run(['--help']); main.run(['version']);"
        "print({'rich', 'http.client', 'botocore', 'ssl'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_invoke_imports_neither_rich_nor_botocore() -> None:
    code = (
        "import sys; from mayfly.cli import main;"
        "main.run(['invoke', 'x', '{}', '--data', '/none']);"
        "print({'rich', 'botocore'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_list_of_commands_has_each_commands_file() -> None:
    folder = Path(main.__file__).parent / "commands"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(main.COMMANDS)


def test_function_names_are_completed_from_the_platform(fake: FakePlatform) -> None:
    fake.answer(
        "GET",
        "/_mayfly/v1/functions",
        json_answer({"functions": [{"name": "hello"}, {"name": "x"}]}),
    )
    command = main.cli.get_command(click.Context(main.cli), "invoke")
    assert command is not None
    context = click.Context(command)
    context.params["data"] = fake.data
    found = complete_function(context, command.params[0], "he")
    assert [one.value for one in found] == ["hello"]


def test_the_data_folders_default_is_the_configurations() -> None:
    assert Path(DATA_DEFAULT) == Config().data
