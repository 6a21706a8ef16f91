"""Bodies that should not be: refused in AWS's words, never a failure of ours."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.api.message import Headers
from mayfly.api.refusals import InvalidRequestContent, MalformedRequest
from mayfly.api.wire.form import parse_form
from mayfly.api.wire.match import match_operation
from mayfly.api.wire.model import service_model
from mayfly.api.wire.params import Params
from mayfly.api.wire.parse import parse_request
from mayfly.model.errors import CallerError


def parse(service: str, operation: str, body: bytes, query: str = "") -> Params:
    model = service_model(service)
    form = parse_form(body.decode("latin-1")) if model.protocol == "query" else []
    return parse_request(
        model,
        model.operations[operation],
        labels={},
        query=parse_form(query),
        headers=Headers(),
        body=body,
        form=form,
    )


@pytest.mark.parametrize("body", [b"{", b"nope", b"\xff", b'{"a":1}}', b"[" * 100_000, b'"\\ud800'])
def test_what_is_no_json_is_refused_in_lambda_s_words(body: bytes) -> None:
    with pytest.raises(InvalidRequestContent, match="Could not parse request body into json"):
        parse("lambda", "CreateFunction", body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"FunctionName": 1}', "NUMBER_VALUE cannot be converted to String"),
        (b'{"Timeout": "x"}', "STRING_VALUE cannot be converted to Integer"),
        (b'{"Timeout": 1.5}', "NUMBER_VALUE cannot be converted to Integer"),
        (b'{"Timeout": 3000000000}', "NUMBER_VALUE cannot be converted to Integer"),
        (b'{"Timeout": true}', "TRUE_VALUE cannot be converted to Integer"),
        (b'{"Publish": "true"}', "STRING_VALUE cannot be converted to Boolean"),
        (b'{"FunctionName": {}}', "Start of structure or map found where not expected"),
        (b'{"FunctionName": []}', "Start of list found where not expected"),
        (b'{"Code": {"ZipFile": "no base64!"}}', "cannot be converted to Blob"),
        (b'{"Code": 1}', "where a structure was expected"),
        (b'{"Layers": 1}', "where a list was expected"),
        (b"[]", "Start of list found where not expected"),
        (b"null", "where a structure was expected"),
    ],
)
def test_another_type_than_the_model_s_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        parse("lambda", "CreateFunction", body)
    assert said in caught.value.message


def test_a_null_is_not_there_and_what_is_unknown_is_passed_over() -> None:
    params = parse("lambda", "CreateFunction", b'{"FunctionName": null, "New": 1, "Timeout": 3.0}')
    assert params == {"Timeout": 3}


@given(st.binary(max_size=200))
def test_no_body_whatever_is_a_failure_of_ours(body: bytes) -> None:
    for service, operation in (
        ("lambda", "CreateFunction"),
        ("s3", "DeleteObjects"),
        ("dynamodb", "PutItem"),
        ("iam", "CreateRole"),
    ):
        with contextlib.suppress(CallerError):
            parse(service, operation, body)


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object>&b;</Object></Delete>',
        b"<a>" * 200 + b"</a>" * 200,
        b"<Delete>",
        b"<Delete/><Delete/>",
        b"\0",
    ],
)
def test_xml_with_entities_depth_or_errors_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse("s3", "DeleteObjects", body)


def test_xml_is_read_with_or_without_a_namespace() -> None:
    for start in (b"<Delete>", b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'):
        params = parse("s3", "DeleteObjects", start + b"<Object><Key>a</Key></Object></Delete>")
        assert params == {"Delete": {"Objects": [{"Key": "a"}]}}


def test_a_form_with_too_many_fields_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        parse_form("&".join(["a=1"] * 20_000))


def test_a_path_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        match_operation(
            service_model("s3"),
            method="GET",
            raw_path="/bucket/%ff",
            query=[],
            headers=frozenset(),
            target="",
            form=[],
        )


def test_an_unknown_service_is_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        service_model("no-such-service")


def test_the_models_are_read_without_importing_botocore() -> None:
    code = (
        "import sys; from mayfly.api.wire.model import service_model; service_model('lambda');"
        "import mayfly.api.auth, mayfly.api.wire.parse, mayfly.api.wire.serialise;"
        "assert 'botocore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
