"""Detours: the same thing by another path, host, name or signature, with a key that may not.

Each detour is tried on "theirs", by a thief to whom all of "mine" was granted. What counts is that
nothing of theirs comes back and nothing changes; the straight way to "mine" works beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.config import Config

from mayfly.daemon.world import RealClock
from tests.security.permit_world import (
    ACCOUNT,
    MINE,
    OBJECT,
    REGION,
    THEIRS,
    World,
    function_arn,
    open_world,
    refusal_of,
)
from tests.support.control import ask
from tests.support.function_keys import Key, key_of, send, steal_key
from tests.support.platform import HttpAnswer

SECRET = b"secret of theirs"
SERVICES = ("s3", "dynamodb", "sqs", "lambda", "scheduler", "sts", "mayfly", "s3express", "iam")
FUNCTIONS = "/2015-03-31/functions"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened


@pytest.fixture(scope="module")
def narrow(world: World) -> Key:
    """A key that may read and write in one folder of a bucket."""
    objects = world.owner.client("s3")
    objects.create_bucket(Bucket="pics")
    for key in ("in/a.txt", "out/a.txt", "in", "inside.txt", "../in/a.txt"):
        objects.put_object(Bucket="pics", Key=key, Body=f"secret of {key}".encode())
    return steal_key(world.platform, "narrow", 'objects = ["pics/in/:read", "pics/in/:write"]')


def _hides(answer: HttpAnswer, *words: bytes) -> bool:
    return answer.status >= 400 and not any(one in answer.body for one in (SECRET, *words))


# Objects

PATHS = (
    *("/theirs/in/a.txt", "/theirs//in/a.txt", "//theirs/in/a.txt", "/./theirs/in/a.txt"),
    *("/mine/../theirs/in/a.txt", "/mine/%2e%2e/theirs/in/a.txt", "/mine/..%2ftheirs/in/a.txt"),
    *("/mine%2f..%2ftheirs/in/a.txt", "/%74heirs/in/a.txt", "/theirs%2Fin%2Fa.txt"),
    *("/theirs/in%2Fa.txt", "/THEIRS/in/a.txt", "/theirs./in/a.txt", "/theirs%00/in/a.txt"),
    *("/mine%00theirs/in/a.txt", "/theirs%20/in/a.txt", "/theirs/in/a.txt?versionId=null"),
    *("/theirs/in/a.txt?partNumber=1", "/theirs/in/a.txt?response-content-type=a"),
    *("/theirs/in/a.txt?x-id=GetObject", "/theirs/in/a.txt?acl", "/theirs?list-type=2"),
    *("/%EF%BD%94heirs/in/a.txt", "/theirs%E2%80%8B/in/a.txt"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_no_spelling_of_a_path_leads_to_another_bucket(
    world: World, path: str, method: str
) -> None:
    before = world.digest()
    answer = world.thief.ask("s3", method, path)
    assert SECRET not in answer.body
    if path.startswith("/mine/"):
        # A key of "mine" may hold dots and slashes.
        assert answer.status in (200, 204, 404)
        assert world.owner.ask("s3", "GET", f"/theirs/{OBJECT}").body == SECRET
        return
    assert answer.status in (400, 403, 404, 501)
    assert world.digest() == before


def test_the_straight_path_works(world: World) -> None:
    assert world.thief.ask("s3", "GET", f"/mine/{OBJECT}").body == b"secret of mine"
    assert world.owner.ask("s3", "GET", f"/theirs/{OBJECT}").body == SECRET


@pytest.mark.parametrize("host", ["theirs.localhost", "theirs.s3.amazonaws.com", "theirs.s3.local"])
@pytest.mark.parametrize("path", [f"/{OBJECT}", f"/mine/{OBJECT}", f"/../mine/{OBJECT}"])
def test_a_host_names_the_bucket_that_is_judged(world: World, host: str, path: str) -> None:
    port = urlsplit(world.platform.endpoint).port
    headers = {"Host": f"{host}:{port}"}
    assert _hides(world.thief.ask("s3", "GET", path, b"", headers))
    mine = {"Host": headers["Host"].replace(THEIRS, MINE)}
    assert world.thief.ask("s3", "GET", f"/{OBJECT}", b"", mine).status == 200


KEYS = (
    *("in", "in/../out/a.txt", "out/a.txt", "inside.txt", "../in/a.txt", "/in/a.txt"),
    *("In/a.txt", "in%00/a.txt", "in%5Ca.txt", "./in/a.txt", "%2e/in/a.txt", "in%EF%BC%8Fa.txt"),
    *("%6Fut/a.txt", "in%2F..%2Fout/a.txt"),
)


@pytest.mark.parametrize("key", KEYS)
def test_a_folder_that_was_granted_is_no_way_out_of_it(world: World, narrow: Key, key: str) -> None:
    assert narrow.ask("s3", "GET", "/pics/in/a.txt").status == 200
    path = f"/pics/{key}"
    if key.startswith(("in/", "in%2F")):
        # A key like any other, inside the folder: it is not there.
        assert narrow.ask("s3", "GET", path).status == 404
        return
    with world.unchanged():
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert narrow.ask("s3", method, path).status == 403


LISTS = ("", "list-type=2", "versions", "uploads")
TRICKS = (
    *("", "prefix=", "prefix=i", "prefix=in", "prefix=out/", "prefix=/in/", "prefix=..%2Fin%2F"),
    *("delimiter=%2F", "prefix=&delimiter=%2F", "prefix=in%252F", "prefix=in%2F&prefix="),
    *("prefix=in%2F&start-after=out", "prefix=in%2F&marker=out", "prefix=in%2F&key-marker=out"),
    *(
        "prefix=in%2F&delimiter=n",
        "prefix=in%2F..%2Fout%2F",
        "Prefix=in%2F",
        "prefix=in/",
    ),
    *("prefix=in%2F&continuation-token=aQ%3D%3D", "prefix=in%2F&continuation-token=b3V0"),
    *("max-keys=0", "fetch-owner=true", "prefix=in%00", "encoding-type=url&prefix=i%6E"),
)


@pytest.mark.parametrize(("kind", "trick"), list(product(LISTS, TRICKS)))
def test_a_list_shows_what_was_granted_and_nothing_beside_it(
    narrow: Key, kind: str, trick: str
) -> None:
    query = "&".join(one for one in (kind, trick) if one)
    answer = narrow.ask("s3", "GET", f"/pics?{query}" if query else "/pics")
    if answer.status == 200:
        for hidden in (b"out/a.txt", b"inside", b"<Key>in<", b"../in", b"..%2Fin"):
            assert hidden not in answer.body
    # The first of two prefixes counts, and only one that begins in the folder is let in.
    granted = trick.startswith(("prefix=in%2F", "prefix=in/"))
    assert (answer.status == 403) is not granted


# Functions

NAMES = (
    *("theirs", "theirs:$LATEST", "theirs:1", function_arn("theirs"), "function:theirs"),
    *(f"{ACCOUNT}:function:theirs", f"{ACCOUNT}:theirs", f"{REGION}:{ACCOUNT}:function:theirs"),
    *(
        f"{function_arn('theirs')}:$LATEST",
        "arn:aws-cn:lambda:function:theirs",
        "theirs.",
        "THEIRS",
    ),
    *("arn:aws:lambda:us-east-1:999999999999:function:theirs", "arn:aws:lambda:theirs"),
    *("arn:aws:lambda:eu-west-1:000000000000:function:theirs", " theirs", "theirs\n", "theirs\0"),
    *("mine/../theirs", "../functions/theirs", "mine:theirs", "function:mine:theirs", "theirs/"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_no_spelling_of_a_name_invokes_another_function(world: World, name: str, kind: str) -> None:
    headers = {"X-Amz-Invocation-Type": kind}
    path = f"{FUNCTIONS}/{quote(name, safe='')}/invocations"
    with world.unchanged():
        answer = world.thief.ask("lambda", "POST", path, b"{}", headers)
        assert answer.status in (400, 403, 404), answer.body
        query = world.thief.ask("lambda", "POST", f"{path}?Qualifier=$LATEST", b"{}", headers)
        assert query.status in (400, 403, 404), query.body
    assert b"AWS_" not in answer.body + query.body


@pytest.mark.parametrize("kind", ["RequestResponse", "DryRun"])
def test_the_straight_name_invokes(world: World, kind: str) -> None:
    headers = {"X-Amz-Invocation-Type": kind}
    path = f"{FUNCTIONS}/{quote(function_arn(MINE), safe='')}/invocations"
    assert world.thief.ask("lambda", "POST", path, b"{}", headers).status in (200, 204)


@pytest.mark.parametrize(
    "path",
    [
        *(f"{FUNCTIONS}/mine/../theirs/invocations", f"{FUNCTIONS}//theirs/invocations"),
        *(f"{FUNCTIONS}/mine/%2e%2e/theirs/invocations", f"{FUNCTIONS}/theirs//invocations"),
        *(f"{FUNCTIONS}/mine/..%2ftheirs/invocations", f"{FUNCTIONS}/./theirs/invocations"),
        *(
            "/2014-11-13/functions/theirs/invoke-async",
            "/2014-11-13/functions/theirs/invoke-async/",
        ),
        *("/2021-11-15/functions/theirs/response-streaming-invocations", "/2015-03-31/functions/"),
        *(f"{FUNCTIONS}/theirs", f"{FUNCTIONS}/theirs/code", f"{FUNCTIONS}/theirs/configuration"),
        *("/2015-03-31/event-source-mappings", "/2015-03-31/event-source-mappings/"),
    ],
)
@pytest.mark.parametrize("override", ["", "DELETE"])
def test_no_spelling_of_a_path_reaches_another_function(
    world: World, path: str, override: str
) -> None:
    headers = {"X-HTTP-Method-Override": override} if override else {}
    with world.unchanged():
        for method in ("GET", "POST", "DELETE", "PUT"):
            answer = world.thief.ask("lambda", method, path, b"{}", headers)
            assert _hides(answer, b"AWS_", b"app.handler"), (method, answer.status, answer.body)


def test_a_functions_url_opens_by_its_own_id_only(world: World) -> None:
    lambda_ = world.owner.client("lambda")
    ids = {
        name: urlsplit(lambda_.get_function_url_config(FunctionName=name)["FunctionUrl"])
        for name in (MINE, THEIRS)
    }
    mine, theirs = (ids[name].path.strip("/").rpartition("/")[2] for name in (MINE, THEIRS))
    assert mine
    assert mine != theirs
    assert world.thief.ask("lambda", "GET", f"/lambda-url/{mine}/").status == 200
    for path in (f"/lambda-url/{theirs}/", f"/lambda-url/{theirs}", f"/lambda-url/./{theirs}/"):
        for service in ("lambda", "s3", "mayfly"):
            assert _hides(world.thief.ask(service, "GET", path), b"AWS_")
    port = urlsplit(world.platform.endpoint).port
    headers = {"Host": f"{theirs}.lambda-url.{REGION}.localhost:{port}"}
    assert _hides(world.thief.ask("lambda", "GET", f"/lambda-url/{mine}/", b"", headers), b"AWS_")
    assert world.owner.ask("lambda", "GET", f"/lambda-url/{theirs}/").status == 200


# Signatures

REQUESTS = {
    "s3": ("GET", f"/mine/{OBJECT}", b"", ""),
    "dynamodb": ("POST", "/", b'{"TableName": "mine"}', "DynamoDB_20120810.Scan"),
    "sqs": ("POST", "/", b'{"QueueName": "mine"}', "AmazonSQS.GetQueueUrl"),
    "lambda": ("POST", f"{FUNCTIONS}/mine/invocations", b"{}", ""),
}


@pytest.mark.parametrize(("request_of", "signed_for"), list(product(REQUESTS, SERVICES)))
def test_a_signature_opens_the_service_that_it_was_made_for(
    world: World, request_of: str, signed_for: str
) -> None:
    method, path, body, target = REQUESTS[request_of]
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    if not target or request_of == "s3":
        headers = {}
    answer = world.thief.ask(signed_for, method, path, body, headers)
    if signed_for == request_of:
        assert answer.status == 200, answer.body
    else:
        assert answer.status >= 400
        assert b"secret" not in answer.body


@pytest.mark.parametrize("signed_for", SERVICES)
@pytest.mark.parametrize(
    "target",
    [
        *("DynamoDB_20120810.Scan", "DynamoDBStreams_20120810.ListStreams", "AmazonSQS.ListQueues"),
        *(
            "DynamoDB_20120810.ListTables",
            "dynamodb_20120810.ListTables",
            "ListTables",
            "ListQueues",
        ),
    ],
)
def test_a_target_of_another_service_is_no_way_in(
    world: World, signed_for: str, target: str
) -> None:
    body = b'{"TableName": "theirs"}'
    answer = world.thief.ask(signed_for, "POST", "/", body, {"X-Amz-Target": target})
    assert _hides(answer, b"mine", b"theirs/stream")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        *(
            "functions",
            "functions/theirs",
            "ps",
            "stats",
            "lives",
            "logs/theirs",
            "events",
            "deploy",
        ),
        *(
            "secrets",
            "secrets/one",
            "webhooks",
            "systems/one",
            "run",
            "down",
            "none",
            "events/replay",
        ),
        *("../v1/functions", "./functions", "functions/", "/functions", "functions/%2e%2e"),
    ],
)
def test_the_control_api_is_the_owners(world: World, method: str, path: str) -> None:
    body = b"" if method == "GET" else b"{}"
    for signed_for in SERVICES:
        answer = world.both.ask(signed_for, method, f"/_mayfly/v1/{path}", body)
        assert answer.status == 403, answer.body


def test_two_authorities_in_one_request_are_no_more_than_one(world: World) -> None:
    thief, owner = world.thief, world.platform.access_key_id
    stamp = "20200101T000000Z"
    claim = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={owner}%2F20200101"
    claim += f"%2F{REGION}%2Fs3%2Faws4_request&X-Amz-Date={stamp}&X-Amz-Expires=600"
    claim += "&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64
    for query in (claim, f"AWSAccessKeyId={owner}&Signature=a&Expires=9999999999"):
        assert thief.ask("s3", "GET", f"/theirs/{OBJECT}?{query}").status == 403
    url = thief.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": THEIRS, "Key": OBJECT}
    )
    place = urlsplit(url)
    for query in (
        *(place.query, f"{claim}&{place.query}", f"{place.query}&{claim}"),
        *(f"{place.query}&AWSAccessKeyId={owner}", f"AWSAccessKeyId={owner}&{place.query}"),
    ):
        answer = send(world.platform, "GET", f"{place.path}?{query}")
        assert _hides(answer), (query, answer.status)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("operation", ["get_object", "put_object", "delete_object", "list_objects"])
def test_a_presigned_url_gives_what_its_key_was_granted(
    world: World, version: str, operation: str
) -> None:
    key = world.thief.credentials
    client = boto3.Session(key.access_key, key.secret_key, key.token, REGION).client(
        "s3",
        endpoint_url=world.platform.endpoint,
        config=Config(signature_version=version, s3={"addressing_style": "path"}),
    )
    verb = operation.partition("_")[0]
    method = {"list": "GET"}.get(verb, verb.upper())
    for bucket in (THEIRS, MINE):
        params = {"Bucket": bucket} | ({} if "list" in operation else {"Key": "presigned"})
        place = urlsplit(client.generate_presigned_url(operation, Params=params))
        before = world.digest()
        answer = send(world.platform, method, f"{place.path}?{place.query}")
        if bucket == MINE:
            assert answer.status != 403, answer.body
        else:
            assert (answer.status, refusal_of(answer).code) == (403, "AccessDenied")
            assert world.digest() == before


def test_a_presigned_url_dies_with_its_key(world: World) -> None:
    key = steal_key(world.platform, "mortal", 'objects = ["theirs:read"]')
    url = key.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": THEIRS, "Key": OBJECT}, ExpiresIn=600_000
    )
    place = urlsplit(url)
    path = f"{place.path}?{place.query}"
    assert send(world.platform, "GET", path).body == SECRET
    world.owner.client("lambda").delete_function(FunctionName="mortal")
    # The snapshot takes a moment to be buried.
    until_s = RealClock().monotonic_s() + 20
    while (answer := send(world.platform, "GET", path)).status == 200:
        assert RealClock().monotonic_s() < until_s
    assert refusal_of(answer).code == "InvalidAccessKeyId"
    targets = {"dynamodb": "DynamoDB_20120810.Scan", "sqs": "AmazonSQS.ListQueues"}
    for service, target in targets.items():
        refused = key.target(service, target, {"TableName": THEIRS})
        assert refusal_of(refused).code == "UnrecognizedClientException"


def test_what_is_revoked_is_refused_to_keys_that_were_stolen_before(world: World) -> None:
    grants = 'objects = ["theirs:read"]\ntables = ["theirs:read"]'
    key = steal_key(world.platform, "demoted", grants)
    path = f"/theirs/{OBJECT}"
    assert key.ask("s3", "GET", path).status == 200
    revoked = json.dumps({"grants": ["objects=theirs:read"]}).encode()
    assert ask(world.platform, "DELETE", "/_mayfly/v1/grants/demoted", revoked).status == 200
    # No call is made: the old snapshot goes by itself.
    until_s = RealClock().monotonic_s() + 20
    while key.ask("s3", "GET", path).status == 200:
        assert RealClock().monotonic_s() < until_s
    scan = key.target("dynamodb", "DynamoDB_20120810.Scan", {"TableName": THEIRS})
    assert refusal_of(scan).code == "UnrecognizedClientException"
    assert key_of(world.platform, "demoted").ask("s3", "GET", path).status == 403
