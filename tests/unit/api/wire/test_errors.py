"""Errors in each protocol, as botocore reads them."""

from __future__ import annotations

from typing import Any

import botocore.parsers
import pytest
from botocore.compat import HTTPHeaders

from mayfly.api.message import Response
from mayfly.api.refusals import InvalidSignature, NotImplementedYet, UnrecognizedClient
from mayfly.api.wire.model import service_model
from mayfly.api.wire.serialise import serialise_error
from mayfly.model.errors import Conflict, MayflyError, NotFound, TooManyRequests

ALL = ["lambda", "s3", "dynamodb", "sqs", "sts", "iam", "logs"]


def read(service: str, response: Response) -> dict[str, Any]:
    """What botocore makes of an error."""
    headers = HTTPHeaders()
    for key, value in response.headers:
        headers[key.decode()] = value.decode()
    parser = botocore.parsers.create_parser(service_model(service).protocol)
    parsed: dict[str, Any] = parser.parse(
        {"status_code": response.status, "headers": headers, "body": response.body}, None
    )
    return parsed


def seen(service: str, error: MayflyError) -> tuple[str, str, int, str]:
    """Code, message, status and request id."""
    parsed = read(service, serialise_error(service_model(service), error, "the-request-id"))
    metadata = parsed["ResponseMetadata"]
    found = parsed["Error"]
    return (
        found["Code"],
        found["Message"],
        metadata["HTTPStatusCode"],
        metadata["RequestId"],
    )


@pytest.mark.parametrize("service", ALL)
def test_a_not_implemented_error_is_read_in_every_protocol(service: str) -> None:
    error = NotImplementedYet('Mayfly <lacks> "it" & says so')
    expected = ("NotImplemented", 'Mayfly <lacks> "it" & says so', 501, "the-request-id")
    assert seen(service, error) == expected


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("lambda", "UnrecognizedClientException"),
        ("dynamodb", "UnrecognizedClientException"),
        ("sts", "InvalidClientTokenId"),
        ("s3", "InvalidAccessKeyId"),
    ],
)
def test_each_service_has_its_own_name_for_an_unknown_key(service: str, code: str) -> None:
    assert seen(service, UnrecognizedClient())[0] == code


@pytest.mark.parametrize(
    ("service", "code"), [("lambda", "InvalidSignatureException"), ("iam", "SignatureDoesNotMatch")]
)
def test_each_service_has_its_own_name_for_a_wrong_signature(service: str, code: str) -> None:
    assert seen(service, InvalidSignature("wrong"))[0] == code


def test_a_lambda_error_has_the_members_of_its_shape() -> None:
    model = service_model("lambda")
    found = serialise_error(model, NotFound("Function not found: x"), "r")
    assert found.body == b'{"Type":"User","Message":"Function not found: x"}'
    assert (b"x-amzn-errortype", b"ResourceNotFoundException") in found.headers
    taken = serialise_error(model, Conflict("Function already exist: x"), "r")
    assert taken.status == 409
    assert b'"message":"Function already exist: x"' in taken.body or (
        b'"Message":"Function already exist: x"' in taken.body
    )


def test_a_throttle_says_its_reason() -> None:
    error = TooManyRequests(
        "Rate exceeded", reason="ReservedFunctionConcurrentInvocationLimitExceeded"
    )
    found = serialise_error(service_model("lambda"), error, "r")
    assert found.status == 429
    assert b'"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"' in found.body
    assert b'"message":"Rate exceeded"' in found.body


def test_a_platform_failure_is_the_service_s() -> None:
    found = serialise_error(service_model("lambda"), MayflyError("the disk is full"), "r")
    assert found.status == 500
    assert b'"Type":"Service"' in found.body


def test_a_line_break_in_a_message_begins_no_header() -> None:
    found = serialise_error(service_model("sqs"), NotFound("a\r\nx-evil: 1"), "r")
    assert all(b"\r" not in value and b"\n" not in value for _, value in found.headers)
