"""How the control API tells errors, and where those that nobody foresaw are written down."""

from __future__ import annotations

import logging
import traceback

import msgspec

from mayfly.api.exchange import JSON_TYPE, Exchange
from mayfly.api.message import Response
from mayfly.model.errors import CallerError, MayflyError
from mayfly.telemetry import LogEvent, event_log


class NoSuchRoute(CallerError):
    """Nothing is at this path."""

    code = "ResourceNotFoundException"
    status = 404


class MethodNotAllowed(CallerError):
    """The path exists, but not for this method."""

    code = "MethodNotAllowedException"
    status = 405


def error_form(error: MayflyError) -> dict[str, object]:
    """An error as the control API tells it."""
    return {"error": {"code": error.code, "message": error.message}}


def error_response(error: MayflyError) -> Response:
    """An error as a whole reply."""
    return Response(error.status, [JSON_TYPE], msgspec.json.encode(error_form(error)))


def internal_error() -> MayflyError:
    """What the caller hears of an error that nobody foresaw."""
    return MayflyError("the platform failed at this request; its log says more")


def log_failure(exchange: Exchange, error: Exception) -> None:
    """Write an unforeseen error to the platform's log, with where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    event_log(
        LogEvent.REQUEST_FAILED,
        level=logging.ERROR,
        request_id=exchange.request_id,
        method=exchange.method,
        path=exchange.raw_path.decode("latin-1"),
        error=type(error).__name__,
        message=str(error),
        where=" < ".join(f"{one.filename.rpartition('/')[2]}:{one.lineno}" for one in frames[::-1]),
    )
