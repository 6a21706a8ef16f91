"""Who may call: SigV4 in the header or the query, and AWS's errors for everything else."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.support.functions import Functions, refusal
from tests.support.platform import REGION, HttpAnswer, Platform, fetch

LIST = "/2015-03-31/functions/"


def _list_with(platform: Platform, access_key_id: str, secret_access_key: str) -> ClientError:
    client = boto3.client(
        "lambda",
        endpoint_url=platform.endpoint,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name=REGION,
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError) as caught:
        client.list_functions()
    client.close()
    return caught.value


def _code(answer: HttpAnswer) -> str:
    """The error's name: in the header, or in the body where there is none."""
    headers = {key.lower(): value for key, value in answer.headers.items()}
    body: Mapping[str, str] = json.loads(answer.body or b"{}")
    named = headers.get("x-amzn-errortype") or body.get("__type") or body.get("Type") or ""
    return named.split(":")[0].rpartition("#")[2]


def test_a_wrong_secret_is_refused(platform: Platform) -> None:
    code, status, message = refusal(_list_with(platform, platform.access_key_id, "wrong" * 8))
    assert (code, status) == ("InvalidSignatureException", 403)
    assert "does not match the signature you provided" in message


def test_an_unknown_key_is_refused(platform: Platform) -> None:
    code, status, message = refusal(_list_with(platform, "AKIAIOSFODNN7EXAMPLE", "x" * 40))
    assert (code, status) == ("UnrecognizedClientException", 403)
    assert "security token" in message


def test_a_request_without_a_signature_is_refused(platform: Platform) -> None:
    answer = platform.get(LIST)
    assert (answer.status, _code(answer)) == (403, "MissingAuthenticationTokenException")


def test_an_old_signature_has_expired(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    request = AWSRequest(method="GET", url=platform.endpoint + LIST)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: past)
    SigV4Auth(_key(platform), "lambda", REGION).add_auth(request)
    answer = fetch(platform.endpoint + LIST, headers=dict(request.headers.items()))
    assert answer.status == 403
    assert _code(answer) == "InvalidSignatureException"
    assert b"Signature expired: 20200101T000000Z" in answer.body


def _key(platform: Platform) -> Credentials:
    return Credentials(platform.access_key_id, platform.secret_access_key)


def test_a_presigned_request_is_taken(platform: Platform) -> None:
    request = AWSRequest(method="GET", url=platform.endpoint + LIST)
    SigV4QueryAuth(_key(platform), "lambda", REGION, expires=60).add_auth(request)
    answer = fetch(request.url)
    assert answer.status == 200
    assert "Functions" in json.loads(answer.body)


def test_a_presigned_request_is_refused_when_its_path_was_changed(platform: Platform) -> None:
    request = AWSRequest(method="GET", url=platform.endpoint + LIST)
    SigV4QueryAuth(_key(platform), "lambda", REGION, expires=60).add_auth(request)
    assert fetch(request.url.replace("functions", "layers")).status == 403


def test_a_presigned_request_expires(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=10)  # noqa: TID251
    request = AWSRequest(method="GET", url=platform.endpoint + LIST)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: past)
    SigV4QueryAuth(_key(platform), "lambda", REGION, expires=60).add_auth(request)
    assert fetch(request.url).status == 403


def test_a_body_that_was_changed_after_signing_is_refused(functions: Functions) -> None:
    platform = functions.platform
    path = f"/2015-03-31/functions/{functions.make()}/invocations"
    request = AWSRequest(method="POST", url=platform.endpoint + path, data=b'{"a": 1}')
    SigV4Auth(_key(platform), "lambda", REGION).add_auth(request)
    answer = fetch(
        platform.endpoint + path,
        data=b'{"a": 2}',
        method="POST",
        headers=dict(request.headers.items()),
    )
    assert (answer.status, _code(answer)) == (403, "InvalidSignatureException")


def test_a_signature_for_another_operation_is_refused(functions: Functions) -> None:
    platform = functions.platform
    request = AWSRequest(method="GET", url=platform.endpoint + LIST)
    SigV4Auth(_key(platform), "lambda", REGION).add_auth(request)
    answer = fetch(
        platform.endpoint + LIST + functions.make(), headers=dict(request.headers.items())
    )
    assert answer.status == 403


@pytest.mark.parametrize(
    "header",
    ["", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "Bearer x", "AWS4-HMAC-SHA256 a=b,,="],
)
def test_a_mangled_authorization_is_refused_and_not_a_failure(
    platform: Platform, header: str
) -> None:
    answer = platform.get(LIST, headers={"Authorization": header})
    assert answer.status in (400, 403)


def test_the_health_page_needs_no_signature(platform: Platform) -> None:
    answer = platform.get("/_mayfly/health")
    assert answer.status == 200
    assert json.loads(answer.body)["status"] == "ok"


def test_the_control_api_needs_one(platform: Platform) -> None:
    assert platform.get("/_mayfly/v1/functions").status == 403


def test_the_key_is_its_owners_alone(platform: Platform) -> None:
    for name in ("key.json", "endpoint.json"):
        assert (platform.data / name).stat().st_mode & 0o777 == 0o600
