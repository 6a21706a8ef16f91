"""Answers as DynamoDB's clients expect them: JSON 1.0, its checksum, its errors' long names."""

from __future__ import annotations

import zlib

import msgspec

from mayfly.api.message import Response
from mayfly.model.errors import MayflyError
from mayfly.stores.tables.errors import ConditionFailed, TransactionCanceled

encode = msgspec.json.Encoder().encode

_TYPE = (b"content-type", b"application/x-amz-json-1.0")
_OWN = "com.amazonaws.dynamodb.v20120810#"
_CORAL = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
}


def answered(body: bytes, request_id: str, status: int = 200) -> Response:
    """An answer of JSON that is there."""
    return Response(
        status,
        [
            _TYPE,
            (b"x-amzn-requestid", request_id.encode()),
            (b"x-amz-crc32", str(zlib.crc32(body)).encode()),
        ],
        body,
    )


def refused(error: MayflyError, request_id: str) -> Response:
    """An error's answer."""
    code = "InternalServerError" if error.code == "ServiceException" else error.code
    document: dict[str, object] = {
        "__type": _CORAL.get(code, _OWN) + code,
        "message": error.message,
    }
    match error:
        case ConditionFailed(item=item) if item is not None:
            document["Item"] = item
        case TransactionCanceled():
            document["Message"] = document.pop("message")
            document["CancellationReasons"] = error.reasons
        case _:
            pass
    return answered(encode(document), request_id, error.status)
