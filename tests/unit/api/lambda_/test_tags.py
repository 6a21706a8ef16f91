"""Tags and reserved concurrency."""

from __future__ import annotations

import pytest

from tests.support.aws_call import Refused
from tests.support.lambda_api import LambdaApi

ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"


async def test_tags_are_added_replaced_listed_and_removed(api: LambdaApi) -> None:
    await api.make(Tags={"team": "blue", "old": "1"})
    await api.call("TagResource", Resource=ARN, Tags={"team": "red", "größe": "x y"})
    listed = await api.call("ListTags", Resource=ARN)
    assert listed["Tags"] == {"team": "red", "old": "1", "größe": "x y"}
    await api.call("UntagResource", Resource=ARN, TagKeys=["old", "never"])
    listed = await api.call("ListTags", Resource=ARN)
    assert listed["Tags"] == {"team": "red", "größe": "x y"}


async def test_tags_change_nothing_in_what_runs(api: LambdaApi) -> None:
    await api.make()
    before = api.platform.registry.function_nowait("hello")
    await api.call("TagResource", Resource=ARN, Tags={"a": "b"})
    after = api.platform.registry.function_nowait("hello")
    assert before
    assert after
    assert before.snapshot_key == after.snapshot_key
    assert before.revision_id != after.revision_id


async def test_a_version_has_no_tags_and_a_name_is_no_resource(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match="InvalidParameterValueException"):
        await api.call("TagResource", Resource=f"{ARN}:$LATEST", Tags={"a": "b"})
    with pytest.raises(Refused, match="ValidationException"):
        await api.call("ListTags", Resource="hello")


async def test_more_than_fifty_tags_are_refused_all_together(api: LambdaApi) -> None:
    await api.make(Tags={f"k{n}": "v" for n in range(50)})
    with pytest.raises(Refused, match="at most 50 tags"):
        await api.call("TagResource", Resource=ARN, Tags={"one": "more"})


async def test_concurrency_is_reserved_told_and_given_back(api: LambdaApi) -> None:
    await api.make()
    found = await api.call("GetFunctionConcurrency", FunctionName="hello")
    assert "ReservedConcurrentExecutions" not in found
    for count in (3, 0):
        put = await api.call(
            "PutFunctionConcurrency", FunctionName="hello", ReservedConcurrentExecutions=count
        )
        assert put["ReservedConcurrentExecutions"] == count
        found = await api.call("GetFunctionConcurrency", FunctionName="hello")
        assert found["ReservedConcurrentExecutions"] == count
    await api.call("DeleteFunctionConcurrency", FunctionName="hello")
    function = api.platform.registry.function_nowait("hello")
    assert function
    assert function.settings.concurrency is None
    assert api.platform.engine.changed == ["hello"] * 4


async def test_a_negative_concurrency_is_a_validation_error(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"ValidationException 400: .*reservedConcurrentExecutions"):
        await api.call(
            "PutFunctionConcurrency", FunctionName="hello", ReservedConcurrentExecutions=-1
        )
