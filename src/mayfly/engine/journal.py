"""The lines that the platform writes into a function's log, in Lambda's own form. Pure.

    INIT_START Runtime Version: python:3.11
    START RequestId: 7f0c... Version: $LATEST
    (what the function prints)
    END RequestId: 7f0c...
    REPORT RequestId: 7f0c... Duration: 1.23 ms Billed Duration: 2 ms Memory Size: 128 MB ...

REPORT's fields are separated by tabs.
Source: AWS Lambda Developer Guide, "Working with Lambda function logs".
"""

from __future__ import annotations

import json
from math import ceil

from mayfly.model.limits import LOG_BYTES_PER_CALL_MAX

# What the runtime did not survive is reported as a status; a handler's own exception is not.
_STATUS_PREFIXES = ("Runtime.", "Sandbox.", "Extension.")
# The handler does not know of it, and where no caller waits nobody else would be told.
_TOO_LARGE = "Function.ResponseSizeTooLarge"

CUT_NOTICE = (
    f"[mayfly] this call printed more than {LOG_BYTES_PER_CALL_MAX} bytes; the rest is not kept\n"
).encode()


def lost_line(count: int) -> bytes:
    """What stands in the place of so many bytes of output that were not kept."""
    why = "the function prints more than it may over time"
    return f"[mayfly] {count} bytes were not kept: {why}\n".encode()


def init_start_line(runtime: str) -> bytes:
    """The first line of a snapshot's making; "python3.11" is shown as "python:3.11"."""
    name = runtime.rstrip("0123456789.x")
    version = runtime[len(name) :]
    return f"INIT_START Runtime Version: {name}:{version}\n".encode()


def start_line(request_id: str, version: str) -> bytes:
    """The line before what the function prints."""
    return f"START RequestId: {request_id} Version: {version}\n".encode()


def end_lines(
    request_id: str,
    *,
    duration_ms: float,
    memory_mib: int,
    memory_mib_max: int,
    init_ms: float | None,
    error_type: str,
) -> bytes:
    """END and REPORT.

    Args:
        request_id: Of the call.
        duration_ms: Of the handler.
        memory_mib: What the function may use.
        memory_mib_max: What it used at most.
        init_ms: How long the import took, None unless the call was cold.
        error_type: The error document's errorType, "" without one.
    """
    # This runs on every call: no helper calls, one format.
    init = "" if init_ms is None else f"Init Duration: {init_ms:.2f} ms\t"
    status = status_fields(error_type) if error_type else ""
    return (
        f"END RequestId: {request_id}\nREPORT RequestId: {request_id}\t"
        f"Duration: {duration_ms:.2f} ms\tBilled Duration: {ceil(duration_ms)} ms\t"
        f"Memory Size: {memory_mib} MB\tMax Memory Used: {memory_mib_max} MB\t{init}{status}\n"
    ).encode()


def failure_line(error_type: str, document: bytes) -> bytes:
    """What ended the runtime, or refused the answer; b"" when the handler itself raised."""
    if not error_type.startswith((*_STATUS_PREFIXES, _TOO_LARGE)):
        return b""
    try:
        message = json.loads(document)["errorMessage"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return b""
    return f"{message}\n".encode()


def status_fields(error_type: str) -> str:
    """REPORT's Status and Error Type, "" when the handler itself raised."""
    if error_type == "Sandbox.Timedout":
        return "Status: timeout\t"
    if error_type.startswith(_STATUS_PREFIXES):
        return f"Status: error\tError Type: {error_type}\t"
    return ""
