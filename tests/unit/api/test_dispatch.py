"""Dispatch: the right service, the right operation, and a clear word where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mayfly.api.dispatch import answer_error
from mayfly.api.refusals import MissingAuthenticationToken
from mayfly.api.wire.model import service_model
from tests.support.aws_call import Refused
from tests.support.lambda_api import LambdaApi


@pytest.fixture
def api(tmp_path: Path) -> LambdaApi:
    return LambdaApi(tmp_path)


async def test_who_am_i_is_answered_in_the_query_protocol(api: LambdaApi) -> None:
    found = await api.caller.call("sts", "GetCallerIdentity")
    assert found["Account"] == "000000000000"
    assert found["Arn"] == "arn:aws:iam::000000000000:root"
    assert found["ResponseMetadata"]["RequestId"]


async def test_every_other_operation_of_the_model_is_refused_by_name(api: LambdaApi) -> None:
    operations = service_model("lambda").operations
    lacking = [
        one
        for one in operations.values()
        if not api.caller.services.operations["lambda"].implements(one.name)
    ]
    assert len(lacking) > 60
    for operation in lacking:
        path, _, query = operation.request_uri.partition("?")
        for name in operation.input.members if operation.input else ():
            path = path.replace(f"{{{name}}}", "x")
        response = await api.caller.raw(operation.method, path, query=query, body=b"not json")
        assert response.status == 501
        assert f"lambda:{operation.name} yet".encode() in response.body


async def test_an_unknown_operation_of_a_query_service_says_so(api: LambdaApi) -> None:
    with pytest.raises(Refused, match=r"NotImplemented 501: .*sts:AssumeRole"):
        await api.caller.call("sts", "AssumeRole", RoleArn="r", RoleSessionName="s")


async def test_a_service_that_is_not_offered_is_named_in_its_own_protocol(api: LambdaApi) -> None:
    with pytest.raises(Refused, match=r"NotImplemented 501: .*dynamodb.*lambda, sts"):
        await api.caller.call("dynamodb", "ListTables")
    with pytest.raises(Refused, match=r"NotImplemented 501: .*s3"):
        await api.caller.call("s3", "ListBuckets")


@pytest.mark.parametrize("service", ["", "../../etc", "no-such", "x" * 1_000, "ünï"])
async def test_a_service_nobody_knows_is_refused_in_json(api: LambdaApi, service: str) -> None:
    response = await api.caller.raw("GET", "/", service=service)
    assert response.status == 501
    assert response.body.startswith(b"{")


@pytest.mark.parametrize("path", ["/2015-03-31/nothing", "/2015-03-31/functions/a/b/c", "/x"])
async def test_a_path_with_no_operation_is_a_404(api: LambdaApi, path: str) -> None:
    response = await api.caller.raw("GET", path)
    assert response.status == 404
    assert path.encode() in response.body


async def test_a_large_body_is_read_all_the_same(api: LambdaApi) -> None:
    response = await api.caller.raw("POST", "/2015-03-31/functions", body=b'"' + b"x" * 400_000)
    assert response.status == 400
    assert b"Could not parse request body into json" in response.body


@pytest.mark.parametrize(
    ("service", "path", "start"),
    [
        ("", "/2015-03-31/functions", b'{"message"'),
        ("sts", "/", b"<?xml"),
        ("s3", "/bucket", b"<?xml"),
        ("s3", "/2015-03-31/functions", b'{"message"'),
        ("dynamodb", "/", b'{"__type"'),
    ],
)
def test_an_error_before_the_request_is_told_in_the_service_s_protocol(
    service: str, path: str, start: bytes
) -> None:
    response = answer_error(
        MissingAuthenticationToken(), service=service, method="GET", raw_path=path, request_id="r"
    )
    assert response.status == 403
    assert response.body.startswith(start)
