"""Every protocol, both ways, against botocore: its serialiser's requests are read as they were
meant, and its parsers read our answers as they were given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import botocore.model
import botocore.parsers
import botocore.serialize
import pytest
from botocore.awsrequest import prepare_request_dict
from botocore.compat import HTTPHeaders
from botocore.loaders import Loader
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mayfly.api.message import Headers, Response
from mayfly.api.wire.form import parse_form
from mayfly.api.wire.match import match_operation
from mayfly.api.wire.model import service_model
from mayfly.api.wire.parse import parse_request
from mayfly.api.wire.serialise import serialise

OPERATIONS = {
    "lambda": [
        "CreateFunction",
        "Invoke",
        "ListFunctions",
        "UpdateFunctionConfiguration",
        "TagResource",
        "UntagResource",
        "CreateEventSourceMapping",
        "CreateFunctionUrlConfig",
        "GetFunction",
        "GetLayerVersionByArn",
        "ListProvisionedConcurrencyConfigs",
        "PutFunctionEventInvokeConfig",
        "DeleteFunction",
        "ListTags",
    ],
    "s3": [
        "PutObject",
        "GetObject",
        "HeadObject",
        "CopyObject",
        "ListObjectsV2",
        "ListBuckets",
        "CreateBucket",
        "DeleteObjects",
        "PutBucketLifecycleConfiguration",
        "GetBucketLifecycleConfiguration",
        "PutBucketNotificationConfiguration",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "ListParts",
        "PutObjectTagging",
        "GetObjectAttributes",
        "PutBucketCors",
        "PutBucketAcl",
        "ListObjectVersions",
    ],
    "dynamodb": ["PutItem", "GetItem", "Query", "BatchWriteItem", "CreateTable", "UpdateItem"],
    "sqs": ["CreateQueue", "SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage"],
    "sts": ["AssumeRole", "GetCallerIdentity", "AssumeRoleWithWebIdentity", "GetSessionToken"],
    "iam": ["CreateRole", "ListRoles", "TagRole", "GetAccountSummary", "SimulateCustomPolicy"],
    "logs": ["PutLogEvents", "FilterLogEvents", "GetLogEvents", "CreateLogGroup", "TagLogGroup"],
}
ALL = [(service, name) for service, names in OPERATIONS.items() for name in names]
ONCE = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@lru_cache(maxsize=8)
def reference(service: str) -> BotoShape:
    """Botocore's own view of a service."""
    return botocore.model.ServiceModel(Loader().load_service_model(service, "service-2"), service)


# Botocore ships without types; what comes from it is looked at as it is.
BotoShape = Any
Value = Any
# Members whose type botocore changes on the client's side.
CLIENT_SIDE = {"Expires", "ExpiresString"}
PLAIN = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])
TEXT = st.text(PLAIN, min_size=1, max_size=12)
# What HTTP carries in a header, no matter who trims it.
HEADER_TEXT = st.text("abcXYZ019-_.:/'\"=", min_size=1, max_size=12)
SECONDS = st.integers(0, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
MICROSECONDS = st.builds(
    lambda second, micro: second.replace(microsecond=micro), SECONDS, st.integers(0, 999_999)
)


SCALARS: dict[str, st.SearchStrategy[Value]] = {
    "character": TEXT,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "blob": st.binary(max_size=20),
}


def values(shape: BotoShape, *, place: str = "", depth: int = 0) -> st.SearchStrategy[Value]:
    """Anything that fits a shape; constraints are left to the validation's own tests."""
    found: st.SearchStrategy[Value]
    match shape.type_name:
        case "structure":
            found = structures(shape, depth=depth)
        case "list":
            elements = values(shape.member, place=place, depth=depth + 1)
            found = st.lists(elements, min_size=1, max_size=2)
        case "map":
            keys = st.text("abcxyz", min_size=1, max_size=5) if place else TEXT
            elements = values(shape.value, place=place, depth=depth + 1)
            found = st.dictionaries(keys, elements, min_size=1, max_size=2)
        case "string":
            plain_text = HEADER_TEXT if place.startswith("header") else TEXT
            found = st.sampled_from(shape.enum) if shape.enum else plain_text
        case "timestamp":
            style = shape.serialization.get("timestampFormat", "")
            coarse = place.startswith("header") or style == "rfc822"
            found = SECONDS if coarse else MICROSECONDS
        case scalar:
            found = SCALARS[scalar]
    return found


def structures(shape: BotoShape, *, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    required, optional = {}, {}
    for name, member in shape.members.items():
        if member.serialization.get("eventstream") or depth > 4 or name in CLIENT_SIDE:
            continue
        place = member.serialization.get("location", "")
        strategy = values(member, place=place, depth=depth + 1)
        if name in shape.required_members or place == "uri":
            required[name] = strategy
        else:
            optional[name] = strategy
    if shape.is_tagged_union:
        every = {**required, **optional}
        assert every
        return st.one_of([st.fixed_dictionaries({k: v}) for k, v in every.items()])
    return st.fixed_dictionaries(required, optional=optional)


def requests(service: str, name: str) -> st.SearchStrategy[dict[str, Any]]:
    shape = reference(service).operation_model(name).input_shape
    return structures(shape) if shape else st.just({})


@ONCE
@pytest.mark.parametrize(("service", "name"), ALL)
@given(data=st.data())
def test_what_botocore_sends_is_read_as_it_was_meant(
    service: str, name: str, data: st.DataObject
) -> None:
    given_params = data.draw(requests(service, name))
    model = service_model(service)
    operation = reference(service).operation_model(name)
    serializer = botocore.serialize.create_serializer(model.protocol, include_validation=False)
    sent = serializer.serialize_to_request(given_params, operation)
    prepare_request_dict(sent, "http://127.0.0.1:9000")
    url = urlsplit(sent["url"])
    query = parse_form(url.query)
    body = sent["body"]
    form = parse_form(urlencode(body)) if isinstance(body, dict) else []
    raw_headers = [
        (key.encode(), str(value).encode("latin-1", "replace"))
        for key, value in sent["headers"].items()
    ]
    headers = Headers(raw_headers)
    found = match_operation(
        model,
        method=sent["method"],
        raw_path=url.path,
        query=query,
        headers=frozenset(key for key, _ in headers.items()),
        target=headers.get("x-amz-target"),
        form=form,
    )
    assert found is not None, sent["url"]
    matched, labels = found
    assume(matched.name == name or not ambiguous(service, name))
    assert matched.name == name
    parsed = parse_request(
        model,
        matched,
        labels=labels,
        query=query,
        headers=headers,
        body=body if isinstance(body, bytes) else b"",
        form=form,
    )
    payload = matched.input.payload if matched.input else ""
    if parsed.get(payload) == b"" and payload not in given_params:
        del parsed[payload]
    formless = model.protocol == "query"
    assert plain(parsed, drop_empty=formless) == plain(given_params, drop_empty=formless)


def ambiguous(service: str, name: str) -> bool:
    """Operations that S3 tells apart by a member that is optional in the model."""
    return service == "s3" and name in {"ListParts", "GetObject"}


@ONCE
@pytest.mark.parametrize(("service", "name"), ALL)
@given(data=st.data())
def test_what_we_answer_is_read_by_botocore_as_it_was_given(
    service: str, name: str, data: st.DataObject
) -> None:
    model = service_model(service)
    operation = reference(service).operation_model(name)
    shape = operation.output_shape
    result = data.draw(structures(shape)) if shape else {}
    if shape and "StatusCode" in shape.members:
        result["StatusCode"] = 200
    response = serialise(model, model.operations[name], result, "the-request-id")
    parsed = read(model.protocol, response, shape)
    metadata = parsed.pop("ResponseMetadata")
    assert metadata["RequestId"] == "the-request-id"
    payload = cast("str", shape.serialization.get("payload", "")) if shape else ""
    if parsed.get(payload) in (b"", {}) and payload not in result:
        del parsed[payload]
    if parsed.get("Metadata") == {}:
        del parsed["Metadata"]
    assert plain(parsed) == plain(result)


def read(protocol: str, response: Response, shape: BotoShape) -> dict[str, Any]:
    """What botocore's parser makes of an answer."""
    headers = HTTPHeaders()
    for key, value in response.headers:
        headers[key.decode()] = value.decode("latin-1")
    received = {"status_code": response.status, "headers": headers, "body": response.body}
    if shape and shape.serialization.get("payload"):
        member = shape.members[shape.serialization["payload"]]
        if member.type_name == "blob":
            received["body"] = Streamed(response.body)
    parsed: dict[str, Any] = botocore.parsers.create_parser(protocol).parse(received, shape)
    return {
        key: value.read() if isinstance(value, Streamed) else value for key, value in parsed.items()
    }


class Streamed:
    """What botocore gives back for a streaming body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self) -> bytes:
        return self._body

    def __iter__(self) -> Iterator[bytes]:
        return iter([self._body])


def plain(value: Value, *, drop_empty: bool = False) -> Value:
    """A value with times as numbers, and without what a form cannot carry: empty structures."""
    if isinstance(value, dict):
        pairs = {key: plain(one, drop_empty=drop_empty) for key, one in value.items()}
        return {key: one for key, one in pairs.items() if not drop_empty or one not in ({}, [])}
    if isinstance(value, list):
        items = [plain(one, drop_empty=drop_empty) for one in value]
        return [one for one in items if not drop_empty or one not in ({}, [])]
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    return value


@pytest.mark.parametrize("service", ["lambda", "s3"])
def test_every_operation_s_own_request_line_leads_to_it(service: str) -> None:
    model = service_model(service)
    for operation in model.operations.values():
        path, _, literal = operation.request_uri.partition("?")
        for name in operation.input.members if operation.input else ():
            path = path.replace(f"{{{name}}}", "x").replace(f"{{{name}+}}", "x/y")
        query = parse_form(literal)
        headers = set()
        for name in operation.input.required if operation.input else ():
            assert operation.input
            member = operation.input.members[name]
            if member.location == "querystring":
                query.append((member.wire_name, "x"))
            elif member.location == "header":
                headers.add(member.wire_name.lower())
        found = match_operation(
            model,
            method=operation.method,
            raw_path=path,
            query=query,
            headers=frozenset(headers),
            target="",
            form=[],
        )
        assert found is not None
        same = (found[0].method, found[0].request_uri) == (operation.method, operation.request_uri)
        assert (
            found[0].name == operation.name
            or (same and operation.deprecated)
            or twins(operation.name, found[0].name)
        )


def twins(one: str, other: str) -> bool:
    """Operations that the model gives the same request line, told apart by the host."""
    return {one, other} == {"ListBuckets", "ListDirectoryBuckets"}
