"""Function URLs through Lambda's API."""

from __future__ import annotations

import re

import pytest

from tests.support.aws_call import Refused
from tests.support.lambda_api import LambdaApi

CORS = {"AllowOrigins": ["*"], "MaxAge": 60, "AllowCredentials": True}


async def test_a_url_is_made_read_changed_listed_and_removed(api: LambdaApi) -> None:
    await api.make()
    made = await api.call("CreateFunctionUrlConfig", FunctionName="hello", AuthType="NONE")
    url = str(made["FunctionUrl"])
    assert re.fullmatch(r"http://127\.0\.0\.1:9000/lambda-url/[a-z0-9]{32}/", url)
    assert len(url) >= 40
    assert made["InvokeMode"] == "BUFFERED"
    assert "Cors" not in made
    changed = await api.call(
        "UpdateFunctionUrlConfig", FunctionName="hello", AuthType="AWS_IAM", Cors=CORS
    )
    assert (changed["FunctionUrl"], changed["AuthType"]) == (url, "AWS_IAM")
    found = await api.call("GetFunctionUrlConfig", FunctionName="hello")
    assert found["Cors"] == CORS
    kept = await api.call("UpdateFunctionUrlConfig", FunctionName="hello")
    assert (kept["AuthType"], kept["Cors"]) == ("AWS_IAM", CORS)
    listed = await api.call("ListFunctionUrlConfigs", FunctionName="hello")
    assert [one["FunctionUrl"] for one in _list(listed)] == [url]
    await api.call("DeleteFunctionUrlConfig", FunctionName="hello")
    assert _list(await api.call("ListFunctionUrlConfigs", FunctionName="hello")) == []


def _list(page: dict[str, object]) -> list[dict[str, object]]:
    found = page["FunctionUrlConfigs"]
    assert isinstance(found, list)
    return found


async def test_a_second_url_is_a_conflict(api: LambdaApi) -> None:
    await api.make()
    await api.call("CreateFunctionUrlConfig", FunctionName="hello", AuthType="NONE")
    with pytest.raises(Refused, match=r"ResourceConflictException 409: .*exists for this Lambda"):
        await api.call("CreateFunctionUrlConfig", FunctionName="hello", AuthType="NONE")


@pytest.mark.parametrize(
    "operation", ["GetFunctionUrlConfig", "UpdateFunctionUrlConfig", "DeleteFunctionUrlConfig"]
)
async def test_a_url_that_is_not_there_is_not_found(api: LambdaApi, operation: str) -> None:
    await api.make()
    with pytest.raises(Refused, match="ResourceNotFoundException 404: The resource you requested"):
        await api.call(operation, FunctionName="hello")


async def test_an_alias_that_is_not_there_is_not_found(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"ResourceNotFoundException 404: .*hello:blue"):
        await api.call(
            "CreateFunctionUrlConfig", FunctionName="hello", Qualifier="blue", AuthType="NONE"
        )


async def test_streaming_is_not_available_and_says_so(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"NotImplemented 501: .*InvokeMode"):
        await api.call(
            "CreateFunctionUrlConfig",
            FunctionName="hello",
            AuthType="NONE",
            InvokeMode="RESPONSE_STREAM",
        )


async def test_an_auth_type_that_is_none_is_a_validation_error(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"ValidationException 400: .*'authType'.*AWS_IAM"):
        await api.call("CreateFunctionUrlConfig", FunctionName="hello", AuthType="SECRET")
