"""A function's key reaches what it was granted, in every operation; the rest names the grant."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mayfly.api.asgi import Message
from mayfly.api.exchange import Exchange
from mayfly.api.keys import Credential, Keys, root_credential
from mayfly.api.s3.address import Addresses
from mayfly.api.s3.call import Room
from mayfly.api.s3.endpoint import S3Endpoint
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.daemon.world import RealClock, RealIds
from mayfly.model.grant import GrantKind, parse_grant
from mayfly.sources import objects
from mayfly.stores.objects.store import ObjectStore

ENDPOINT = "http://127.0.0.1:9000"
GRANTS = ("photos/in:read", "thumbs:write")


class Api:
    """The endpoint in this process, called with the owner's or the function's key."""

    def __init__(self, store: ObjectStore) -> None:
        keys = Keys(root_credential("ROOT", "root-secret"))
        grants = tuple(parse_grant(GrantKind.OBJECTS, one) for one in GRANTS)
        keys.add(Credential("FN", "fn-secret", "arn:f", "token", "resize", grants))
        self.endpoint = S3Endpoint(
            Room(
                store=store,
                keys=keys,
                clock=RealClock(),
                ids=RealIds(),
                addresses=Addresses("127.0.0.1"),
                missing=lambda _: [],
                endpoint=ENDPOINT,
            )
        )

    async def ask(
        self, method: str, path: str, body: bytes = b"", *, owner: bool = False, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        key = (
            Credentials("ROOT", "root-secret") if owner else Credentials("FN", "fn-secret", "token")
        )
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        request = AWSRequest(method, ENDPOINT + path, headers=named, data=body)
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
        S3SigV4Auth(key, "s3", "us-east-1").add_auth(request)
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        parts = urlsplit(request.url)
        raw = {"Host": parts.netloc, "Content-Length": str(len(body)), **request.headers}
        scope = {
            "type": "http",
            "method": method,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), text.encode()) for name, text in raw.items()],
        }
        await self.endpoint.answer(Exchange(scope, receive, send, "id"))
        content = b"".join(one.get("body", b"") for one in sent)
        return sent[0]["status"], content


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    database = await SqliteStore.open(tmp_path / "db")
    store = await ObjectStore.open(
        database=database,
        outbox=Outbox(),
        root=tmp_path / "objects",
        clock=RealClock(),
        ids=RealIds(),
        notify=objects.notify,
        announce=objects.announce,
    )
    made = Api(store)
    for bucket in ("photos", "thumbs", "other"):
        await store.buckets.create(bucket)
        for key in ("in/a", "out/a"):
            assert (await made.ask("PUT", f"/{bucket}/{key}", b"x", owner=True))[0] == 200
    yield made
    await store.close()
    await database.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/photos/in/a"),
        ("HEAD", "/photos/in/a"),
        ("GET", "/photos/in/a?tagging"),
        ("GET", "/photos?list-type=2&prefix=in/"),
        ("GET", "/photos?prefix=in"),
        ("GET", "/photos?versions&prefix=in/x"),
        ("HEAD", "/photos"),
        ("GET", "/photos?location"),
        ("PUT", "/thumbs/any"),
        ("DELETE", "/thumbs/in/a"),
        ("POST", "/thumbs/k?uploads"),
    ],
)
async def test_what_was_granted_is_done(api: Api, method: str, path: str) -> None:
    status, body = await api.ask(method, path)
    assert status in (200, 204), body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/photos/out/a"),
        ("HEAD", "/photos/out/a"),
        ("GET", "/photos/out/no-such"),
        ("GET", "/photos/out/a?attributes"),
        ("GET", "/photos/out/a?acl"),
        ("PUT", "/photos/in/a"),
        ("PUT", "/photos/in/a?tagging"),
        ("DELETE", "/photos/in/a"),
        ("DELETE", "/photos/in/a?tagging"),
        ("POST", "/photos/in/a?uploads"),
        ("PUT", "/photos/in/a?uploadId=u&partNumber=1"),
        ("POST", "/photos/in/a?uploadId=u"),
        ("DELETE", "/photos/in/a?uploadId=u"),
        ("GET", "/photos/in/a?uploadId=u"),
        ("PUT", "/photos/in/a?acl"),
        ("GET", "/photos?list-type=2"),
        ("GET", "/photos?list-type=2&prefix=i"),
        ("GET", "/photos?versions"),
        ("GET", "/photos?uploads"),
        ("GET", "/thumbs/in/a"),
        ("GET", "/thumbs?list-type=2"),
        ("HEAD", "/other"),
        ("GET", "/other?location"),
        ("GET", "/"),
        ("PUT", "/new-bucket"),
        ("DELETE", "/thumbs"),
        *(("GET", f"/thumbs?{name}") for name in ("acl", "cors", "tagging", "notification")),
        *(("GET", f"/thumbs?{name}") for name in ("policy", "versioning", "publicAccessBlock")),
        *(("PUT", f"/thumbs?{name}") for name in ("acl", "cors", "tagging", "notification")),
        *(("PUT", f"/thumbs?{name}") for name in ("versioning", "publicAccessBlock")),
        *(("PUT", f"/thumbs?{name}") for name in ("ownershipControls",)),
        *(("DELETE", f"/thumbs?{name}") for name in ("cors", "tagging", "policy", "lifecycle")),
    ],
)
async def test_what_was_not_granted_is_refused(api: Api, method: str, path: str) -> None:
    status, body = await api.ask(method, path)
    assert status == 403, body
    if method != "HEAD":
        assert b"<Code>AccessDenied</Code>" in body


async def test_a_copy_needs_both_ends(api: Api) -> None:
    granted = await api.ask("PUT", "/thumbs/c", x_amz_copy_source="/photos/in/a")
    assert granted[0] == 200, granted
    assert (await api.ask("PUT", "/thumbs/c", x_amz_copy_source="/photos/out/a"))[0] == 403
    assert (await api.ask("PUT", "/photos/in/c", x_amz_copy_source="/photos/in/a"))[0] == 403


async def test_each_key_of_many_is_judged(api: Api) -> None:
    body = b"<Delete><Object><Key>in/a</Key></Object></Delete>"
    status, told = await api.ask("POST", "/photos?delete", body)
    assert status == 200
    assert b"<Code>AccessDenied</Code>" in told
    assert b"<Deleted>" in (await api.ask("POST", "/thumbs?delete", body))[1]
    assert (await api.ask("GET", "/photos/in/a"))[1] == b"x"


async def test_every_route_asks(api: Api) -> None:
    """A stranger to all buckets is refused by every operation that there is."""
    from mayfly.api.s3 import routes  # noqa: PLC0415  its tables are what is tested

    for table, path in ((routes._BUCKET, "/other"), (routes._OBJECT, "/other/in/a")):
        for method, selector in table:
            if selector == "delete":
                continue
            query = {"uploadId": "?uploadId=u&partNumber=1", "": ""}.get(selector, f"?{selector}")
            status, told = await api.ask(method, path + query)
            assert status == 403, (method, path + query, told)
