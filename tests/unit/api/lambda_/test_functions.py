"""The life of a function, as an unmodified client sees it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from mayfly.api.auth import verify
from mayfly.api.message import Headers
from mayfly.model.function import Function
from tests.support.aws_call import Refused
from tests.support.lambda_api import ROLE, RUNTIME, LambdaApi, zipped

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


async def test_a_created_function_is_described_as_lambda_does(api: LambdaApi) -> None:
    archive = zipped()
    made = await api.make(
        Code={"ZipFile": archive},
        Description="says it back",
        Timeout=7,
        MemorySize=256,
        EphemeralStorage={"Size": 1024},
        Environment={"Variables": {"SIZE": "200"}},
    )
    metadata = made.pop("ResponseMetadata")
    assert isinstance(metadata, dict)
    assert metadata["HTTPStatusCode"] == 201
    assert made.pop("RevisionId")
    assert str(made.pop("LastModified")).endswith("+0000")
    assert made.pop("Architectures")
    assert made == {
        "FunctionName": "hello",
        "FunctionArn": f"{ARN}hello",
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(archive),
        "Description": "says it back",
        "Timeout": 7,
        "MemorySize": 256,
        "CodeSha256": base64.b64encode(hashlib.sha256(archive).digest()).decode(),
        "Version": "$LATEST",
        "Environment": {"Variables": {"SIZE": "200"}},
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "EphemeralStorage": {"Size": 1024},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"},
    }
    assert api.platform.engine.changed == ["hello"]


async def test_a_name_that_is_taken_is_a_conflict_and_nothing_changes(api: LambdaApi) -> None:
    await api.make()
    before = api.platform.registry.function_nowait("hello")
    with pytest.raises(Refused) as caught:
        await api.make(Timeout=9)
    assert (caught.value.code, caught.value.status) == ("ResourceConflictException", 409)
    assert caught.value.message == "Function already exist: hello"
    assert api.platform.registry.function_nowait("hello") == before


async def test_a_race_for_a_name_has_one_winner(api: LambdaApi) -> None:
    await api.make("other")
    taken = api.platform.registry.function_nowait("other")
    assert taken
    put = api.platform.code.put_archive

    async def put_slowly(archive: bytes) -> object:
        await api.platform.registry.create_function(replace(taken, name="hello"))
        return await put(archive)

    api.platform.code.put_archive = put_slowly  # type: ignore[method-assign, assignment]
    with pytest.raises(Refused, match="ResourceConflictException 409: Function already exist"):
        await api.make()


@pytest.mark.parametrize(
    "form", ["hello", "000000000000:function:hello", f"{ARN}hello", f"{ARN}hello:$LATEST"]
)
async def test_a_function_is_found_in_every_form_of_its_name(api: LambdaApi, form: str) -> None:
    await api.make()
    found = await api.call("GetFunctionConfiguration", FunctionName=form)
    assert found["FunctionName"] == "hello"


async def test_the_case_of_a_name_is_kept(api: LambdaApi) -> None:
    await api.make("Hello")
    with pytest.raises(Refused):
        await api.call("GetFunction", FunctionName="hello")


@pytest.mark.parametrize(
    "name", ["..", "a/b", "grüße", "🦋", "a b", "", "x" * 65, "x" * 141, "a.b"]
)
async def test_a_name_that_is_none_is_a_validation_error(api: LambdaApi, name: str) -> None:
    with pytest.raises(Refused) as caught:
        await api.make(name)
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    assert "validation error" in caught.value.message
    assert f"Value '{name}' at 'functionName' failed to satisfy constraint" in caught.value.message


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("GetFunction", {}),
        ("GetFunctionConfiguration", {}),
        ("DeleteFunction", {}),
        ("Invoke", {}),
        ("UpdateFunctionCode", {"ZipFile": b"x"}),
        ("UpdateFunctionConfiguration", {"Timeout": 4}),
        ("PutFunctionConcurrency", {"ReservedConcurrentExecutions": 1}),
        ("GetFunctionConcurrency", {}),
        ("DeleteFunctionConcurrency", {}),
        ("CreateFunctionUrlConfig", {"AuthType": "NONE"}),
        ("ListFunctionUrlConfigs", {}),
    ],
)
async def test_what_is_not_there_is_not_found(
    api: LambdaApi, operation: str, members: dict[str, object]
) -> None:
    with pytest.raises(Refused) as caught:
        await api.call(operation, FunctionName="nowhere", **members)
    assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)
    assert caught.value.message == f"Function not found: {ARN}nowhere"


async def test_a_function_of_another_region_or_account_is_not_found(api: LambdaApi) -> None:
    await api.make()
    for arn in (ARN.replace("us-east-1", "eu-west-1"), ARN.replace("0000", "1111")):
        with pytest.raises(Refused, match="ResourceNotFoundException"):
            await api.call("GetFunction", FunctionName=f"{arn}hello")


async def test_the_address_of_the_code_is_signed_by_the_platform_s_key(api: LambdaApi) -> None:
    await api.make(Tags={"team": "blue"})
    await api.call("PutFunctionConcurrency", FunctionName="hello", ReservedConcurrentExecutions=2)
    found = await api.call("GetFunction", FunctionName="hello")
    code = found["Code"]
    assert isinstance(code, dict)
    assert code["RepositoryType"] == "S3"
    parts = urlsplit(code["Location"])
    digest = hashlib.sha256(zipped()).hexdigest()
    assert (parts.netloc, parts.path) == ("127.0.0.1:9000", f"/_mayfly/code/{digest}")
    principal = verify(
        api.platform.keys,
        method="GET",
        raw_path=parts.path,
        query_string=parts.query,
        headers=Headers([(b"host", parts.netloc.encode())]),
        body=b"",
        now_ms=api.platform.clock.now_ms() + 60_000,
    )
    assert principal.service == "mayfly"
    assert found["Tags"] == {"team": "blue"}
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 2}


async def test_listing_goes_page_by_page_and_a_deleted_marker_does_no_harm(api: LambdaApi) -> None:
    names = [f"f{number:02}" for number in range(7)]
    for name in names:
        await api.make(name)
    seen: list[str] = []
    marker: dict[str, object] = {}
    while True:
        page = await api.call("ListFunctions", MaxItems=2, **marker)
        functions = page["Functions"]
        assert isinstance(functions, list)
        assert len(functions) <= 2
        seen += [one["FunctionName"] for one in functions]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
        if seen[-1] == "f03":
            await api.call("DeleteFunction", FunctionName="f03")
    assert seen == names


async def test_a_page_has_at_most_fifty_and_a_strange_marker_is_refused(api: LambdaApi) -> None:
    await api.make("f")
    one = api.platform.registry.function_nowait("f")
    assert one
    for number in range(60):
        await api.platform.registry.create_function(replace(one, name=f"f{number}"))
    page = await api.call("ListFunctions", MaxItems=10_000)
    assert isinstance(page["Functions"], list)
    assert len(page["Functions"]) == 50
    with pytest.raises(Refused, match="InvalidParameterValueException 400: Marker"):
        await api.call("ListFunctions", Marker="/////")


async def test_new_code_has_a_new_revision_and_the_settings_stay(api: LambdaApi) -> None:
    before = await api.make(Timeout=9)
    after = await api.call("UpdateFunctionCode", FunctionName="hello", ZipFile=zipped("X = 1\n"))
    assert after["CodeSha256"] != before["CodeSha256"]
    assert after["RevisionId"] != before["RevisionId"]
    assert after["Timeout"] == 9
    assert api.platform.engine.changed == ["hello", "hello"]


async def test_a_dry_run_of_new_code_changes_nothing(api: LambdaApi) -> None:
    before = await api.make()
    told = await api.call(
        "UpdateFunctionCode", FunctionName="hello", ZipFile=zipped("X = 1\n"), DryRun=True
    )
    assert told["CodeSha256"] != before["CodeSha256"]
    after = await api.call("GetFunctionConfiguration", FunctionName="hello")
    assert after["CodeSha256"] == before["CodeSha256"]
    assert after["RevisionId"] == before["RevisionId"]
    assert api.platform.engine.changed == ["hello"]


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("UpdateFunctionCode", {"ZipFile": zipped("X = 1\n")}),
        ("UpdateFunctionConfiguration", {"Timeout": 4}),
    ],
)
async def test_a_stale_revision_is_refused(
    api: LambdaApi, operation: str, members: dict[str, object]
) -> None:
    made = await api.make()
    first = made["RevisionId"]
    await api.call(operation, FunctionName="hello", RevisionId=first, **members)
    with pytest.raises(Refused) as caught:
        await api.call(operation, FunctionName="hello", RevisionId=first, **members)
    assert (caught.value.code, caught.value.status) == ("PreconditionFailedException", 412)
    assert caught.value.message.startswith("The RevisionId provided does not match the latest")


async def test_a_change_that_lost_a_race_is_made_again(api: LambdaApi) -> None:
    await api.make()
    registry = api.platform.registry
    replace_function = registry.replace_function
    raced = False

    async def replace_late(function: Function, *, expected_revision_id: str) -> None:
        nonlocal raced
        if not raced:
            raced = True
            held = registry.function_nowait("hello")
            assert held
            settings = replace(held.settings, description="theirs")
            theirs = replace(held, settings=settings, revision_id="theirs")
            await replace_function(theirs, expected_revision_id=held.revision_id)
        await replace_function(function, expected_revision_id=expected_revision_id)

    registry.replace_function = replace_late  # type: ignore[method-assign]
    told = await api.call("UpdateFunctionConfiguration", FunctionName="hello", Timeout=8)
    assert (told["Timeout"], told["Description"]) == (8, "theirs")


async def test_a_change_of_settings_keeps_the_others(api: LambdaApi) -> None:
    await api.make(MemorySize=256, Description="first", Environment={"Variables": {"AA": "1"}})
    told = await api.call("UpdateFunctionConfiguration", FunctionName="hello", Timeout=20)
    assert (told["Timeout"], told["MemorySize"], told["Description"]) == (20, 256, "first")
    assert told["Environment"] == {"Variables": {"AA": "1"}}
    told = await api.call("UpdateFunctionConfiguration", FunctionName="hello", Environment={})
    assert "Environment" not in told


async def test_settings_that_nobody_reads_are_given_back(api: LambdaApi) -> None:
    extra: dict[str, object] = {
        "TracingConfig": {"Mode": "Active"},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/x",
    }
    await api.make("hello", **extra)
    found = await api.call("GetFunctionConfiguration", FunctionName="hello")
    assert found["TracingConfig"] == {"Mode": "Active"}
    assert found["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "DEBUG",
        "LogGroup": "/aws/lambda/hello",
    }
    assert found["KMSKeyArn"] == extra["KMSKeyArn"]


async def test_a_deleted_function_is_gone_and_the_engine_is_told(api: LambdaApi) -> None:
    await api.make()
    gone = await api.call("DeleteFunction", FunctionName="hello")
    assert gone["StatusCode"] == 204
    assert api.platform.engine.changed == ["hello", "hello"]
    with pytest.raises(Refused, match="ResourceNotFoundException"):
        await api.call("GetFunction", FunctionName="hello")


async def test_latest_alone_cannot_be_deleted(api: LambdaApi) -> None:
    await api.make()
    with pytest.raises(Refused, match=r"InvalidParameterValueException 400: \$LATEST"):
        await api.call("DeleteFunction", FunctionName="hello", Qualifier="$LATEST")
    with pytest.raises(Refused, match="ResourceNotFoundException"):
        await api.call("DeleteFunction", FunctionName="hello", Qualifier="7")


async def test_a_refused_archive_leaves_no_function(api: LambdaApi) -> None:
    with pytest.raises(Refused) as caught:
        await api.make(Code={"ZipFile": b"PK but not really"})
    assert (caught.value.code, caught.value.status) == ("InvalidParameterValueException", 400)
    assert api.platform.registry.functions_nowait() == []
    assert api.platform.engine.changed == []
