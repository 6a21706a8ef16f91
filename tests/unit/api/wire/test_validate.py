"""Constraints of the model, said in AWS's words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mayfly.api.refusals import ValidationFailed
from mayfly.api.wire.model import service_model
from mayfly.api.wire.params import Params
from mayfly.api.wire.validate import validate


def message(operation: str, members: Mapping[str, object], service: str = "lambda") -> str:
    """What the validation says of what is not allowed."""
    shape = service_model(service).operations[operation].input
    with pytest.raises(ValidationFailed) as caught:
        validate(service, shape, members)
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    return caught.value.message


def passes(operation: str, members: Mapping[str, object]) -> None:
    validate("lambda", service_model("lambda").operations[operation].input, members)


ROLE = "arn:aws:iam::000000000000:role/r"
GOOD: dict[str, object] = {
    "FunctionName": "f",
    "Role": ROLE,
    "Code": Params(ZipFile=b"x"),
    "Handler": "a.b",
}


def test_what_is_allowed_passes() -> None:
    passes("CreateFunction", GOOD)


def test_a_broken_pattern_is_quoted_with_its_place() -> None:
    said = message("CreateFunction", {**GOOD, "FunctionName": "../up"})
    assert said.startswith(
        "1 validation error detected: Value '../up' at 'functionName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: (arn:"
    )


def test_what_is_missing_is_null_and_all_of_it_is_named() -> None:
    assert message("CreateFunction", {"FunctionName": "f"}) == (
        "2 validation errors detected: "
        "Value null at 'role' failed to satisfy constraint: Member must not be null; "
        "Value null at 'code' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(
    ("member", "value", "constraint"),
    [
        (
            "Timeout",
            0,
            (
                "Value '0' at 'timeout' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1"
            ),
        ),
        (
            "MemorySize",
            1,
            (
                "Value '1' at 'memorySize' failed to satisfy constraint: "
                "Member must have value greater than or equal to 128"
            ),
        ),
        ("Description", "d" * 257, "Member must have length less than or equal to 256"),
        (
            "PackageType",
            "Rar",
            (
                "Value 'Rar' at 'packageType' failed to satisfy constraint: "
                "Member must satisfy enum value set: [Zip, Image]"
            ),
        ),
        (
            "EphemeralStorage",
            Params(Size=1),
            (
                "Value '1' at 'ephemeralStorage.size' failed to "
                "satisfy constraint: Member must have value greater than or equal to 512"
            ),
        ),
        (
            "Layers",
            ["nope"],
            (
                "Value '[nope]' at 'layers' failed to satisfy constraint: "
                "Member must satisfy constraint: [Member must have length less than or equal to"
            ),
        ),
        (
            "Architectures",
            [],
            (
                "Value '[]' at 'architectures' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            ),
        ),
        (
            "EphemeralStorage",
            Params(),
            (
                "Value null at 'ephemeralStorage.size' failed to satisfy "
                "constraint: Member must not be null"
            ),
        ),
    ],
)
def test_each_kind_of_constraint_has_its_words(member: str, value: object, constraint: str) -> None:
    assert constraint in message("CreateFunction", {**GOOD, member: value})


def test_a_sensitive_value_is_not_shown() -> None:
    environment = Params(Variables={"1BAD": "a secret"})
    said = message("CreateFunction", {**GOOD, "Environment": environment})
    assert said == (
        "1 validation error detected: Value at 'environment.variables' failed to satisfy "
        "constraint: Map keys must satisfy constraint: [Member must satisfy regular expression "
        "pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
    )


def test_a_runtime_is_what_the_machine_has_not_what_the_model_lists() -> None:
    passes("CreateFunction", {**GOOD, "Runtime": "python9.9"})


def test_elements_of_a_list_are_counted_from_one() -> None:
    keys = [Params(AttributeName="a", KeyType="HASH"), Params(AttributeName="b", KeyType="X")]
    said = message("CreateTable", {"TableName": "orders", "KeySchema": keys}, "dynamodb")
    assert "Value 'X' at 'keySchema.2.member.keyType' failed to satisfy constraint" in said


def test_tags_may_hold_letters_of_any_script() -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    passes("TagResource", {"Resource": arn, "Tags": {"größe": "大 x"}})
    bad = {"Resource": arn, "Tags": {"a\x00": "x"}}
    assert "Map keys must" in message("TagResource", bad)


def test_a_thousand_failures_make_one_short_message() -> None:
    tags = [Params(Key="", Value="x" * 10_000) for _ in range(1_000)]
    said = message("TagRole", {"RoleName": "r", "Tags": tags}, "iam")
    assert said.startswith("3001 validation errors detected: ")
    assert len(said) < 60_000
