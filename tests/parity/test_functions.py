"""The life of a function through an unmodified boto3: made, read, listed, changed, removed."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, Functions, refusal
from tests.support.platform import ROLE, RUNTIME, fetch, zipped

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def test_a_created_function_is_described_as_lambda_describes_it(functions: Functions) -> None:
    archive = zipped({"app.py": ECHO})
    name = functions.platform.new_name()
    made = functions.client.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": archive},
        Description="says it back",
        Timeout=7,
        MemorySize=256,
        Environment={"Variables": {"SIZE": "200"}},
    )
    functions.client.delete_function(FunctionName=name)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionName"] == name
    assert made["FunctionArn"] == ARN + name
    assert made["Runtime"] == RUNTIME
    assert made["Role"] == ROLE
    assert made["Handler"] == "app.handler"
    assert made["Description"] == "says it back"
    assert made["Timeout"] == 7
    assert made["MemorySize"] == 256
    assert made["Environment"] == {"Variables": {"SIZE": "200"}}
    assert made["CodeSize"] == len(archive)
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(archive).digest()).decode()
    assert made["Version"] == "$LATEST"
    assert made["PackageType"] == "Zip"
    assert re.fullmatch(r"[0-9a-f-]{36}", made["RevisionId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", made["LastModified"])


def test_what_is_not_said_has_lambdas_defaults(functions: Functions) -> None:
    name = functions.platform.new_name()
    functions.client.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zipped({"app.py": ECHO})},
    )
    found = functions.client.get_function_configuration(FunctionName=name)
    functions.client.delete_function(FunctionName=name)
    assert found["Timeout"] == 3
    assert found["MemorySize"] == 128
    assert found["EphemeralStorage"] == {"Size": 512}
    assert found["Architectures"]
    assert found["TracingConfig"] == {"Mode": "PassThrough"}


def test_a_function_is_active_when_the_waiter_says_so(functions: Functions) -> None:
    name = functions.make()
    found = functions.client.get_function_configuration(FunctionName=name)
    assert found["State"] == "Active"
    assert found["LastUpdateStatus"] == "Successful"


def test_get_function_tells_where_the_code_can_be_fetched(functions: Functions) -> None:
    name = functions.make()
    found = functions.client.get_function(FunctionName=name)
    assert found["Configuration"]["FunctionName"] == name
    assert found["Code"]["RepositoryType"] == "S3"
    archive = fetch(found["Code"]["Location"])
    assert archive.status == 200
    digest = base64.b64encode(hashlib.sha256(archive.body).digest()).decode()
    assert digest == found["Configuration"]["CodeSha256"]


@pytest.mark.parametrize(
    "form", ["{name}", "{arn}", "000000000000:function:{name}", "{arn}:$LATEST"]
)
def test_a_function_is_found_by_name_partial_arn_and_arn(functions: Functions, form: str) -> None:
    name = functions.make()
    asked = form.format(name=name, arn=ARN + name)
    found = functions.client.get_function_configuration(FunctionName=asked)
    assert found["FunctionName"] == name


def test_listing_goes_through_all_functions_page_by_page(functions: Functions) -> None:
    names = {functions.make() for _ in range(5)}
    paginator = functions.client.get_paginator("list_functions")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["Functions"]) <= 2 for page in pages)
    listed = [one["FunctionName"] for page in pages for one in page["Functions"]]
    assert len(listed) == len(set(listed))
    assert names <= set(listed)


def test_a_name_that_is_taken_is_a_conflict(functions: Functions) -> None:
    name = functions.make()
    with pytest.raises(ClientError) as caught:
        functions.make(name=name)
    code, status, message = refusal(caught.value)
    assert (code, status) == ("ResourceConflictException", 409)
    assert message == f"Function already exist: {name}"


@pytest.mark.parametrize(
    "operation",
    [
        "get_function",
        "get_function_configuration",
        "delete_function",
        "invoke",
        "get_function_url_config",
    ],
)
def test_a_function_that_is_not_there_is_not_found(functions: Functions, operation: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(functions.client, operation)(FunctionName="nowhere")
    code, status, _ = refusal(caught.value)
    assert (code, status) == ("ResourceNotFoundException", 404)


def test_the_message_for_a_missing_function_names_its_arn(functions: Functions) -> None:
    with pytest.raises(ClientError) as caught:
        functions.client.get_function(FunctionName="nowhere")
    assert refusal(caught.value)[2] == f"Function not found: {ARN}nowhere"


def test_a_deleted_function_is_gone(functions: Functions) -> None:
    name = functions.make()
    gone = functions.client.delete_function(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] in (200, 204)
    with pytest.raises(functions.client.exceptions.ResourceNotFoundException):
        functions.call(name)


def test_new_code_answers_the_next_call(functions: Functions) -> None:
    name = functions.make("def handler(event, context):\n    return 1\n")
    assert functions.call(name).value == 1
    changed = functions.client.update_function_code(
        FunctionName=name,
        ZipFile=zipped({"app.py": "def handler(event, context):\n    return 2\n"}),
    )
    functions.updated(name)
    assert functions.call(name).value == 2
    assert changed["FunctionName"] == name


def test_a_dry_run_of_new_code_changes_nothing(functions: Functions) -> None:
    name = functions.make("def handler(event, context):\n    return 1\n")
    functions.client.update_function_code(
        FunctionName=name,
        ZipFile=zipped({"app.py": "def handler(event, context):\n    return 2\n"}),
        DryRun=True,
    )
    assert functions.call(name).value == 1


def test_a_change_of_settings_keeps_the_others(functions: Functions) -> None:
    name = functions.make(MemorySize=256, Description="first")
    functions.client.update_function_configuration(FunctionName=name, Timeout=20)
    functions.updated(name)
    found = functions.client.get_function_configuration(FunctionName=name)
    assert (found["Timeout"], found["MemorySize"], found["Description"]) == (20, 256, "first")


def test_a_change_of_the_environment_reaches_the_import(functions: Functions) -> None:
    source = """
        import os
        SEEN = os.environ["COLOUR"]
        def handler(event, context):
            return SEEN
    """
    name = functions.make(source, Environment={"Variables": {"COLOUR": "red"}})
    assert functions.call(name).value == "red"
    functions.client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}}
    )
    functions.updated(name)
    assert functions.call(name).value == "blue"


def test_every_change_has_a_new_revision_and_a_stale_one_is_refused(functions: Functions) -> None:
    name = functions.make()
    first = functions.client.get_function_configuration(FunctionName=name)["RevisionId"]
    functions.client.update_function_configuration(FunctionName=name, Timeout=20, RevisionId=first)
    functions.updated(name)
    second = functions.client.get_function_configuration(FunctionName=name)["RevisionId"]
    assert second != first
    with pytest.raises(ClientError) as caught:
        functions.client.update_function_configuration(
            FunctionName=name, Timeout=30, RevisionId=first
        )
    code, status, _ = refusal(caught.value)
    assert (code, status) == ("PreconditionFailedException", 412)


def test_tags_are_added_listed_and_removed(functions: Functions) -> None:
    name = functions.make(Tags={"team": "blue"})
    arn = ARN + name
    functions.client.tag_resource(Resource=arn, Tags={"stage": "test"})
    assert functions.client.list_tags(Resource=arn)["Tags"] == {"team": "blue", "stage": "test"}
    functions.client.untag_resource(Resource=arn, TagKeys=["team"])
    assert functions.client.list_tags(Resource=arn)["Tags"] == {"stage": "test"}
    assert functions.client.get_function(FunctionName=name)["Tags"] == {"stage": "test"}


def test_tagging_changes_nothing_in_what_runs(functions: Functions) -> None:
    name = functions.make("import time\nBORN = time.time()\ndef handler(e, c):\n    return BORN\n")
    before = functions.call(name).value
    functions.client.tag_resource(Resource=ARN + name, Tags={"a": "b"})
    assert functions.call(name).value == before
