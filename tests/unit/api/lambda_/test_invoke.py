"""Invoke, by the short-cut and by the operation: two ways that say the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mayfly.api.lambda_.invoke import invoke_fast
from mayfly.api.message import Headers, Principal, Response
from mayfly.model.errors import MayflyError, StorageFailed, TooManyRequests
from mayfly.model.grant import Grant, GrantKind
from mayfly.model.invocation import ErrorKind, Outcome
from tests.support.aws_call import principal
from tests.support.lambda_api import LambdaApi

ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"
MAX = 6_291_556
IGNORED = frozenset({b"content-type", b"x-amzn-requestid"})


@dataclass
class BothWays:
    """Sends each invoke both ways, sees that they agree, and gives back the short-cut's answer."""

    api: LambdaApi
    principal: Principal = field(default_factory=lambda: principal("lambda"))

    async def __call__(
        self,
        body: bytes = b"{}",
        *,
        name: str = "hello",
        qualifier: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        given = headers or {}
        pairs = [(k.lower().encode(), v.encode("latin-1")) for k, v in given.items()]
        fast = await invoke_fast(
            self.api.platform,
            name=name,
            qualifier=qualifier,
            headers=Headers(pairs),
            body=body,
            request_id="the-request-id",
            principal=self.principal,
        )
        slow = await self.api.caller.raw(
            "POST",
            f"/2015-03-31/functions/{name}/invocations",
            query=f"Qualifier={qualifier}" if qualifier else "",
            body=body,
            headers=given,
            caller=self.principal,
        )
        assert (fast.status, fast.body) == (slow.status, slow.body)
        assert _told(fast) == _told(slow)
        assert (b"x-amzn-requestid", b"the-request-id") in fast.headers
        return fast


def _told(response: Response) -> set[tuple[bytes, bytes]]:
    return {pair for pair in response.headers if pair[0] not in IGNORED}


@pytest.fixture
async def invoke(api: LambdaApi) -> BothWays:
    await api.make()
    return BothWays(api)


def code_of(response: Response) -> str:
    return dict(response.headers)[b"x-amzn-errortype"].decode()


def message_of(response: Response) -> str:
    document = json.loads(response.body)
    return str(document.get("message") or document.get("Message"))


async def test_an_answer_comes_with_its_version(invoke: BothWays) -> None:
    response = await invoke(b'{"a": 1}')
    assert (response.status, response.body) == (200, b'{"a": 1}')
    assert _told(response) == {(b"x-amz-executed-version", b"$LATEST")}
    assert (b"content-type", b"application/json") in response.headers


async def test_no_payload_is_an_empty_object(invoke: BothWays) -> None:
    assert (await invoke(b"")).body == b"{}"


async def test_a_function_s_failure_is_an_answer_with_a_header(invoke: BothWays) -> None:
    invoke.api.platform.engine.outcome = Outcome(
        b'{"errorType":"KeyError"}', ErrorKind.UNHANDLED, "KeyError", "$LATEST", b"", 1.0
    )
    response = await invoke()
    assert response.status == 200
    assert (b"x-amz-function-error", b"Unhandled") in response.headers


async def test_the_end_of_the_log_comes_when_it_is_asked_for(invoke: BothWays) -> None:
    response = await invoke(headers={"X-Amz-Log-Type": "Tail"})
    assert (b"x-amz-log-result", base64.b64encode(b"END\n")) in response.headers
    assert b"x-amz-log-result" not in dict((await invoke()).headers)


async def test_an_event_is_kept_before_it_is_acknowledged(invoke: BothWays) -> None:
    response = await invoke(b'{"n": 1}', headers={"X-Amz-Invocation-Type": "Event"})
    assert (response.status, response.body) == (202, b"")
    event = invoke.api.platform.engine.events[0]
    assert event.event_id == "the-request-id"
    assert (event.function_name, event.qualifier) == ("hello", "$LATEST")
    assert event.payload == b'{"n": 1}'
    assert invoke.api.platform.engine.calls == []


async def test_an_event_that_could_not_be_kept_is_not_acknowledged(invoke: BothWays) -> None:
    invoke.api.platform.engine.error = StorageFailed(site="BACKLOG:COMMIT", errno=28)
    response = await invoke(headers={"X-Amz-Invocation-Type": "Event"})
    assert response.status == 500


async def test_a_dry_run_calls_nothing(invoke: BothWays) -> None:
    response = await invoke(headers={"X-Amz-Invocation-Type": "DryRun"})
    assert (response.status, response.body) == (204, b"")
    assert invoke.api.platform.engine.calls == []


@pytest.mark.parametrize(
    ("name", "qualifier", "arn"),
    [
        ("hello", "", ARN),
        ("hello", "$LATEST", f"{ARN}:$LATEST"),
        (ARN, "", ARN),
        (f"{ARN}:$LATEST", "", f"{ARN}:$LATEST"),
        ("000000000000:function:hello", "", ARN),
        (f"{ARN}:$LATEST", "$LATEST", f"{ARN}:$LATEST"),
    ],
)
async def test_the_arn_is_told_as_the_caller_wrote_it(
    invoke: BothWays, name: str, qualifier: str, arn: str
) -> None:
    assert (await invoke(name=name, qualifier=qualifier)).status == 200
    assert {one.invoked_arn for one in invoke.api.platform.engine.calls} == {arn}


@pytest.mark.parametrize("qualifier", ["7", "blue"])
async def test_a_version_that_is_not_there_is_not_found(invoke: BothWays, qualifier: str) -> None:
    response = await invoke(qualifier=qualifier)
    assert (response.status, code_of(response)) == (404, "ResourceNotFoundException")
    assert message_of(response) == f"Function not found: {ARN}:{qualifier}"


async def test_two_qualifiers_that_differ_are_refused(invoke: BothWays) -> None:
    response = await invoke(name=f"{ARN}:blue", qualifier="green")
    assert code_of(response) == "InvalidParameterValueException"


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"X-Amz-Invocation-Type": "Later"}, "'Later' at 'invocationType'"),
        ({"X-Amz-Log-Type": "Head"}, "'Head' at 'logType'"),
    ],
)
async def test_a_header_that_is_none_of_lambda_s_is_a_validation_error(
    invoke: BothWays, headers: dict[str, str], place: str
) -> None:
    response = await invoke(headers=headers)
    assert (response.status, code_of(response)) == (400, "ValidationException")
    assert place in message_of(response)


@pytest.mark.parametrize("name", ["a b", "..", "x" * 65, "x" * 300, "ä"])
async def test_a_name_that_is_none_is_refused(api: LambdaApi, name: str) -> None:
    response = await invoke_fast(
        api.platform,
        name=name,
        qualifier="",
        headers=Headers(),
        body=b"",
        request_id="r",
        principal=principal("lambda"),
    )
    assert response.status in (400, 404)


@pytest.mark.parametrize(
    "payload",
    [b"{", b"nope", b"\xff\xfe", b'\xff\xfe"\x00a\x00"\x00', b'{"a":1}}', b"'a'", b"NaN",
     b"[NaN]", b"[" * 200_000, b'"\xc3"', b'"\x01"', b"1 2"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
async def test_a_payload_that_is_no_json_is_refused(
    invoke: BothWays, payload: bytes, kind: str
) -> None:
    response = await invoke(payload, headers={"X-Amz-Invocation-Type": kind})
    assert (response.status, code_of(response)) == (400, "InvalidRequestContentException")
    assert message_of(response).startswith("Could not parse request body into json: ")
    assert invoke.api.platform.engine.calls == []
    assert invoke.api.platform.engine.events == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(JSON, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
async def test_every_json_value_goes_through_untouched(
    invoke: BothWays, value: object, escaped: bool
) -> None:
    payload = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert (await invoke(payload)).body == payload


async def test_a_lone_surrogate_that_python_reads_is_let_through(invoke: BothWays) -> None:
    assert (await invoke(b'"\\ud800"')).status == 200


async def test_payloads_have_their_bounds(invoke: BothWays) -> None:
    assert (await invoke(b'"' + b"x" * (MAX - 2) + b'"')).status == 200
    response = await invoke(b'"' + b"x" * (MAX - 1) + b'"')
    assert (response.status, code_of(response)) == (413, "RequestTooLargeException")
    assert str(MAX) in message_of(response)
    event = {"X-Amz-Invocation-Type": "Event"}
    assert (await invoke(b'"' + b"x" * (2**20 - 2) + b'"', headers=event)).status == 202
    response = await invoke(b'"' + b"x" * (2**20 - 1) + b'"', headers=event)
    assert (response.status, code_of(response)) == (413, "RequestTooLargeException")


async def test_the_client_context_reaches_the_call_decoded(invoke: BothWays) -> None:
    context = json.dumps({"custom": {"who": "grüße"}})
    header = base64.b64encode(context.encode()).decode()
    await invoke(headers={"X-Amz-Client-Context": header, "X-Amzn-Trace-Id": "Root=1-2-3"})
    call = invoke.api.platform.engine.calls[0]
    assert call.client_context == context
    assert call.trace_id == "Root=1-2-3"


@pytest.mark.parametrize("context", ["%", "e30", "W10=", "bm9wZQ==", "/w==", "e30=" * 1_000])
async def test_a_client_context_that_is_none_is_refused(invoke: BothWays, context: str) -> None:
    response = await invoke(headers={"X-Amz-Client-Context": context})
    assert (response.status, code_of(response)) == (400, "InvalidRequestContentException")


async def test_a_throttle_tells_its_reason(invoke: BothWays) -> None:
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    invoke.api.platform.engine.error = TooManyRequests("Rate Exceeded.", reason=reason)
    response = await invoke()
    assert (response.status, code_of(response)) == (429, "TooManyRequestsException")
    assert json.loads(response.body)["Reason"] == reason


async def test_a_failure_of_the_platform_is_a_500_of_ours(invoke: BothWays) -> None:
    invoke.api.platform.engine.error = MayflyError("the isolate could not be made")
    response = await invoke()
    assert (response.status, code_of(response)) == (500, "ServiceException")


async def test_a_tenant_is_not_left_out_silently(invoke: BothWays) -> None:
    response = await invoke(headers={"X-Amz-Tenant-Id": "blue"})
    assert (response.status, code_of(response)) == (501, "NotImplemented")


@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
@pytest.mark.parametrize("name", ["other", "000000000000:function:other", "nowhere"])
async def test_a_function_calls_what_it_was_granted_and_nothing_else(
    invoke: BothWays, kind: str, name: str
) -> None:
    await invoke.api.make("other")
    grants = (Grant(GrantKind.INVOKE, "hello"),)
    invoke.principal = replace(invoke.principal, function_name="f", grants=grants)
    headers = {"X-Amz-Invocation-Type": kind}
    assert (await invoke(headers=headers)).status < 300
    refused = await invoke(name=name, headers=headers)
    assert (refused.status, code_of(refused)) == (403, "AccessDeniedException")
    assert 'invoke = ["' in message_of(refused)


async def test_a_signature_for_another_service_calls_nothing(api: LambdaApi) -> None:
    await api.make()
    response = await invoke_fast(
        api.platform,
        name="hello",
        qualifier="",
        headers=Headers(),
        body=b"{}",
        request_id="r",
        principal=principal("s3"),
    )
    assert (response.status, code_of(response)) == (403, "InvalidSignatureException")
    assert not api.platform.engine.calls


async def test_an_event_keeps_its_trace_and_its_version(invoke: BothWays) -> None:
    headers = {"X-Amz-Invocation-Type": "Event", "X-Amzn-Trace-Id": "Root=1-a"}
    await invoke(headers=headers)
    event = invoke.api.platform.engine.events[0]
    assert (event.trace_id, event.qualifier, event.source) == ("Root=1-a", "$LATEST", "invoke")
