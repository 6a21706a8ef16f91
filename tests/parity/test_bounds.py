"""Each bound that a function is given holds, as root and as an ordinary user."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.support.control import deploy
from tests.support.functions import ECHO, Functions, refusal
from tests.support.platform import ROLE, RUNTIME, zipped


def test_memory_is_bounded_over_all_processes_of_an_isolate(functions: Functions) -> None:
    source = """
        import os
        def handler(event, context):
            pids = []
            for _ in range(4):
                pid = os.fork()
                if pid == 0:
                    held = bytearray(b"x") * (60 << 20)
                    os._exit(0 if held else 1)
                pids.append(pid)
            return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    """
    call = functions.call(functions.make(source, MemorySize=128))
    if call.error:
        assert call.error_type == "Runtime.OutOfMemory"
    else:
        # They ran one after the other, or some were refused: never all four at once.
        assert isinstance(call.value, list)


def test_a_function_may_use_the_memory_that_it_has(either_functions: Functions) -> None:
    source = "def handler(e, c):\n    return len(bytearray(b'x') * (150 << 20))\n"
    call = either_functions.call(either_functions.make(source, MemorySize=256))
    assert call.value == 150 << 20


def test_tmp_is_as_large_as_was_set_and_no_larger(either_functions: Functions) -> None:
    source = """
        import os
        def handler(event, context):
            written = 0
            block = b"x" * (8 << 20)
            try:
                with open("/tmp/big", "wb", buffering=0) as big:
                    while written < (700 << 20):
                        written += big.write(block)
            except OSError as error:
                return [error.errno, written >> 20, os.statvfs("/tmp").f_blocks > 0]
            return [0, written >> 20, True]
    """
    name = either_functions.make(
        source, MemorySize=2048, Timeout=30, EphemeralStorage={"Size": 512}
    )
    call = either_functions.call(name)
    assert isinstance(call.value, list), call.body
    error, written_mib, _ = call.value
    assert error == 28
    assert 480 <= written_mib <= 512


def test_a_fork_bomb_stays_within_its_isolate(either_functions: Functions) -> None:
    source = """
        import os, time
        def handler(event, context):
            made = 0
            try:
                while made < 5000:
                    if os.fork() == 0:
                        time.sleep(30)
                        os._exit(0)
                    made += 1
            except OSError:
                pass
            return made
    """
    name = either_functions.make(source, Timeout=10, MemorySize=512)
    call = either_functions.call(name)
    if call.error:
        assert str(call.error_type).startswith(("Runtime.", "Sandbox."))
    else:
        assert isinstance(call.value, int)
        assert call.value < 1024
    assert either_functions.call(either_functions.make(), 1).value == 1


def test_file_descriptors_are_bounded(either_functions: Functions) -> None:
    source = """
        import os
        def handler(event, context):
            opened = 0
            try:
                while opened < 100_000:
                    os.open("/dev/null", os.O_RDONLY)
                    opened += 1
            except OSError as error:
                return [error.errno, opened]
            return [0, opened]
    """
    call = either_functions.call(either_functions.make(source))
    assert isinstance(call.value, list), call.body
    assert call.value[0] == 24
    assert call.value[1] <= 1024


def test_a_flood_of_output_is_cut_and_the_answer_still_comes(either_functions: Functions) -> None:
    source = """
        import os
        def handler(event, context):
            line = b"flood " * 1000 + b"\\n"
            for _ in range(5000):
                os.write(1, line)
            return "done"
    """
    call = either_functions.call(either_functions.make(source, Timeout=20), LogType="Tail")
    assert call.value == "done"
    assert len(call.log.encode()) <= 4096


def test_an_answer_at_the_bound_comes_whole(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    return 'x' * e\n")
    assert len(functions.call(name, 6_291_556 - 2).body) == 6_291_556
    assert functions.call(name, 6_291_556 - 1).error_type == "Function.ResponseSizeTooLarge"


def test_reserved_concurrency_refuses_what_is_over_it(functions: Functions) -> None:
    """Deployed with concurrency 1: of two calls at once, the second waits briefly or is refused."""
    manifest = f"""
[function]
name = "one-at-a-time"
handler = "app.handler"
runtime = "{RUNTIME}"
concurrency = 1
timeout = "20s"
"""
    source = "import time\ndef handler(e, c):\n    time.sleep(8)\n    return e\n"
    answer = deploy(functions.platform, {"mayfly.toml": manifest, "app.py": source})
    assert "error" not in answer, answer
    try:
        outcomes = _call_together(functions, "one-at-a-time", 3)
    finally:
        functions.client.delete_function(FunctionName="one-at-a-time")
    assert "answered" in outcomes
    refused = [one for one in outcomes if one != "answered"]
    assert refused
    assert all(re.search(r"TooManyRequestsException 429 .*Reserved", one) for one in refused)


def test_concurrency_is_reserved_shown_and_released_over_awss_api(functions: Functions) -> None:
    name = functions.make()
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as caught:
        functions.call(name)
    assert refusal(caught.value)[:2] == ("TooManyRequestsException", 429)
    shown = functions.client.get_function_concurrency(FunctionName=name)
    assert shown["ReservedConcurrentExecutions"] == 0
    functions.client.delete_function_concurrency(FunctionName=name)
    assert functions.call(name, 1).value == 1


def _call_together(functions: Functions, name: str, count: int) -> list[str]:
    def call(_: int) -> str:
        try:
            functions.call(name)
        except ClientError as error:
            code, status, _message = refusal(error)
            return f"{code} {status} {error.response.get('Reason', '')}"
        return "answered"

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


@pytest.mark.parametrize(
    ("setting", "value", "member"),
    [
        ("MemorySize", 127, "memorySize"),
        ("MemorySize", 1_000_000, "memorySize"),
        ("Timeout", 0, "timeout"),
        ("Timeout", 901, "timeout"),
    ],
)
def test_a_setting_out_of_its_range_is_a_validation_error(
    functions: Functions, setting: str, value: int, member: str
) -> None:
    with pytest.raises(ClientError) as caught:
        functions.client.create_function(
            FunctionName=functions.platform.new_name(),
            Runtime=RUNTIME,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped({"app.py": ECHO})},
            **{setting: value},
        )
    code, status, message = refusal(caught.value)
    assert status == 400
    assert code in ("ValidationException", "InvalidParameterValueException")
    assert member.lower() in message.lower()
    assert str(value) in message
