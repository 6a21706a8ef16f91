from __future__ import annotations

import pytest

from mayfly.engine.journal import end_lines, failure_line, init_start_line, start_line

ID = "7f0c1c1e-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("runtime", "shown"),
    [
        ("python3.11", "python:3.11"),
        ("nodejs20.x", "nodejs:20.x"),
        ("provided.al2023", "provided.al:2023"),
    ],
)
def test_a_runtime_is_shown_with_its_version_apart(runtime: str, shown: str) -> None:
    assert init_start_line(runtime) == f"INIT_START Runtime Version: {shown}\n".encode()


def test_start_names_the_request_and_the_version() -> None:
    assert start_line(ID, "$LATEST") == f"START RequestId: {ID} Version: $LATEST\n".encode()


def _report(error_type: str = "", init_ms: float | None = None) -> bytes:
    lines = end_lines(
        ID,
        duration_ms=1.234,
        memory_mib=128,
        memory_mib_max=30,
        init_ms=init_ms,
        error_type=error_type,
    )
    end, report, rest = lines.split(b"\n")
    assert end == f"END RequestId: {ID}".encode()
    assert rest == b""
    return report


def test_a_warm_report_has_lambdas_fields() -> None:
    assert (
        _report()
        == (
            f"REPORT RequestId: {ID}\tDuration: 1.23 ms\tBilled Duration: 2 ms\t"
            "Memory Size: 128 MB\tMax Memory Used: 30 MB\t"
        ).encode()
    )


def test_a_cold_report_has_the_init_duration() -> None:
    assert _report(init_ms=99.825).endswith(b"Max Memory Used: 30 MB\tInit Duration: 99.83 ms\t")


def test_a_deadline_is_a_status() -> None:
    assert _report("Sandbox.Timedout").endswith(b"\tStatus: timeout\t")


def test_a_crash_is_a_status_with_its_type() -> None:
    assert _report("Runtime.ExitError").endswith(
        b"\tStatus: error\tError Type: Runtime.ExitError\t"
    )


def test_a_handlers_own_exception_is_no_status() -> None:
    assert b"Status" not in _report("KeyError")


@pytest.mark.parametrize("error_type", ["Runtime.ExitError", "Function.ResponseSizeTooLarge"])
def test_what_the_handler_cannot_know_has_a_line(error_type: str) -> None:
    assert failure_line(error_type, b'{"errorMessage": "why"}') == b"why\n"


def test_a_handlers_own_exception_has_no_line_beside_its_traceback() -> None:
    assert failure_line("ValueError", b'{"errorMessage": "why"}') == b""
