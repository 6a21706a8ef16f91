"""Input that should not be: archives, names, payloads. Refused with a reason, and nothing stays."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, Functions, refusal
from tests.support.platform import ROLE, RUNTIME, zipped

MIB = 1 << 20


def _archive(write: Callable[[zipfile.ZipFile], None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", ECHO)
        write(archive)
    return buffer.getvalue()


def _linked(target: str) -> bytes:
    def write(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo("link")
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)

    return _archive(write)


def _special(kind: int) -> bytes:
    def write(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo("special")
        entry.create_system = 3
        entry.external_attr = (kind | 0o666) << 16
        archive.writestr(entry, b"")

    return _archive(write)


def _bomb() -> bytes:
    def write(archive: zipfile.ZipFile) -> None:
        block = b"\0" * (10 * MIB)
        for number in range(26):
            archive.writestr(f"zeros-{number}", block)

    return _archive(write)


def _crowd() -> bytes:
    def write(archive: zipfile.ZipFile) -> None:
        for number in range(60_000):
            archive.writestr(zipfile.ZipInfo(f"many/{number}"), b"")

    return _archive(write)


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "a path that climbs out": lambda: zipped({"app.py": ECHO, "../out.py": ""}),
    "a path that climbs out later": lambda: zipped({"app.py": ECHO, "a/../../out.py": ""}),
    "an absolute path": lambda: zipped({"app.py": ECHO, "/etc/mayfly-was-here": ""}),
    "a path with backslashes": lambda: zipped({"app.py": ECHO, "..\\out.py": ""}),
    "a link out": lambda: _linked("../../../../etc/passwd"),
    "an absolute link": lambda: _linked("/etc/passwd"),
    "a device": lambda: _special(stat.S_IFCHR),
    "a fifo": lambda: _special(stat.S_IFIFO),
    "a zip bomb": _bomb,
    "60,000 files": _crowd,
    "not a zip": lambda: b"PK but not really",
    "nothing": lambda: b"",
    "a zip cut in two": lambda: zipped({"app.py": ECHO, "more": "x" * 10_000})[:-60],
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_should_not_be_is_refused_and_leaves_nothing(
    functions: Functions, what: str
) -> None:
    name = functions.platform.new_name("refused")
    with pytest.raises(ClientError) as caught:
        functions.client.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": ARCHIVES[what]()},
        )
    code, status, message = refusal(caught.value)
    assert code in ("InvalidParameterValueException", "RequestTooLargeException")
    assert status in (400, 413)
    assert message
    with pytest.raises(functions.client.exceptions.ResourceNotFoundException):
        functions.client.get_function(FunctionName=name)


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "../up", "a b", "grüße", "🦋", "x" * 65, "a%2fb", "a\x00b", "a.b", ".", "a?b=c"],
)
def test_a_name_that_is_no_name_is_a_validation_error(functions: Functions, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        functions.client.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped({"app.py": ECHO})},
        )
    code, status, message = refusal(caught.value)
    assert status == 400
    assert code in ("ValidationException", "InvalidParameterValueException")
    assert "functionName" in message or "function name" in message.lower()


def test_a_name_of_64_characters_is_a_name(functions: Functions) -> None:
    name = functions.make(name="n" * 64)
    assert functions.call(name, 1).value == 1


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("app.nope", "Runtime.HandlerNotFound"),
        ("nope.handler", "Runtime.ImportModuleError"),
        ("nodot", "Runtime.MalformedHandlerName"),
    ],
)
def test_a_handler_that_does_not_exist_fails_when_it_is_called(
    functions: Functions, handler: str, error_type: str
) -> None:
    call = functions.call(functions.make(Handler=handler))
    assert (call.error, call.error_type) == ("Unhandled", error_type)


@pytest.mark.parametrize(
    "handler", ["../../etc/passwd.x", "app.__doc__", "os.system", "..", "a..b"]
)
def test_a_handler_that_is_none_is_a_failure_of_the_function(
    functions: Functions, handler: str
) -> None:
    call = functions.call(functions.make(Handler=handler))
    assert call.status == 200
    assert call.error == "Unhandled"
    assert call.error_type


def test_a_runtime_that_does_not_exist_is_refused_with_those_that_do(functions: Functions) -> None:
    with pytest.raises(ClientError) as caught:
        functions.client.create_function(
            FunctionName=functions.platform.new_name(),
            Runtime="cobol85",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped({"app.py": ECHO})},
        )
    _, status, message = refusal(caught.value)
    assert status == 400
    assert "cobol85" in message
    assert RUNTIME in message


def test_missing_members_are_all_named_at_once(functions: Functions) -> None:
    with pytest.raises(ClientError) as caught:
        functions.client.create_function(FunctionName="incomplete")
    _, status, message = refusal(caught.value)
    assert status == 400
    assert "role" in message.lower()
    assert "code" in message.lower()


def test_an_environment_over_4_kib_is_refused(functions: Functions) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"BIG": "x" * 5_000}}
        )
    code, status, message = refusal(caught.value)
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert "4KB" in message or "4096" in message or "4 KB" in message


@pytest.mark.parametrize("key", ["AWS_LAMBDA_FUNCTION_NAME", "_HANDLER", "AWS_SECRET_ACCESS_KEY"])
def test_a_reserved_variable_is_refused(functions: Functions, key: str) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {key: "mine"}}
        )
    code, status, message = refusal(caught.value)
    assert status == 400
    # A leading underscore is already refused by the model's pattern, as in Lambda.
    assert code == "ValidationException" or (
        code == "InvalidParameterValueException" and key in message
    )


def test_refusals_leave_no_file_in_the_data_folder(functions: Functions) -> None:
    data = functions.platform.data
    functions.make()
    before = {one.name for folder in ("archives", "trees") for one in (data / folder).iterdir()}
    for what in ("a path that climbs out", "a zip bomb", "not a zip"):
        with pytest.raises(ClientError):
            functions.client.create_function(
                FunctionName=functions.platform.new_name(),
                Runtime=RUNTIME,
                Role=ROLE,
                Handler="app.handler",
                Code={"ZipFile": ARCHIVES[what]()},
            )
    after = {one.name for folder in ("archives", "trees") for one in (data / folder).iterdir()}
    assert after == before
