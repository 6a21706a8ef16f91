"""S3's operations with a function's key: each of the routes, and those that headers make.

As `test_permits`; the routes are S3's own tables, so that a new one fails here until it has its
needs below.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from mayfly.api.s3.routes import _BUCKET, _OBJECT, _PLATFORM
from tests.security.permit_tables import Needs
from tests.security.permit_world import (
    MINE,
    NOWHERE,
    OBJECT,
    THEIRS,
    World,
    open_world,
    refusal_of,
    without_names,
)
from tests.support.function_keys import Key
from tests.support.platform import HttpAnswer

Place = tuple[str, str]

OF_OBJECT: dict[Place, Needs] = {
    ("GET", ""): Needs.READ,
    ("HEAD", ""): Needs.READ,
    ("PUT", ""): Needs.WRITE,
    ("DELETE", ""): Needs.WRITE,
    ("GET", "attributes"): Needs.READ,
    ("POST", "uploads"): Needs.WRITE,
    ("PUT", "uploadId"): Needs.WRITE,
    ("GET", "uploadId"): Needs.WRITE,
    ("POST", "uploadId"): Needs.WRITE,
    ("DELETE", "uploadId"): Needs.WRITE,
    ("GET", "tagging"): Needs.READ,
    ("PUT", "tagging"): Needs.WRITE,
    ("DELETE", "tagging"): Needs.WRITE,
    ("GET", "acl"): Needs.READ,
    ("PUT", "acl"): Needs.OWNER,
}
OF_BUCKET: dict[Place, Needs] = {
    ("GET", ""): Needs.READ,
    ("GET", "list-type"): Needs.READ,
    ("GET", "versions"): Needs.READ,
    ("GET", "uploads"): Needs.READ,
    ("HEAD", ""): Needs.EITHER,
    ("GET", "location"): Needs.EITHER,
    # Each key is judged for itself, in an answer that is a 200, as at AWS.
    ("POST", "delete"): Needs.WRITE,
}
KEYED = [(f"/{OBJECT}", *place) for place in OF_OBJECT]
BUCKETS = [("", *place) for place in (*OF_BUCKET, *(set(_BUCKET) - set(OF_BUCKET)))]
ROUTES = sorted([*KEYED, *BUCKETS])
_TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
_GONE = f"<Delete><Object><Key>{OBJECT}</Key></Object></Delete>".encode()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened


def _needs(suffix: str, place: Place) -> Needs:
    # What is not named is a bucket's setting.
    return OF_OBJECT[place] if suffix else OF_BUCKET.get(place, Needs.OWNER)


GIVEN = [one for one in ROUTES if _needs(one[0], one[1:]) is not Needs.OWNER]
OWNERS = [one for one in ROUTES if one not in GIVEN]


def test_no_route_is_left_out() -> None:
    assert set(OF_OBJECT) == set(_OBJECT)
    assert set(OF_BUCKET) < set(_BUCKET)
    assert set(_PLATFORM) == {("GET", "")}


def _upload(world: World) -> tuple[str, bytes]:
    """An upload of the owner's with one part: its id, and the document that completes it."""
    objects = world.owner.client("s3")
    made = objects.create_multipart_upload(Bucket=THEIRS, Key=OBJECT)["UploadId"]
    part = {"Bucket": THEIRS, "Key": OBJECT, "UploadId": made, "PartNumber": 1}
    etag = objects.upload_part(**part, Body=b"part")["ETag"]
    claim = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    return made, f"<CompleteMultipartUpload>{claim}</CompleteMultipartUpload>".encode()


def _try(
    key: Key, bucket: str, route: tuple[str, str, str], upload: tuple[str, bytes] = ("u", b"")
) -> HttpAnswer:
    suffix, method, selector = route
    query, body, headers = f"?{selector}" if selector else "", b"", {}
    match method, selector:
        case "PUT", "tagging":
            body = _TAGS
        case "POST", "delete":
            body = _GONE
        case _, "uploadId":
            query = f"?uploadId={upload[0]}" + ("&partNumber=1" if method == "PUT" else "")
            body = upload[1] if method == "POST" else b""
        case "GET", "attributes":
            headers["x-amz-object-attributes"] = "ETag"
        case _:
            pass
    return key.ask("s3", method, f"/{bucket}{suffix}{query}", body, headers)


def _is_denied(answer: HttpAnswer, route: tuple[str, str, str]) -> bool:
    if route == ("", "POST", "delete"):
        return answer.status == 200 and b"<Code>AccessDenied</Code>" in answer.body
    return answer.status == 403 and (
        route[1] == "HEAD" or refusal_of(answer).code == "AccessDenied"
    )


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_a_grant_nothing_is_done_and_what_exists_does_not_show(
    world: World, route: tuple[str, str, str]
) -> None:
    with world.unchanged():
        there, nowhere = (_try(world.thief, one, route) for one in (THEIRS, NOWHERE))
    assert _is_denied(there, route), there.body
    assert _is_denied(nowhere, route), nowhere.body
    if there.body.startswith(b"<?xml") and route[1:] != ("POST", "delete"):
        assert without_names(refusal_of(there).message) == without_names(
            refusal_of(nowhere).message
        )
    assert set(there.headers) == set(nowhere.headers)


@pytest.mark.parametrize("route", GIVEN, ids=" ".join)
def test_each_verb_gives_its_own_operations(world: World, route: tuple[str, str, str]) -> None:
    needs = _needs(route[0], route[1:])
    for verb in ("read", "write", "both"):
        world.owner.client("s3").put_object(Bucket=THEIRS, Key=OBJECT, Body=b"x")
        upload = _upload(world) if "uploadId" in route else ("", b"")
        answer = _try(world.key(verb), THEIRS, route, upload)
        if verb != "both" and needs not in (verb, Needs.EITHER):
            assert _is_denied(answer, route), (verb, answer.body)
        else:
            assert answer.status < 300, (verb, answer.body)
            assert b"<Error>" not in answer.body


@pytest.mark.parametrize("route", OWNERS, ids=" ".join)
def test_no_grant_gives_what_is_the_owners(world: World, route: tuple[str, str, str]) -> None:
    with world.unchanged():
        refused = _try(world.both, THEIRS, route)
    assert _is_denied(refused, route)
    assert not _is_denied(_try(world.control, THEIRS, route), route)


def test_the_list_of_all_buckets_is_the_owners(world: World) -> None:
    assert _is_denied(world.both.ask("s3", "GET", "/"), ("", "GET", ""))
    assert world.owner.ask("s3", "GET", "/").status == 200


@pytest.mark.parametrize(("source", "target"), list(product((MINE, THEIRS), repeat=2)))
@pytest.mark.parametrize("in_parts", [False, True])
def test_a_copy_needs_its_source_and_its_target(
    world: World, source: str, target: str, *, in_parts: bool
) -> None:
    key = "copies/b.txt"
    query = ""
    if in_parts:
        made = world.owner.client("s3").create_multipart_upload(Bucket=target, Key=key)
        query = f"?partNumber=1&uploadId={made['UploadId']}"
    headers = {"x-amz-copy-source": f"/{source}/{OBJECT}"}
    before = world.digest()
    answer = world.thief.ask("s3", "PUT", f"/{target}/{key}{query}", b"", headers)
    if (source, target) == (MINE, MINE):
        assert answer.status == 200, answer.body
        return
    assert (answer.status, refusal_of(answer).code) == (403, "AccessDenied")
    assert world.digest() == before
    headers = {"x-amz-copy-source": f"/{source.replace(THEIRS, NOWHERE)}/{OBJECT}"}
    path = f"/{target.replace(THEIRS, NOWHERE)}/{key}{query}"
    nowhere = world.thief.ask("s3", "PUT", path, b"", headers)
    assert (nowhere.status, refusal_of(nowhere).code) == (403, "AccessDenied")
