"""AWS operations without a network: botocore writes the request and reads the answer.

    caller = Caller(services)
    made = await caller.call("lambda", "CreateFunction", FunctionName="f", ...)

Between the two stands `dispatch.answer`, as behind the server. Nothing is signed: the principal is
given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import botocore.model
import botocore.parsers
import botocore.serialize
from botocore.awsrequest import prepare_request_dict
from botocore.compat import HTTPHeaders
from botocore.loaders import Loader

from mayfly.api.dispatch import Services, answer
from mayfly.api.message import Headers, Principal, Request, Response
from mayfly.testing.ids import SeededIds

ACCOUNT = "000000000000"
# Botocore ships without types; what comes from it is looked at as it is.
Parsed = dict[str, Any]
BotoModel = Any


class Refused(Exception):
    """The answer was an error."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"{code} {status}: {message}")
        self.code = code
        self.status = status
        self.message = message


@lru_cache(maxsize=8)
def reference(service: str) -> BotoModel:
    """Botocore's own view of a service."""
    return botocore.model.ServiceModel(Loader().load_service_model(service, "service-2"), service)


@dataclass
class Caller:
    """Calls operations of the services that it is given."""

    services: Services
    ids: SeededIds = field(default_factory=SeededIds)

    async def call(self, service: str, operation: str, **members: object) -> Parsed:
        """An operation's result, as a client sees it.

        Raises:
            Refused: The answer was an error.
        """
        model = reference(service).operation_model(operation)
        response = await answer(self._request(service, model, members), self.services)
        return self._parse(response, service, model)

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        query: str = "",
        service: str = "lambda",
        headers: Mapping[str, str] | None = None,
        caller: Principal | None = None,
    ) -> Response:
        """The answer to a request that no client would send."""
        pairs = [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]
        caller = caller or principal(service)
        request = Request(method, path, query, Headers(pairs), body, caller, self.ids.uuid())
        return await answer(request, self.services)

    def _request(self, service: str, model: BotoModel, members: Mapping[str, object]) -> Request:
        protocol = model.service_model.metadata["protocol"]
        serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
        sent = serializer.serialize_to_request(dict(members), model)
        prepare_request_dict(sent, "http://127.0.0.1:9000")
        url = urlsplit(sent["url"])
        body = sent["body"]
        pairs = [(k.lower().encode(), str(v).encode("latin-1")) for k, v in sent["headers"].items()]
        return Request(
            method=sent["method"],
            raw_path=url.path,
            query_string=url.query,
            headers=Headers(pairs),
            body=urlencode(body).encode() if isinstance(body, dict) else body,
            principal=principal(service),
            request_id=self.ids.uuid(),
        )

    def _parse(self, response: Response, service: str, model: BotoModel) -> Parsed:
        headers = HTTPHeaders()
        for key, value in response.headers:
            headers[key.decode()] = value.decode("latin-1")
        received: Parsed = {
            "status_code": response.status,
            "headers": headers,
            "body": response.body,
        }
        shape = model.output_shape
        payload = shape.serialization.get("payload") if shape else None
        ok = response.status < 300
        if ok and payload and shape.members[payload].type_name == "blob":
            received["body"] = _Blob(response.body)
        protocol = reference(service).metadata["protocol"]
        parsed: Parsed = botocore.parsers.create_parser(protocol).parse(received, shape)
        if not ok:
            error = parsed["Error"]
            raise Refused(error["Code"], response.status, error["Message"])
        return {k: v.body if isinstance(v, _Blob) else v for k, v in parsed.items()}


@dataclass
class _Blob:
    """Stands for a streamed body while botocore looks at everything else."""

    body: bytes


def principal(service: str) -> Principal:
    """The owner, calling this service."""
    return Principal("AKIATEST", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", service, "us-east-1")
