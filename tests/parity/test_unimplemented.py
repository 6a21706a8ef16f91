"""Every operation of Lambda's model that is not there says so by name."""

from __future__ import annotations

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from tests.support.functions import refusal
from tests.support.platform import Platform

IMPLEMENTED = {
    "CreateFunction",
    "GetFunction",
    "GetFunctionConfiguration",
    "ListFunctions",
    "UpdateFunctionCode",
    "UpdateFunctionConfiguration",
    "DeleteFunction",
    "Invoke",
    "PutFunctionConcurrency",
    "GetFunctionConcurrency",
    "DeleteFunctionConcurrency",
    "CreateFunctionUrlConfig",
    "GetFunctionUrlConfig",
    "UpdateFunctionUrlConfig",
    "ListFunctionUrlConfigs",
    "DeleteFunctionUrlConfig",
    "TagResource",
    "UntagResource",
    "ListTags",
    "PutFunctionEventInvokeConfig",
    "UpdateFunctionEventInvokeConfig",
    "GetFunctionEventInvokeConfig",
    "ListFunctionEventInvokeConfigs",
    "DeleteFunctionEventInvokeConfig",
    "CreateEventSourceMapping",
    "GetEventSourceMapping",
    "ListEventSourceMappings",
    "UpdateEventSourceMapping",
    "DeleteEventSourceMapping",
}

MODEL = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
OPERATIONS = [str(name) for name in MODEL.operation_names]


def example(shape: Shape, depth: int = 0) -> object:
    """A value that satisfies a shape of the model, required members only."""
    if shape.type_name == "structure":
        required = shape.required_members if depth < 6 else []
        return {name: example(shape.members[name], depth + 1) for name in required}
    if shape.type_name == "list":
        return [example(shape.member, depth + 1)]
    least = max(1, int(shape.metadata.get("min", 1)))
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x" * least
    plain = {"map": {}, "boolean": False, "blob": b"{}", "timestamp": 0, "double": 1.0}
    return plain.get(shape.type_name, least)


def test_the_model_has_what_we_say_that_we_have() -> None:
    assert set(OPERATIONS) >= IMPLEMENTED


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one not in IMPLEMENTED])
def test_an_operation_that_is_not_there_is_named(platform: Platform, operation: str) -> None:
    shape = MODEL.operation_model(operation).input_shape
    members = example(shape) if shape is not None else {}
    assert isinstance(members, dict)
    client = platform.client("lambda")
    with pytest.raises(ClientError) as caught:
        getattr(client, xform_name(operation))(**members)
    code, status, message = refusal(caught.value)
    assert "NotImplemented" in code
    assert operation in message
    assert status == 501
