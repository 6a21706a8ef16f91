"""deploy, init, add, ls, inspect, rm, logs."""

from __future__ import annotations

import io
import json
import re
import tomllib
import zipfile
from pathlib import Path

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_platform import Answer, FakePlatform, json_answer, lines

FUNCTION = {
    "name": "hello",
    "arn": "arn:aws:lambda:us-east-1:000000000000:function:hello",
    "version": "$LATEST",
    "runtime": "python3.11",
    "handler": "app.handler",
    "memory_mib": 128,
    "timeout_s": 10,
    "tmp_mib": 512,
    "reuse": "never",
    "isolate": "process",
    "concurrency": None,
    "environment": {"GREETING": "Hello"},
    "grants": ["net:api.example.com:443"],
    "tags": {},
    "triggers": [{"type": "object", "bucket": "photos", "events": ["created", "removed"]}],
    "code": {"digest": "ab" * 32, "size_bytes": 1234, "dependencies": None},
    "url": "http://127.0.0.1:9000/lambda-url/abc/",
    "url_auth": "NONE",
    "modified_ms": 1_769_903_999_000,
    "revision_id": "r-1",
    "statistics": {
        "calls": 7,
        "errors": 1,
        "throttles": 0,
        "cold_starts": 1,
        "busy": 0,
        "parked": 2,
        "p50_ms": 0.41,
        "p99_ms": 12.5,
    },
}
STEPS = (
    {"step": "unpack", "ms": 3.1},
    {"step": "dependencies", "ms": 900, "cached": True},
    {"step": "snapshot", "ms": 12.5},
)


def test_init_then_deploy_puts_a_new_function_into_service(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    fake.answer(
        "PUT", "/_mayfly/v1/deploy", lines(*STEPS, {"function": FUNCTION, "changed": ["code"]})
    )
    folder = tmp_path / "hello"
    assert call("init", str(folder)).code == 0
    done = call(*fake.arguments("deploy", str(folder)))
    assert done.code == 0
    assert "hello is in service (python3.11, 128 MiB)" in done.out
    assert "changed: code" in done.out
    assert "http://127.0.0.1:9000/lambda-url/abc/" in done.out
    assert "mayfly invoke hello" in done.out
    assert re.search(r"dependencies +900\.0 ms, from the cache", done.err)
    with zipfile.ZipFile(io.BytesIO(fake.last.body)) as archive:
        assert archive.namelist() == ["app.py", "mayfly.toml"]


def test_deploy_json_is_one_document_and_nothing_else(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    fake.answer("PUT", "/_mayfly/v1/deploy", lines(*STEPS, {"function": FUNCTION, "changed": []}))
    call("init", str(tmp_path / "hello"))
    done = call(*fake.arguments("deploy", str(tmp_path / "hello"), "--json"))
    assert json.loads(done.out)["function"]["name"] == "hello"
    assert done.err == ""


def test_a_refused_deploy_shows_the_platforms_reason(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    error = {"error": {"code": "InvalidManifest", "message": 'mayfly.toml:3: no key "memroy"'}}
    fake.answer("PUT", "/_mayfly/v1/deploy", lines(STEPS[0], error))
    call("init", str(tmp_path / "hello"))
    done = call(*fake.arguments("deploy", str(tmp_path / "hello")))
    assert done.code == 1
    assert 'mayfly: mayfly.toml:3: no key "memroy"' in done.err


def test_a_deploy_that_breaks_off_is_no_success(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    fake.answer("PUT", "/_mayfly/v1/deploy", lines(STEPS[0]))
    call("init", str(tmp_path / "hello"))
    done = call(*fake.arguments("deploy", str(tmp_path / "hello")))
    assert done.code == 1
    assert "broke off" in done.err


def test_an_answer_that_is_cut_in_the_middle_is_reported(
    call: Call, fake: FakePlatform, tmp_path: Path
) -> None:
    fake.answer("PUT", "/_mayfly/v1/deploy", Answer(200, b'{"step": "unp'))
    call("init", str(tmp_path / "hello"))
    done = call(*fake.arguments("deploy", str(tmp_path / "hello")))
    assert done.code == 1
    assert "Traceback" not in done.err


def test_init_never_overwrites(call: Call, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("mine")
    done = call("init", str(tmp_path))
    assert done.code == 1
    assert (tmp_path / "app.py").read_text() == "mine"
    assert not (tmp_path / "mayfly.toml").exists()


def test_init_names_the_function_after_its_folder(call: Call, tmp_path: Path) -> None:
    call("init", str(tmp_path / "my function!"))
    written = tomllib.loads((tmp_path / "my function!" / "mayfly.toml").read_text())
    assert written["function"]["name"] == "my-function"


def test_init_refuses_a_name_that_no_function_can_have(call: Call, tmp_path: Path) -> None:
    assert call("init", str(tmp_path / "x"), "--name", "a/b").code == 2


def test_what_init_writes_is_a_handler_that_runs(call: Call, tmp_path: Path) -> None:
    call("init", str(tmp_path / "hello"))
    scope: dict[str, object] = {}
    exec((tmp_path / "hello" / "app.py").read_text(), scope)  # noqa: S102  our own template
    assert callable(scope["handler"])


def test_add_copies_a_ready_function_that_can_be_deployed(call: Call, tmp_path: Path) -> None:
    done = call("add", "image-convert", str(tmp_path / "mine"))
    assert done.code == 0
    assert {"mayfly.toml", "app.py", "requirements.txt", "README.md"} <= {
        path.name for path in (tmp_path / "mine").iterdir()
    }
    assert "asks for:  objects = photos:read, thumbs:write" in done.out


def test_add_lists_the_ready_functions(call: Call) -> None:
    assert "image-convert" in call("add").out


def test_add_refuses_an_unknown_name_and_a_folder_in_use(call: Call, tmp_path: Path) -> None:
    assert call("add", "image-covert", str(tmp_path / "x")).code == 2
    (tmp_path / "mine").write_text("")
    assert call("add", "image-convert", str(tmp_path)).code == 1


def test_ls_is_a_table_for_people_and_json_for_programs(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", "/_mayfly/v1/functions", json_answer({"functions": [FUNCTION]}))
    heading, row = call(*fake.arguments("ls")).out.splitlines()
    assert heading.split() == [
        "NAME",
        "RUNTIME",
        "MEMORY",
        "TIMEOUT",
        "CALLS",
        "ERRORS",
        "P50",
        "AGE",
        "TRIGGERS",
        "URL",
    ]
    assert "hello" in row
    assert "0.41 ms" in row
    assert "http://127.0.0.1:9000/lambda-url/abc/" in row
    assert json.loads(call(*fake.arguments("ls", "--json")).out) == [FUNCTION]
    assert call(*fake.arguments("ls", "-q")).out == "hello\n"


def test_an_empty_platform_says_what_to_do_first(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", "/_mayfly/v1/functions", json_answer({"functions": []}))
    assert "mayfly init" in call(*fake.arguments("ls")).out


def test_inspect_shows_grants_and_environment(call: Call, fake: FakePlatform) -> None:
    fake.answer("GET", "/_mayfly/v1/functions/hello", json_answer(FUNCTION))
    out = call(*fake.arguments("inspect", "hello")).out
    assert "net:api.example.com:443" in out
    assert "GREETING=Hello" in out
    assert "object bucket=photos events=created,removed" in out
    assert "p50 0.41 ms, p99 12 ms" in out
    assert json.loads(call(*fake.arguments("inspect", "hello", "--json")).out) == FUNCTION


def test_rm_removes_what_it_can_and_fails_for_the_rest(call: Call, fake: FakePlatform) -> None:
    fake.answer("DELETE", "/_mayfly/v1/functions/a", Answer(204, b""))
    done = call(*fake.arguments("rm", "nope", "a"))
    assert (done.code, done.out) == (1, "a\n")
    assert "nope was not removed: no such thing" in done.err


def test_logs_are_plain_lines_and_since_is_a_point_in_time(call: Call, fake: FakePlatform) -> None:
    line = {"when_ms": 1_769_903_999_123, "request_id": "r", "text": "one\ttwo"}
    fake.answer("GET", "/_mayfly/v1/logs/hello", lines(line, line))
    assert call(*fake.arguments("logs", "hello", "--since", "5m")).out == "one\ttwo\none\ttwo\n"
    assert fake.last.query["follow"] == "0"
    assert int(fake.last.query["since_ms"]) > 1_700_000_000_000
    assert (
        call(*fake.arguments("logs", "hello", "-t"))
        .out.splitlines()[0]
        .endswith("59.123  one\ttwo")
    )
    assert json.loads(call(*fake.arguments("logs", "hello", "--json")).out.splitlines()[0]) == line
    call(*fake.arguments("logs", "hello", "-f"))
    assert fake.last.query["follow"] == "1"
