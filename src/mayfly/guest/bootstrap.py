"""The platform's half of a Python function: imports the handler, then answers its calls.

It runs inside the seal, beside the tenant's code and with no more rights than it, so nothing here
is trusted by the outside: whoever reads its frames checks them. Standard library only.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from mayfly.guest.frames import (
    ANSWER,
    CONFIG,
    FAILURE,
    FAILURE_HEAD,
    GO,
    IMPORTED,
    INVOKE,
    READY,
    U32,
    read_frame,
    write_frame,
)

# What the snapshot uses of this module, beside its functions.
__all__ = [
    "CONFIG",
    "GO",
    "IMPORTED",
    "READY",
    "Context",
    "Function",
    "json",
    "read_frame",
    "write_frame",
]

# `typing`, `traceback` and others are left to who needs them: what is loaded here, each isolate
# holds, and each fork pays for.
_Handler = Callable[[object, "Context"], object]
_Document = dict[str, object]

RESPONSE_BYTES_MAX = 6_291_556
_WHITE_SPACE = " \t\n\r"  # RFC 8259, section 2
_scan_json = getattr(json.JSONDecoder(), "scan_once")  # noqa: B009 - no type stub knows it


class Context:
    """Lambda's context object (Developer Guide, "Lambda context object in Python").

    What belongs to the version stands on the class, set at import; what belongs to the call, here.
    """

    function_name = ""
    function_version = ""
    memory_limit_in_mb = ""
    log_group_name = ""
    log_stream_name = ""
    identity = None
    tenant_id = None
    client_context = None

    def __init__(self, meta: Mapping[str, str]) -> None:
        self.aws_request_id = meta["id"]
        self.invoked_function_arn = meta["arn"]
        self._deadline_ms = float(meta["deadline_ms"])
        client = meta["client_context"]
        if client:
            self.client_context = _Client(json.loads(client))

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the deadline, never below 0."""
        return max(0, int(self._deadline_ms - time.time() * 1000))

    def log(self, text: object) -> None:
        """Write a line to the function's log."""
        sys.stdout.write(str(text))


class _Client:
    """The client context that mobile SDKs send: custom, env, client."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self.custom = document.get("custom") or {}
        self.env = document.get("env") or {}
        self.client = document.get("client")


class Function:
    """The tenant's code, once it is imported."""

    def __init__(self) -> None:
        self.handler: _Handler | None = None
        self.script: str | None = None

    def load(self, config: Mapping[str, object]) -> _Document | None:
        """Take the environment and import the handler.

        Returns:
            None, or Lambda's error document as a dict when the import failed.
        """
        environment, path = config["environment"], config["path"]
        assert isinstance(environment, dict)
        assert isinstance(path, list)
        os.environ.clear()
        os.environ.update(environment)
        if hasattr(time, "tzset"):
            time.tzset()
        sys.path[:] = path + [p for p in sys.path if p not in path]
        sys.argv[:] = [""]
        for attribute, variable in _CONTEXT_VARIABLES.items():
            setattr(Context, attribute, environment.get(variable, ""))
        if config["script"]:
            self.script = str(config["script"])
            return None
        try:
            self.handler = _import_handler(str(config["handler"]))
        except _ImportFailed as failure:
            return failure.document
        return None


_CONTEXT_VARIABLES = {
    "function_name": "AWS_LAMBDA_FUNCTION_NAME",
    "function_version": "AWS_LAMBDA_FUNCTION_VERSION",
    "memory_limit_in_mb": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "log_group_name": "AWS_LAMBDA_LOG_GROUP_NAME",
    "log_stream_name": "AWS_LAMBDA_LOG_STREAM_NAME",
}


class _ImportFailed(Exception):
    def __init__(self, kind: str, message: str, trace: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.document: _Document = {
            "errorMessage": message,
            "errorType": kind,
            "stackTrace": list(trace),
        }


def _import_handler(name: str) -> _Handler:
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        raise _ImportFailed(
            "Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack"
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except SyntaxError as error:
        raise _ImportFailed(
            "Runtime.UserCodeSyntaxError",
            f"Syntax error in module '{module_name}': {error}",
            [f'  File "{error.filename}" Line {error.lineno}\n    {error.text or ""}'],
        ) from None
    except ImportError as error:
        raise _ImportFailed(
            "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}"
        ) from None
    except BaseException as error:
        # SystemExit and KeyboardInterrupt at import are failed imports too, as on Lambda.
        kind, message = type(error).__name__, _words(error)
        if isinstance(error, SystemExit):
            kind = "Runtime.ExitError"
            message = f"Error: Runtime exited with error: exit status {exit_code(error)}"
        elif isinstance(error, MemoryError):
            kind, message = "Runtime.OutOfMemory", "the import ran out of memory"
        raise _ImportFailed(kind, message, _stack(error)) from None
    handler: _Handler | None = getattr(module, attribute, None)
    if not callable(handler):
        raise _ImportFailed(
            "Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'"
        )
    return handler


def _stack(error: BaseException) -> list[str]:
    import traceback  # noqa: PLC0415 - most calls do not fail

    frames = traceback.extract_tb(error.__traceback__)
    kept = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
    return traceback.format_list(kept)


def serve_one(source: int, sink: int, handler: _Handler) -> bool:
    """Read one INVOKE from `source`, run `handler(event, context)`, write the answer to `sink`.

    Returns:
        True when there may be another one: it answered, and nothing failed.
    """
    kind, body = read_frame(source)
    if kind != INVOKE:
        return False
    (meta_length,) = U32.unpack_from(body)
    event_at = 4 + meta_length
    meta = json.loads(str(body[4:event_at], "utf-8"))
    try:
        answer = _call(handler, meta, body[event_at:])
    except _CallFailed as failure:
        document = to_json(failure.document)
        kind_name = str(failure.document["errorType"]).encode()[:255]
        flush()
        head = FAILURE_HEAD.pack(_peak_kib(), len(kind_name))
        write_frame(sink, FAILURE, head, kind_name, document)
        return False
    flush()
    write_frame(sink, ANSWER, U32.pack(_peak_kib()), answer)
    return True


def to_json(document: _Document | None) -> bytes:
    """An error document as JSON that every parser takes: lone surrogates become "?"."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


class _CallFailed(Exception):
    def __init__(self, request_id: str, kind: str, message: str, trace: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.document: _Document = {
            "errorMessage": message,
            "errorType": kind,
            "requestId": request_id,
            "stackTrace": list(trace),
        }


def _call(handler: _Handler, meta: Mapping[str, str], payload: bytes) -> bytes:
    request_id = meta["id"]
    if meta["trace"]:
        os.environ["_X_AMZN_TRACE_ID"] = meta["trace"]
    try:
        event = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise _CallFailed(
            request_id, "Runtime.UnmarshalError", f"Unable to unmarshal input: {error}"
        ) from None
    try:
        answer = handler(event, Context(meta))
    except MemoryError:
        raise _out_of_memory(request_id) from None
    except Exception as error:
        _log_exception(error)
        raise _CallFailed(request_id, type(error).__name__, _words(error), _stack(error)) from None
    return _encode(request_id, answer)


def _out_of_memory(request_id: str) -> _CallFailed:
    """Made of little: nothing is left to take a traceback apart with."""
    message = "the function ran out of memory"
    try:
        sys.stdout.write(f"[ERROR] MemoryError: {message}\n")
    except Exception:  # As in `_log_exception`.
        return _CallFailed(request_id, "Runtime.OutOfMemory", message)
    return _CallFailed(request_id, "Runtime.OutOfMemory", message)


def _words(error: BaseException) -> str:
    """What an exception says of itself; its __str__ is the tenant's and may fail as well."""
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"


def _decode(payload: bytes) -> object:
    """`json.loads`, past the parts of it that no payload needs."""
    if not payload:
        return None
    text = str(payload, "utf-8").strip(_WHITE_SPACE)
    try:
        event, end = _scan_json(text, 0)
    except StopIteration:
        raise ValueError("no JSON value") from None
    if end != len(text):
        raise ValueError(f"extra data after character {end}")
    return event


def _encode(request_id: str, answer: object) -> bytes:
    try:
        encoded = _dump(answer).encode()
    except MemoryError:
        raise _out_of_memory(request_id) from None
    except Exception as error:
        raise _CallFailed(
            request_id, "Runtime.MarshalError", f"Unable to marshal response: {_words(error)}"
        ) from None
    if len(encoded) > RESPONSE_BYTES_MAX:
        raise _CallFailed(
            request_id,
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({len(encoded)} bytes) exceeded maximum allowed payload"
            f" size ({RESPONSE_BYTES_MAX} bytes).",
        )
    return encoded


def _make_dump() -> Callable[[object], str]:
    """`json.dumps(ensure_ascii=False)` with its C encoder made once, not for each answer."""
    encoder = json.JSONEncoder(ensure_ascii=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    encode = make(
        *(None, encoder.default, json.encoder.encode_basestring, None),
        *(encoder.key_separator, encoder.item_separator, False, False, True),
    )
    return lambda answer: "".join(encode(answer, 0))


_dump = _make_dump()


def _log_exception(error: BaseException) -> None:
    lines = [f"[ERROR] {type(error).__name__}: {_words(error)}\n"]
    frames = _stack(error)
    if frames:
        lines.append("Traceback (most recent call last):\n")
        lines.extend(frames)
    try:
        sys.stdout.write("".join(lines))
    except Exception:  # A closed or broken stdout is the handler's doing: still answer.
        return


def flush() -> None:
    """Push what was printed into the log pipe."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # As above: closed by the handler.
            continue


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def open_log_streams() -> None:
    """Make sys.stdout and sys.stderr write lines to descriptors 1 and 2, whatever these are."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = open(fd, "wb", buffering=0, closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw, 8192), "utf-8", "backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def reseed() -> None:
    """Give this copy randomness of its own: what was seeded before the fork is the same in all."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if "_ssl" in modules:
        modules["_ssl"].RAND_add(os.urandom(32), 32.0)
    if "numpy.random" in modules:
        modules["numpy.random"].seed(int.from_bytes(os.urandom(4), "little"))
    if "tempfile" in modules:
        setattr(modules["tempfile"], "_name_sequence", None)  # noqa: B010 - no public name


_REHEARSAL_META = (
    b'{"id": "rehearsal", "arn": "", "deadline_ms": 0, "trace": "", "client_context": ""}'
)
_REHEARSAL_EVENT = b'{"rehearsal": [1, 2.5, "x"]}'


def rehearse(count: int) -> None:
    """Send `count` empty calls to oneself, so that a real one finds warm pages."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    head = U32.pack(len(_REHEARSAL_META))
    for _ in range(count):
        write_frame(in_write, INVOKE, head, _REHEARSAL_META, _REHEARSAL_EVENT)
        serve_one(in_read, out_write, _rehearsal_handler)
        read_frame(out_read)
    for fd in (in_read, in_write, out_read, out_write):
        os.close(fd)


def _rehearsal_handler(event: object, context: Context) -> object:
    context.get_remaining_time_in_millis()
    return event


def run_script(channel: int, path: str) -> None:
    """Read one INVOKE, its event {"args": [...], "stdin": base64}; run the file as `__main__`."""
    import base64  # noqa: PLC0415 - no function needs them, and every isolate would hold them
    import runpy  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    kind, body = read_frame(channel)
    if kind != INVOKE:
        return
    (meta_length,) = U32.unpack_from(body)
    event = json.loads(body[4 + meta_length :])
    _set_stdin(base64.b64decode(event.get("stdin") or ""))
    sys.argv[:] = [path, *event.get("args", [])]
    code = 0
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as error:
        code = exit_code(error)
    except BaseException as error:
        error.__traceback__ = _without_us(error.__traceback__)
        traceback.print_exception(error)
        code = 1
    flush()
    write_frame(channel, ANSWER, U32.pack(_peak_kib()), json.dumps({"exit_code": code}).encode())


def exit_code(error: SystemExit) -> int:
    """What a shell would see (sys.exit)."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _without_us(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and (
        trace.tb_frame.f_code.co_filename == __file__
        or "runpy" in trace.tb_frame.f_code.co_filename
    ):
        trace = trace.tb_next
    return trace


def _set_stdin(data: bytes) -> None:
    if not data:
        return
    fd = os.open("/tmp/.stdin", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink("/tmp/.stdin")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), "utf-8")


def settle() -> None:
    """Before the first fork: collect once, then keep what is there out of later collections."""
    gc.collect()
    gc.freeze()
