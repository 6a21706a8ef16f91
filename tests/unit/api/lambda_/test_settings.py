"""Bounds, runtimes, environments, and what is not available: refused in clear words."""

from __future__ import annotations

import pytest

from tests.support.aws_call import Refused
from tests.support.lambda_api import LambdaApi, zipped


async def refusal(api: LambdaApi, **members: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await api.make("hello", **members)
    assert api.platform.registry.functions_nowait() == []
    return caught.value


@pytest.mark.parametrize(
    ("member", "value", "bound"),
    [
        ("Timeout", 901, "'timeout' failed to satisfy constraint: Member must have value less"),
        ("Timeout", 0, "'timeout' failed to satisfy constraint: Member must have value greater"),
        ("MemorySize", 10_241, "Value '10241' at 'memorySize' failed"),
        ("MemorySize", 127, "Value '127' at 'memorySize' failed"),
        ("EphemeralStorage", {"Size": 511}, "Value '511' at 'ephemeralStorage.size' failed"),
        ("EphemeralStorage", {"Size": 10_241}, "Value '10241' at 'ephemeralStorage.size' failed"),
        ("Handler", "with space", "Value 'with space' at 'handler' failed"),
        ("Handler", "x" * 129, "Member must have length less than or equal to 128"),
        ("Role", "nobody", "Value 'nobody' at 'role' failed"),
    ],
)  # fmt: skip
async def test_a_setting_out_of_its_bounds_is_a_validation_error(
    api: LambdaApi, member: str, value: object, bound: str
) -> None:
    error = await refusal(api, **{member: value})
    assert (error.code, error.status) == ("ValidationException", 400)
    assert bound in error.message


async def test_a_runtime_that_is_not_here_is_refused_with_those_that_are(api: LambdaApi) -> None:
    error = await refusal(api, Runtime="cobol85")
    assert (error.code, error.status) == ("InvalidParameterValueException", 400)
    assert "Value cobol85 at 'runtime' failed to satisfy constraint" in error.message
    assert "[python3.11, python3.12]" in error.message


@pytest.mark.parametrize("member", ["Runtime", "Handler"])
async def test_runtime_and_handler_are_mandatory(api: LambdaApi, member: str) -> None:
    error = await refusal(api, **{member: None})
    assert error.code == "InvalidParameterValueException"
    assert error.message.startswith("Runtime and Handler are mandatory")


@pytest.mark.parametrize(
    "name",
    ["AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_NEW_ONE", "AWS_SESSION_TOKEN",
     "LAMBDA_TASK_ROOT"],
)  # fmt: skip
async def test_a_reserved_variable_is_refused_by_name(api: LambdaApi, name: str) -> None:
    error = await refusal(api, Environment={"Variables": {name: "secret", "FINE": "1"}})
    assert (error.code, error.status) == ("InvalidParameterValueException", 400)
    assert error.message.endswith(f"Reserved keys used in this request: {name}")
    assert "secret" not in error.message


async def test_a_variable_that_begins_with_an_underscore_is_refused_as_lambda_does(
    api: LambdaApi,
) -> None:
    error = await refusal(api, Environment={"Variables": {"_HANDLER": "mine"}})
    assert error.status == 400


async def test_an_environment_over_four_kilobytes_is_refused(api: LambdaApi) -> None:
    error = await refusal(api, Environment={"Variables": {"BIG": "ü" * 2_048}})
    assert error.code == "InvalidParameterValueException"
    assert "exceeded the 4KB limit" in error.message
    await api.make(Environment={"Variables": {"BIG": "x" * 4_093}})


async def test_a_variable_with_a_nul_is_refused(api: LambdaApi) -> None:
    error = await refusal(api, Environment={"Variables": {"NUL": "a\0b"}})
    assert error.code == "InvalidParameterValueException"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, "S3"),
        ({"Code": {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:y"}}, "images"),
        ({"PackageType": "Image"}, "PackageType"),
        ({"Publish": True}, "Publish"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:x:1"]}, "Layers"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "VpcConfig"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sns:us-east-1:000000000000:t"}},
         "SNS topics"),
    ],
)  # fmt: skip
async def test_what_is_not_available_is_refused_and_not_left_out(
    api: LambdaApi, members: dict[str, object], said: str
) -> None:
    error = await refusal(api, **members)
    assert (error.code, error.status) == ("NotImplemented", 501)
    assert said in error.message


async def test_an_empty_setting_asks_for_nothing(api: LambdaApi) -> None:
    await api.make(
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
        Layers=[],
        DeadLetterConfig={},
        Publish=False,
        FileSystemConfigs=[],
    )


async def test_code_for_another_machine_is_refused(api: LambdaApi) -> None:
    here = (await api.make("here"))["Architectures"]
    other = ["arm64"] if here == ["x86_64"] else ["x86_64"]
    await api.call("DeleteFunction", FunctionName="here")
    error = await refusal(api, Architectures=other)
    assert error.code == "InvalidParameterValueException"
    await api.make(Architectures=here)


async def test_no_code_at_all_is_refused(api: LambdaApi) -> None:
    error = await refusal(api, Code={})
    assert error.message == "Please provide a source for function code."


async def test_a_version_is_not_published_with_new_code_yet(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"NotImplemented 501: .*published versions"):
        await api.call("UpdateFunctionCode", FunctionName="hello", ZipFile=zipped(), Publish=True)


async def test_tags_are_bounded_and_aws_s_prefix_is_reserved(api: LambdaApi) -> None:
    assert (await refusal(api, Tags={f"k{n}": "v" for n in range(51)})).status == 400
    assert "aws:" in (await refusal(api, Tags={"aws:x": "v"})).message
