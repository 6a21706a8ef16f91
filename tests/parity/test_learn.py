"""`mayfly learn` on a real platform: what is missing is named, what is accepted works, no more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control import ask, deploy
from tests.support.platform import Platform, run_platform

# Signs by hand (SigV4): a function of one file, without an SDK.
APP = """
import datetime, hashlib, hmac, os, socket, urllib.request

def get(path):
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now,
               "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"]}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\\n" for name in sorted(headers))
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    whole = f"GET\\n{path}\\n\\n{lines}\\n{names}\\n{digest}"
    text = f"AWS4-HMAC-SHA256\\n{now}\\n{scope}\\n" + hashlib.sha256(whole.encode()).hexdigest()
    signing = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signature = hmac.new(signing, text.encode(), "sha256").hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={key}/{scope}, "
                                f"SignedHeaders={names}, Signature={signature}")
    request = urllib.request.Request(f"http://{host}{path}", headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()

def handler(event, context):
    found = get(f"/{event['bucket']}/{event['key']}")
    try:
        socket.create_connection(("api.learn.internal", 443), timeout=5).close()
    except ConnectionError as error:
        return found + ", " + type(error).__name__
    return found
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as running:
        yield running


def folder(below: Path, name: str, grants: str = "") -> Path:
    made = below / name
    made.mkdir()
    text = (
        f'[function]\nname = "{name}"\nhandler = "app.handler"\ntimeout = "5s" # enough\n{grants}'
    )
    (made / "mayfly.toml").write_text(text)
    (made / "app.py").write_text(APP)
    (below / "event.json").write_text('{"bucket": "photos", "key": "in/cat.jpg"}')
    return made


def put_in_service(platform: Platform, made: Path) -> None:
    files: dict[str, str | bytes] = {one.name: one.read_text() for one in made.iterdir()}
    assert "error" not in deploy(platform, files)


def learn(platform: Platform, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mayfly.cli", "learn", *map(str, arguments)]
    environment = platform.environment
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module", autouse=True)
def _photos(platform: Platform) -> None:
    s3 = platform.client("s3")
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="in/cat.jpg", Body=b"a cat")


def granted(platform: Platform, name: str) -> list[str]:
    found = json.loads(ask(platform, "GET", f"/_mayfly/v1/grants/{name}").body)
    return [one["grant"] for one in found["grants"]]


def test_what_it_needs_is_proposed_exactly_and_applied_makes_it_work(
    platform: Platform, tmp_path: Path
) -> None:
    name = platform.new_name()
    made = folder(tmp_path, name)
    put_in_service(platform, made)
    event = tmp_path / "event.json"
    done = learn(platform, name, event, "--allow", "--yes", "--json", "--apply", made)
    assert done.returncode == 0, done.stderr
    proposal = json.loads(done.stdout)
    needed = ["net=api.learn.internal:443", "objects=photos/in/:read"]
    assert proposal["grants"]["add"] == needed
    assert proposal["grants"]["remove"] == []
    assert proposal["failed"] == 0
    assert proposal["hosts_without_port"] == []
    # Nothing is in force before the deploy.
    assert granted(platform, name) == []
    text = (made / "mayfly.toml").read_text()
    assert 'net = ["api.learn.internal:443"]' in text
    put_in_service(platform, made)
    assert granted(platform, name) == needed
    answer = platform.client().invoke(FunctionName=name, Payload=event.read_bytes())
    assert json.loads(answer["Payload"].read()).startswith("a cat")
    again = json.loads(learn(platform, name, event, "--json").stdout)
    assert (again["grants"]["add"], again["grants"]["remove"]) == ([], [])


def test_without_allow_the_first_thing_that_it_lacks_is_named_and_stays_refused(
    platform: Platform, tmp_path: Path
) -> None:
    name = platform.new_name()
    put_in_service(platform, folder(tmp_path, name))
    done = learn(platform, name, tmp_path / "event.json")
    assert done.returncode == 0, done.stderr
    assert '+objects = ["photos/in/:read"]' in done.stdout
    assert "HTTP Error 403" in done.stderr
    assert "run again with --allow" in done.stderr
    assert granted(platform, name) == []


def test_a_grant_that_no_run_used_is_proposed_for_removal_and_a_secret_is_not(
    platform: Platform, tmp_path: Path
) -> None:
    name = platform.new_name()
    ask(platform, "PUT", "/_mayfly/v1/secrets/stripe-key", b'{"value": "x"}')
    made = folder(
        tmp_path,
        name,
        '[grants]\nnet = ["api.learn.internal:443", "idle.example.com:443"]\n'
        'objects = ["photos:read"]\nqueues = ["mail:send"]\n',
    )
    put_in_service(platform, made)
    done = learn(platform, name, tmp_path / "event.json", "--json", "--apply", made, "--yes")
    proposal = json.loads(done.stdout)
    assert proposal["failed"] == 0, done.stderr
    assert proposal["grants"]["remove"] == ["net=idle.example.com:443", "queues=mail:send"]
    assert proposal["grants"]["narrower"] == {"objects=photos:read": ["objects=photos/in/:read"]}
    text = (made / "mayfly.toml").read_text()
    assert "idle" not in text
    assert "queues" not in text
    assert 'objects = ["photos:read"]' in text


def test_a_recording_leaves_no_line_in_the_functions_log_and_no_snapshot(
    platform: Platform, tmp_path: Path
) -> None:
    name = platform.new_name()
    put_in_service(platform, folder(tmp_path, name))
    assert learn(platform, name, tmp_path / "event.json").returncode == 0
    log = ask(platform, "GET", f"/_mayfly/v1/logs/{name}?since_ms=0&limit=100").body.decode()
    assert "a grant is missing" not in log
    residents = json.loads(ask(platform, "GET", "/_mayfly/v1/ps").body)["residents"]
    snapshots = [one for one in residents if one["function"] == name and one["kind"] == "snapshot"]
    assert len(snapshots) <= 1


def test_a_function_that_is_not_there_and_events_that_are_none_are_told(
    platform: Platform, tmp_path: Path
) -> None:
    assert "no function has the name" in learn(platform, "nobody").stderr
    (tmp_path / "bad.json").write_text("{")
    assert "is no JSON" in learn(platform, "nobody", tmp_path / "bad.json").stderr
    answer = ask(platform, "POST", "/_mayfly/v1/learn/nobody", b'{"events": 1}')
    assert answer.status == 400


BUSY = """
import os, socket, subprocess, sys, threading

def handler(event, context):
    with open("/tmp/big", "wb") as file:
        file.write(bytes(3 * 1024 * 1024))
    os.unlink("/tmp/big")
    barrier = threading.Barrier(3)
    others = [threading.Thread(target=barrier.wait) for _ in range(2)]
    for one in others:
        one.start()
    barrier.wait()
    for one in others:
        one.join()
    with open("data/table.txt") as file:
        table = file.read()
    child = "open('/var/task/from_child.txt').read()"
    subprocess.run([sys.executable, "-S", "-c", child], check=True)
    try:
        os.chroot("/tmp")
    except PermissionError:
        return table
"""


@pytest.mark.parametrize("ordinary_user", [False, True])
def test_files_calls_threads_and_tmp_are_seen_also_of_children(*, ordinary_user: bool) -> None:
    with run_platform(ordinary_user=ordinary_user) as platform:
        name = platform.new_name()
        files: dict[str, str | bytes] = {
            "mayfly.toml": f'[function]\nname = "{name}"\nhandler = "app.handler"\n',
            "app.py": BUSY,
            "data/table.txt": "a table",
            "from_child.txt": "",
            "never.txt": "",
        }
        assert "error" not in deploy(platform, files)
        answer = ask(platform, "POST", f"/_mayfly/v1/learn/{name}", b"{}")
        proposal = json.loads(answer.body.splitlines()[-1])
        assert proposal["failed"] == 0, answer.body
        seen = proposal["seen"]
        assert seen["untraced"] == ""
        assert {"/var/task/data/table.txt", "/var/task/from_child.txt"} <= set(seen["files"])
        assert "/var/task/never.txt" not in seen["files"]
        assert {"clone", "execve", "openat", "unlink"} <= {
            "clone" if one == "clone3" else "unlink" if one == "unlinkat" else one
            for one in seen["syscalls"]
        }
        # chroot has no row in the policy: it was tried, and refused.
        assert any(one.startswith("#") for one in seen["syscalls"])
        assert seen["tasks"] >= 3
        assert 3 <= proposal["bounds"]["tmp"]["seen"] < 4
        # The seal's own steps are not the function's.
        assert not {"seccomp", "landlock_restrict_self"} & set(seen["syscalls"])
