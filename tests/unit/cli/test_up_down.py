from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mayfly.cli import running
from mayfly.cli.commands import up
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import FakePlatform, write_description

STAND_IN = (sys.executable, "-m", "tests.unit.cli.stand_in_daemon")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder; a stand-in that was started on it is ended."""
    folder = tmp_path / "data"
    yield folder
    platform = running.find(folder)
    if platform is not None and platform.pid != os.getpid() and platform.alive():
        os.kill(platform.pid, signal.SIGTERM)


def program(mode: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program that starts a stand-in: what it starts outlives it."""
    return subprocess.run(
        [sys.executable, "-c", program_text(mode, *words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def program_text(mode: str, *words: str) -> str:
    return (
        "from mayfly.cli import main; from mayfly.cli.commands import up;"
        f"up.DAEMON = {(*STAND_IN, mode)!r}; main.main({words!r})"
    )


def start(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(up, "DAEMON", (*STAND_IN, mode))


def test_up_d_returns_when_the_platform_answers_and_down_when_it_is_gone(
    call: Call, data: Path
) -> None:
    done = program("good", "up", "-d", "--data", str(data), "--listen", "127.0.0.1:0")
    platform = running.find(data)
    assert platform is not None
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Mayfly is up at {platform.endpoint}" in done.stdout
    assert f"mayfly env --data {data}" in done.stdout
    assert (data / "listen").read_text() == "127.0.0.1:0"
    assert os.getsid(platform.pid) == platform.pid
    ended = call("down", "--data", str(data))
    assert (ended.code, ended.err) == (0, "")
    assert not platform.alive()


def test_the_data_folder_and_its_log_are_the_owners_alone(data: Path) -> None:
    assert program("good", "up", "-d", "--data", str(data)).returncode == 0
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "daemon.log").stat().st_mode & 0o777 == 0o600


def test_a_daemon_that_ends_at_once_is_quoted_with_its_log(
    call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, "broken")
    done = call("up", "-d", "--data", str(data))
    assert done.code == 1
    assert "did not start (exit code 3)" in done.err
    assert str(data / "daemon.log") in done.err
    assert "port 9000 is in use" in done.err


def test_a_daemon_that_never_answers_is_stopped(
    call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, "silent")
    monkeypatch.setattr(up, "_START_TIMEOUT_S", 0.2)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    done = call("up", "-d", "--data", str(data))
    assert done.code == 1
    assert "did not answer within" in done.err
    assert started[0].wait(10) == -signal.SIGTERM


def test_up_d_on_a_running_platform_just_says_so(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("up", "-d"))
    assert done.code == 0
    assert "running already" in done.out


def test_up_on_a_running_platform_fails(call: Call, fake: FakePlatform) -> None:
    done = call(*fake.arguments("up"))
    assert done.code == 1
    assert f"already, at {fake.endpoint}" in done.err


@pytest.mark.parametrize("listen", ["9000", "127.0.0.1:", ":80", "host:99999", "host:http"])
def test_a_listen_that_is_no_address_is_a_usage_error(
    call: Call, tmp_path: Path, listen: str
) -> None:
    done = call("up", "--data", str(tmp_path), "--listen", listen)
    assert done.code == 2
    assert "HOST:PORT" in done.err


def test_in_the_foreground_the_process_itself_becomes_the_daemon(data: Path) -> None:
    code = program_text("good", "up", "--data", str(data))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    told = json.loads((data / "endpoint.json").read_text())
    assert told["pid"] == process.pid
    assert first.startswith(f"Mayfly is up at {told['endpoint']}")
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_down_says_when_nothing_runs(call: Call, tmp_path: Path) -> None:
    done = call("down", "--data", str(tmp_path))
    assert (done.code, done.out) == (0, f"nothing runs on {tmp_path}\n")


def test_down_does_not_trust_the_description_of_a_dead_platform(call: Call, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_description(tmp_path, "http://127.0.0.1:1", gone.pid)
    assert "nothing runs" in call("down", "--data", str(tmp_path)).out


def test_another_platform_at_the_same_port_is_not_taken_for_ours(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    write_description(tmp_path / "other", fake.endpoint, os.getpid())
    done = call("down", "--data", str(tmp_path / "other"))
    assert done.code == 1
    assert "nothing answers" in done.err
    assert fake.requests == []
