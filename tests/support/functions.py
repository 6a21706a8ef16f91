"""Functions made for a test through boto3, called through boto3, and removed with the test."""

from __future__ import annotations

import base64
import contextlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import botocore.exceptions

from tests.support.platform import ROLE, RUNTIME, Platform, zipped

ECHO = "def handler(event, context):\n    return event\n"


@dataclass(frozen=True)
class Call:
    """What came back from one invoke.

    Args:
        error: The X-Amz-Function-Error header, "" when the handler returned.
        log: The decoded tail, "" when it was not asked for.
    """

    status: int
    body: bytes
    error: str
    version: str
    log: str
    request_id: str

    @property
    def value(self) -> object:
        """The answer's JSON value."""
        value: object = json.loads(self.body)
        return value

    @property
    def document(self) -> dict[str, object]:
        """The answer's JSON object; an error document, for example."""
        value = self.value
        assert isinstance(value, dict), value
        return value

    @property
    def error_type(self) -> object:
        """The error document's errorType."""
        return self.document["errorType"]

    @property
    def error_message(self) -> str:
        """The error document's errorMessage."""
        return str(self.document["errorMessage"])


class Functions:
    """Makes and calls functions on one platform, and removes what it made."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.client = platform.client("lambda")
        self._made: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._made:
            with contextlib.suppress(botocore.exceptions.ClientError):
                self.client.delete_function(FunctionName=name)

    def make(
        self, code: str | Mapping[str, str | bytes] = ECHO, *, name: str = "", **settings: object
    ) -> str:
        """Create a function and wait until it is active; its name.

        Args:
            code: The source of app.py, dedented, or all files of the archive.
            settings: CreateFunction's members, under AWS's names.
        """
        files = {"app.py": textwrap.dedent(code)} if isinstance(code, str) else code
        name = name or self.platform.new_name()
        wanted: dict[str, object] = {
            "Runtime": RUNTIME,
            "Role": ROLE,
            "Handler": "app.handler",
            "Timeout": 10,
        }
        wanted |= settings
        self.client.create_function(FunctionName=name, Code={"ZipFile": zipped(files)}, **wanted)
        self._made.append(name)
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        return name

    def call(self, name: str, event: object = None, **members: object) -> Call:
        """Invoke with a JSON event; `members` are Invoke's, under AWS's names."""
        return self.call_raw(name, json.dumps(event).encode(), **members)

    def call_raw(self, name: str, payload: bytes, **members: object) -> Call:
        """Invoke with these bytes."""
        answer = self.client.invoke(FunctionName=name, Payload=payload, **members)
        return Call(
            status=answer["StatusCode"],
            body=answer["Payload"].read(),
            error=answer.get("FunctionError", ""),
            version=answer.get("ExecutedVersion", ""),
            log=base64.b64decode(answer.get("LogResult", "")).decode(errors="replace"),
            request_id=answer["ResponseMetadata"]["RequestId"],
        )

    def updated(self, name: str) -> None:
        """Wait until an update of the function is in force."""
        self.client.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )


def refusal(error: botocore.exceptions.ClientError) -> tuple[str, int, str]:
    """The code, HTTP status and message of a refused request."""
    details = error.response["Error"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return str(details["Code"]), int(status), str(details["Message"])
