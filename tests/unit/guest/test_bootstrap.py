"""The guest, called as the driver calls it: a frame in, a frame out."""

from __future__ import annotations

import ast
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.guest import bootstrap, frames
from mayfly.guest.bootstrap import Context, Function
from mayfly.guest.frames import ANSWER, FAILURE, INVOKE
from mayfly.model import limits

Handler = Callable[[object, Context], object]
META: Mapping[str, object] = {
    "id": "request-1",
    "arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
    "deadline_ms": 4_102_444_800_000,
    "trace": "",
    "client_context": "",
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=10,
)


def serve(handler: Handler, payload: bytes, **meta: object) -> tuple[int, bytes, bool]:
    """One call: the answer's kind, its body without the head, and whether there may be another."""
    # Files take any length without a reader on the other side.
    source, sink = os.memfd_create("source"), os.memfd_create("sink")
    try:
        document = json.dumps({**META, **meta}).encode()
        head = struct.pack("<I", len(document))
        frames.write_frame(source, INVOKE, head, document, payload)
        os.lseek(source, 0, os.SEEK_SET)
        again = bootstrap.serve_one(source, sink, handler)
        os.lseek(sink, 0, os.SEEK_SET)
        kind, body = frames.read_frame(sink)
    finally:
        os.close(source)
        os.close(sink)
    assert struct.unpack_from("<I", body)[0] > 1_000, "an interpreter holds more than a megabyte"
    if kind == FAILURE:
        (length,) = struct.unpack_from("<H", body, 4)
        name = body[6 : 6 + length].decode()
        assert name == json.loads(body[6 + length :])["errorType"]
        return kind, body[6 + length :], again
    return kind, body[4:], again


def failure(handler: Handler, payload: bytes = b"null") -> dict[str, object]:
    kind, body, again = serve(handler, payload)
    assert kind == FAILURE
    assert not again
    document: dict[str, object] = json.loads(body)
    assert document["requestId"] == "request-1"
    assert isinstance(document["stackTrace"], list)
    return document


def echo(event: object, _context: Context) -> object:
    return event


@given(JSON)
def test_json_goes_through_unchanged(event: object) -> None:
    kind, body, again = serve(echo, json.dumps(event).encode())
    assert (kind, again) == (ANSWER, True)
    assert json.loads(body) == event
    kind, body, _ = serve(echo, b" \t\r\n" + json.dumps(event, ensure_ascii=False).encode() + b"\n")
    assert json.loads(body) == event


def test_no_payload_is_none() -> None:
    assert serve(echo, b"")[1] == b"null"


@pytest.mark.parametrize(
    "payload",
    [b"{", b"nul", b"1 2", b"\xff", b"'x'", b" ", b"[" * 100_000],
    ids=["open", "cut", "two", "no utf-8", "python", "blank", "deep"],
)
def test_what_is_no_json_is_told(payload: bytes) -> None:
    document = failure(echo, payload)
    assert document["errorType"] == "Runtime.UnmarshalError"
    assert str(document["errorMessage"]).startswith("Unable to unmarshal input: ")


def _loop() -> object:
    loop: list[object] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "answer",
    [object(), {1, 2}, {(1, 2): 3}, "\ud800", _loop(), b"bytes"],
    ids=["object", "set", "tuple key", "surrogate", "circle", "bytes"],
)
def test_an_answer_that_is_no_json_is_told(answer: object) -> None:
    document = failure(lambda _event, _context: answer)
    assert document["errorType"] == "Runtime.MarshalError"
    assert str(document["errorMessage"]).startswith("Unable to marshal response: ")


def test_the_largest_answer_is_lambdas() -> None:
    assert bootstrap.RESPONSE_BYTES_MAX == limits.RESPONSE_BYTES_MAX
    encoded = bootstrap._encode("r", "x" * (limits.RESPONSE_BYTES_MAX - 2))
    assert len(encoded) == limits.RESPONSE_BYTES_MAX
    document = failure(lambda _event, _context: "x" * (limits.RESPONSE_BYTES_MAX - 1))
    assert document["errorType"] == "Function.ResponseSizeTooLarge"
    assert f"({limits.RESPONSE_BYTES_MAX + 1} bytes)" in str(document["errorMessage"])


def test_an_exception_has_its_name_its_words_and_its_stack() -> None:
    def handler(_event: object, _context: Context) -> object:
        raise LookupError("nothing there")

    document = failure(handler)
    assert document["errorType"] == "LookupError"
    assert document["errorMessage"] == "nothing there"
    stack = document["stackTrace"]
    assert isinstance(stack, list)
    assert len(stack) == 1
    assert "in handler" in stack[0]


@pytest.mark.parametrize("words", ["\ud800", "\0", "é\n", "x" * 100_000])
def test_whatever_an_exception_says_is_json(words: str) -> None:
    def handler(_event: object, _context: Context) -> object:
        raise ValueError(words)

    expected = words.replace("\ud800", "?")
    assert failure(handler)["errorMessage"] == expected


def test_running_out_of_memory_is_told_as_that() -> None:
    def handler(_event: object, _context: Context) -> object:
        raise MemoryError

    assert failure(handler)["errorType"] == "Runtime.OutOfMemory"


def test_closed_output_does_not_keep_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _text: str) -> None:
            raise ValueError("I/O operation on closed file")

        def flush(self) -> None:
            raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(sys, "stdout", Closed())

    def handler(_event: object, _context: Context) -> object:
        raise KeyError("x")

    assert failure(handler)["errorType"] == "KeyError"


def test_the_context_is_lambdas() -> None:
    seen: list[Context] = []

    def handler(_event: object, context: Context) -> object:
        seen.append(context)
        return context.get_remaining_time_in_millis()

    client = {"custom": {"a": "b"}, "env": {"e": "f"}, "client": {"app_title": "t"}}
    kind, body, _ = serve(handler, b"1", client_context=json.dumps(client))
    assert kind == ANSWER
    assert int(body) > 0
    (context,) = seen
    assert context.aws_request_id == "request-1"
    assert context.invoked_function_arn == META["arn"]
    assert context.client_context is not None
    assert context.client_context.custom == {"a": "b"}
    assert context.client_context.env == {"e": "f"}
    assert context.identity is None
    for name in ("function_name", "function_version", "memory_limit_in_mb", "log_group_name"):
        assert isinstance(getattr(context, name), str)
    assert isinstance(context.log_stream_name, str)


def test_no_time_is_left_after_the_deadline() -> None:
    _, body, _ = serve(lambda _e, c: c.get_remaining_time_in_millis(), b"1", deadline_ms=1)
    assert body == b"0"


def test_the_trace_is_in_the_environment_during_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "before")
    found = serve(lambda _e, _c: os.getenv("_X_AMZN_TRACE_ID"), b"1", trace="Root=1-2-3")
    assert found[1] == b'"Root=1-2-3"'


def test_any_other_frame_ends_the_serving() -> None:
    read, write = os.pipe()
    frames.write_frame(write, ANSWER, b"1234")
    assert not bootstrap.serve_one(read, write, echo)
    os.close(write)
    assert not bootstrap.serve_one(read, read, echo)
    os.close(read)


def test_a_frame_larger_than_a_pipe_comes_whole() -> None:
    read, write = os.pipe()
    body = os.urandom(1 << 20)
    pid = os.fork()
    if pid == 0:
        frames.write_frame(write, INVOKE, body)
        os._exit(0)
    os.close(write)
    assert frames.read_frame(read) == (INVOKE, body)
    os.waitpid(pid, 0)
    os.close(read)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An interpreter whose environment, path and arguments the guest may take over."""
    argv = list(sys.argv)
    monkeypatch.setattr(os, "environ", dict[str, str]())
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.argv[:] = argv
    for name in [name for name in sys.modules if name.startswith("tenant_")]:
        del sys.modules[name]


def load(folder: Path, source: str, handler: str) -> tuple[Function, dict[str, object] | None]:
    name = f"tenant_{len(list(folder.iterdir()))}"
    (folder / f"{name}.py").write_text(source)
    function = Function()
    config = {
        "environment": {"ONLY": "this", "AWS_LAMBDA_FUNCTION_NAME": "f"},
        "path": [str(folder)],
        "handler": handler.replace("MODULE", name),
        "script": None,
    }
    return function, function.load(config)


def test_the_functions_environment_is_all_there_is_at_import(scene: Path) -> None:
    source = "import os\nSEEN = dict(os.environ)\ndef handler(e, c): return SEEN\n"
    function, failed = load(scene, source, "MODULE.handler")
    assert failed is None
    assert function.handler is not None
    seen = function.handler(None, Context({**META, "deadline_ms": "0"}))  # type: ignore[dict-item]
    assert seen == {"ONLY": "this", "AWS_LAMBDA_FUNCTION_NAME": "f"}
    assert Context.function_name == "f"
    Context.function_name = ""


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "words"),
    [
        ("x = 1\n", "MODULE.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("handler = 3\n", "MODULE.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("", "nodot", "Runtime.MalformedHandlerName", "Bad handler 'nodot'"),
        ("", "nowhere.handler", "Runtime.ImportModuleError", "Unable to import module 'nowhere'"),
        ("def f(:\n", "MODULE.f", "Runtime.UserCodeSyntaxError", "Syntax error in module"),
        ("import sys\nsys.exit()\n", "MODULE.f", "Runtime.ExitError", "exit status 0"),
        ("import sys\nsys.exit(9)\n", "MODULE.f", "Runtime.ExitError", "exit status 9"),
        ("raise MemoryError\n", "MODULE.f", "Runtime.OutOfMemory", "out of memory"),
        ("raise RuntimeError('no')\n", "MODULE.f", "RuntimeError", "no"),
    ],
)
def test_a_failed_import_is_a_document(
    scene: Path, source: str, handler: str, error_type: str, words: str
) -> None:
    _, failed = load(scene, source, handler)
    assert failed is not None
    assert failed["errorType"] == error_type
    assert words in str(failed["errorMessage"])
    assert json.loads(bootstrap.to_json(failed)) == failed


@pytest.mark.parametrize(
    ("code", "status"), [(None, 0), (0, 0), (3, 3), (256, 0), (-1, 255), ("words", 1)]
)
def test_exit_codes_are_a_shells(code: int | str | None, status: int) -> None:
    assert bootstrap.exit_code(SystemExit(code)) == status


def _named_by(source: Path) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add(str(node.module))
    return named


def test_the_guest_needs_only_the_standard_library_and_itself() -> None:
    assert bootstrap.__file__ is not None
    folder = Path(bootstrap.__file__).parent
    for source in folder.glob("*.py"):
        others = {name for name in _named_by(source) if not name.startswith("mayfly.guest.")}
        assert {name.split(".")[0] for name in others} <= sys.stdlib_module_names
    alone = "import sys; sys.path.insert(0, sys.argv[1]); import mayfly.guest.bootstrap"
    command = [sys.executable, "-I", "-S", "-c", alone, str(folder.parents[1])]
    subprocess.run(command, check=True, timeout=20)


def test_rehearsing_leaves_no_descriptor_open() -> None:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, no paths
    bootstrap.rehearse(3)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
