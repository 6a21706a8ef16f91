"""Whatever a function does to itself, its caller gets Lambda's error document, and nobody pays.

Each row is tried as root and as an ordinary user. Beside each failing call stands a healthy
function that goes on answering.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import leaks
from tests.support.control import residents
from tests.support.functions import Call, Functions

Check = Callable[[Call], None]


def _document(error_type: str, *words: str) -> Check:
    def check(call: Call) -> None:
        assert call.error_type == error_type, call.document
        assert all(word in call.error_message for word in words), call.error_message

    return check


def _any_of(*error_types: str) -> Check:
    def check(call: Call) -> None:
        assert call.error_type in error_types, call.document

    return check


ROWS: dict[str, tuple[str, Check]] = {
    "an exception": (
        "def handler(e, c):\n    raise ValueError('no such colour')\n",
        _document("ValueError", "no such colour"),
    ),
    "an exception of its own making": (
        "class OutOfPaint(Exception): pass\ndef handler(e, c):\n    raise OutOfPaint('blue')\n",
        _document("OutOfPaint", "blue"),
    ),
    "os._exit": (
        "import os\ndef handler(e, c):\n    os._exit(7)\n",
        _document("Runtime.ExitError", "exit status 7"),
    ),
    "os._exit with 0": (
        "import os\ndef handler(e, c):\n    os._exit(0)\n",
        _document("Runtime.ExitError"),
    ),
    "sys.exit": (
        "import sys\ndef handler(e, c):\n    sys.exit(3)\n",
        _document("Runtime.ExitError", "exit status 3"),
    ),
    "a segmentation fault": (
        "import ctypes\ndef handler(e, c):\n    ctypes.string_at(0)\n",
        _document("Runtime.ExitError", "segmentation fault"),
    ),
    "SIGKILL to itself": (
        "import os\ndef handler(e, c):\n    os.kill(os.getpid(), 9)\n",
        # A pid 1 cannot kill itself so; then nothing happens and it returns.
        lambda call: None if not call.error else _any_of("Runtime.ExitError")(call),
    ),
    "more memory than it has": (
        "def handler(e, c):\n    return len(bytearray(b'x') * (400 << 20))\n",
        # Without a memory cgroup (an ordinary user without delegation) the rlimit refuses.
        _any_of("Runtime.OutOfMemory", "MemoryError"),
    ),
    "an endless loop": (
        "def handler(e, c):\n    while True: pass\n",
        _document("Sandbox.Timedout", "Error: Task timed out after 1.00 seconds"),
    ),
    "a sleep past the deadline": (
        "import time\ndef handler(e, c):\n    time.sleep(60)\n",
        _document("Sandbox.Timedout", "Error: Task timed out after 1.00 seconds"),
    ),
    "an answer that is not JSON": (
        "def handler(e, c):\n    return {1, 2}\n",
        _document("Runtime.MarshalError", "Unable to marshal response", "set"),
    ),
    "an answer over the bound": (
        "def handler(e, c):\n    return 'x' * 6_291_557\n",
        _document("Function.ResponseSizeTooLarge", "6291556"),
    ),
    "an import that is missing": (
        "import nowhere\ndef handler(e, c): pass\n",
        _document(
            "Runtime.ImportModuleError",
            "Unable to import module 'app'",
            "No module named 'nowhere'",
        ),
    ),
    "a syntax error": (
        "def handler(e, c:\n    pass\n",
        _document("Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
    ),
    "a handler that is missing": (
        "def other(e, c): pass\n",
        _document("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
    ),
    "an exception at import": ("1 / 0\n", _document("ZeroDivisionError", "division by zero")),
    "sys.exit at import": (
        "import sys\nsys.exit(4)\n",
        _document("Runtime.ExitError", "exit status 4"),
    ),
    "os._exit at import": (
        "import os\nos._exit(5)\n",
        _document("Runtime.ExitError", "exit status 5"),
    ),
    "an endless recursion": (
        "def handler(e, c):\n    return handler(e, c)\n",
        _any_of("RecursionError", "Runtime.ExitError"),
    ),
}

# These break the isolate's own means of answering: either the answer still comes through, or an
# error document does; garbage never does.
SABOTAGE: dict[str, str] = {
    "closes fd 0 to 9": (
        "import os\ndef handler(e, c):\n    os.closerange(0, 10)\n    return 'done'\n"
    ),
    "closes every fd": (
        "import os\ndef handler(e, c):\n    os.closerange(0, 4096)\n    return 'done'\n"
    ),
    "writes garbage into every fd": """
import os
def handler(e, c):
    for fd in range(256):
        try:
            os.write(fd, b'\\xff\\x00garbage{"errorType":' * 99)
        except OSError:
            pass
    return 'done'
""",
    "writes a forged answer into every fd": """
import os, struct
def handler(e, c):
    body = b'"forged"'
    for fd in range(256):
        for form in ("<I", ">I", "<Q", ">Q"):
            try:
                os.write(fd, struct.pack(form, len(body)) + body)
            except OSError:
                pass
    return 'done'
""",
    "shuts every socket down": """
import os, socket
def handler(e, c):
    for fd in range(256):
        try:
            socket.socket(fileno=fd).shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    return 'done'
""",
    "replaces its descriptors": """
import os
def handler(e, c):
    null = os.open('/dev/null', os.O_RDWR)
    for fd in range(64):
        if fd != null:
            os.dup2(null, fd)
    return 'done'
""",
    "closes standard output": (
        "import sys\ndef handler(e, c):\n"
        "    sys.stdout.close()\n    sys.stderr.close()\n    return 'done'\n"
    ),
    "raises SIGTERM": (
        "import os, signal\ndef handler(e, c):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    return 'done'\n"
    ),
    "leaves a fork that answers too": (
        "import os\ndef handler(e, c):\n    os.fork()\n    return 'done'\n"
    ),
}


@pytest.fixture
def neighbour(either_functions: Functions) -> Iterator[Callable[[], int]]:
    """A healthy function that is called all the while; calling the fixture ends and counts."""
    name = either_functions.make(MemorySize=128)
    over = threading.Event()

    def keep_calling() -> int:
        answered = 0
        while not over.is_set() or not answered:
            call = either_functions.call(name, answered)
            assert (call.error, call.value) == ("", answered)
            answered += 1
        return answered

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(keep_calling)

        def ended() -> int:
            over.set()
            return running.result(timeout=30)

        yield ended
        over.set()


@pytest.mark.parametrize("row", ROWS)
def test_a_failing_function_gives_lambdas_error_and_costs_its_neighbour_nothing(
    either_functions: Functions, neighbour: Callable[[], int], row: str
) -> None:
    source, check = ROWS[row]
    name = either_functions.make({"app.py": source}, Timeout=1)
    call = either_functions.call(name, {})
    assert call.status == 200
    check(call)
    if call.error:
        assert call.error in ("Unhandled", "Handled")
    assert neighbour() > 0


@pytest.mark.parametrize("row", SABOTAGE)
def test_a_function_that_breaks_its_own_channel_gets_its_answer_or_an_error(
    either_functions: Functions, neighbour: Callable[[], int], row: str
) -> None:
    name = either_functions.make({"app.py": SABOTAGE[row]}, Timeout=2)
    call = either_functions.call(name, {})
    assert call.status == 200
    if call.error:
        assert str(call.error_type).startswith(("Runtime.", "Sandbox."))
    else:
        assert call.value == "done"
    assert neighbour() > 0


@pytest.mark.parametrize("row", ["os._exit", "an endless loop", "more memory than it has"])
def test_the_call_after_a_failed_one_finds_a_whole_isolate(
    either_functions: Functions, row: str
) -> None:
    source, _ = ROWS[row]
    broken = source.replace("handler", "fail")
    name = either_functions.make(
        {"app.py": broken + "def handler(e, c):\n    return fail(e, c) if e == 'fail' else e\n"},
        Timeout=1,
    )
    assert either_functions.call(name, "fail").error == "Unhandled"
    for number in range(5):
        assert either_functions.call(name, number).value == number


def test_an_error_document_has_the_request_and_a_stack_that_starts_in_the_handler(
    functions: Functions,
) -> None:
    source = "def handler(e, c):\n    deeper()\ndef deeper():\n    raise KeyError('x')\n"
    call = functions.call(functions.make(source))
    assert call.error == "Unhandled"
    assert call.document["requestId"] == call.request_id
    stack = call.document["stackTrace"]
    assert isinstance(stack, list)
    assert '/var/task/app.py", line 2, in handler' in stack[0]
    assert '/var/task/app.py", line 4, in deeper' in stack[-1]


def test_a_failure_shows_in_the_log(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    raise KeyError('lost key')\n")
    log = functions.call(name, LogType="Tail").log
    assert "[ERROR] KeyError" in log
    assert "lost key" in log


def test_a_timeout_shows_in_the_log(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    while True: pass\n", Timeout=1)
    call = functions.call(name, LogType="Tail")
    assert "Task timed out after 1.00 seconds" in call.log


def test_a_deadline_ends_every_descendant(functions: Functions) -> None:
    source = """
        import os, time
        def handler(event, context):
            for _ in range(3):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        while True:
                            print("still here", flush=True)
                            time.sleep(0.05)
                    os._exit(0)
            time.sleep(60)
    """
    name = functions.make(source, Timeout=1)
    assert functions.call(name).error_type == "Sandbox.Timedout"
    pids = {one["pid"] for one in _busy(functions, name)}
    # The answer comes first, the burial right behind it; the suite's time-out ends a wait in vain.
    while _busy(functions, name):
        pass
    assert not pids & {one.pid for one in leaks.take_census().processes}


def _busy(functions: Functions, name: str) -> list[dict[str, object]]:
    found = residents(functions.platform)
    return [one for one in found if one["function"] == name and one["stage"] == "busy"]
