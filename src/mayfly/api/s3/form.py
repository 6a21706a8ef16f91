"""Uploads by form: a browser posts multipart/form-data, its policy signed by somebody else.

    --boundary, headers, an empty line, a field ... --boundary, headers, FILE, --boundary--

The fields come first and are bounded; with them the signature and the policy are checked. Only then
is the file, which comes last, streamed into the store. What follows it is not looked at.

Source: RFC 7578; "POST Object", Amazon S3 API Reference.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from email.message import Message
from urllib.parse import quote, urlsplit

from mayfly.api.exchange import Exchange
from mayfly.api.message import Headers, Response
from mayfly.api.permits import require_grant
from mayfly.api.s3 import checksums
from mayfly.api.s3.address import Address, require_key_length
from mayfly.api.s3.call import HeaderList, Room, header
from mayfly.api.s3.documents import document, element, read_as, xml_answer
from mayfly.api.s3.facts import OBJECT_TAGS_MAX, checked_tags, read_facts, require_honoured
from mayfly.api.s3.objects import put_headers
from mayfly.api.s3.policy import Fields, require_allowed, signer
from mayfly.api.s3.refusals import (
    EntityTooSmall,
    InvalidArgument,
    MalformedPostRequest,
    S3Error,
)
from mayfly.api.s3.settings import structures
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.record import Cause, ChangeKind, Checksum, Facts, Placed, Placement

_FIELDS_BYTES_MAX = 64 * 1024
_BOUNDARY_LENGTH_MAX = 200
_LATIN_PREFIXES = ("x-amz-", "content-", "cache-", "expires")
_STATUS = re.compile("200|201|204")


class MaxPostPreDataLengthExceeded(S3Error):
    """Too much comes before the file."""

    code = "MaxPostPreDataLengthExceeded"
    usual = "Your POST request fields preceding the upload file were too large."


async def post_object(room: Room, exchange: Exchange, address: Address) -> Response:
    """PostObject.

    Raises:
        S3Error: Nothing is kept.
    """
    form = _Form(exchange)
    fields, file_name = await form.read_fields()
    principal = signer(room.keys, fields)
    key = fields.get("key", "").replace("${filename}", file_name)
    if not key:
        raise InvalidArgument("Bucket POST must contain a field named 'key'.", ArgumentName="key")
    require_key_length(key)
    size = require_allowed(fields, bucket=address.bucket, now_ms=room.clock.now_ms())
    require_grant(principal, GrantKind.OBJECTS, f"{address.bucket}/{key}", "write")
    facts, promise = _facts(fields)
    room.store.buckets.find_nowait(address.bucket)
    algorithm = promise.algorithm or checksums.DEFAULT
    sum_ = checksums.start(algorithm)
    async with room.store.open_upload([sum_], bytes_max=size.bytes_max) as upload:
        async for piece in form.file():
            await upload.write(piece)
        await upload.end()
        if upload.size < size.bytes_min:
            raise EntityTooSmall(ProposedSize=str(upload.size), MinSizeAllowed=str(size.bytes_min))
        computed = checksums.written(sum_.digest())
        checksums.require_match(algorithm, promise.value, computed)
        facts = dataclasses.replace(facts, checksums=(Checksum(algorithm, computed),))
        placement = Placement(address.bucket, key, facts, kind=ChangeKind.POST)
        cause = Cause(principal.access_key_id, exchange.source_ip, exchange.request_id)
        placed = await room.store.put(upload, placement, cause)
    return _answer(room, fields, Address(address.bucket, key), placed, facts)


def _facts(fields: Fields) -> tuple[Facts, checksums.Promise]:
    """What the form says about the object; its fields stand for headers."""
    raw = [
        (name.encode(), value.encode())
        for name, value in fields.items()
        if name.startswith(_LATIN_PREFIXES)
    ]
    headers = Headers(raw)
    facts = read_facts(headers)
    require_honoured("x-amz-acl", fields.get("acl", "private"))
    if fields.get("tagging"):
        read = read_as("Tagging", fields["tagging"].encode())
        pairs = [(one.text("Key"), one.text("Value")) for one in structures(read, "TagSet")]
        tags = checked_tags(pairs, count_max=OBJECT_TAGS_MAX)
        facts = dataclasses.replace(facts, tags=tags)
    return facts, checksums.read_promise(headers)


def _answer(room: Room, fields: Fields, address: Address, placed: Placed, facts: Facts) -> Response:
    location = f"{room.endpoint}/{address.bucket}/{quote(address.key)}"
    headers: HeaderList = put_headers(placed, facts)
    redirect = fields.get("success_action_redirect") or fields.get("redirect", "")
    if redirect and urlsplit(redirect).scheme in ("http", "https"):
        told = f"bucket={address.bucket}&key={quote(address.key, safe='')}&etag=%22{placed.etag}%22"
        mark = "&" if "?" in redirect else "?"
        return Response(303, [*headers, (b"location", header(f"{redirect}{mark}{told}"))])
    headers.append((b"location", header(location)))
    status = fields.get("success_action_status", "")
    if status != "201":
        return Response(int(status) if _STATUS.fullmatch(status) else 204, headers)
    body = document(
        "PostResponse",
        element("Location", location),
        element("Bucket", address.bucket),
        element("Key", address.key),
        element("ETag", f'"{placed.etag}"'),
    )
    return xml_answer(body, headers, status=201)


class _Form:
    """One form under reading."""

    def __init__(self, exchange: Exchange) -> None:
        boundary = _parameter(exchange.headers.get("content-type"), "content-type", "boundary")
        if not 0 < len(boundary) <= _BOUNDARY_LENGTH_MAX:
            raise MalformedPostRequest
        self._exchange = exchange
        self._mark = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._buffer = b"\r\n"
        self._more = True

    async def read_fields(self) -> tuple[dict[str, str], str]:
        """The fields by lower-case name, and the name of the file; what follows is the file."""
        fields: dict[str, str] = {}
        left = _FIELDS_BYTES_MAX
        await self._take_until(self._mark, left)
        while True:
            head = (await self._take_until(b"\r\n\r\n", left)).decode("utf-8", "replace")
            disposition = _disposition(head)
            name = _parameter(disposition, "content-disposition", "name").lower()
            if name == "file":
                file_name = _parameter(disposition, "content-disposition", "filename")
                return fields, re.split(r"[/\\]", file_name)[-1]
            raw = await self._take_until(self._mark, left)
            left -= len(head) + len(raw)
            if left <= 0:
                raise MaxPostPreDataLengthExceeded
            try:
                fields.setdefault(name, raw.decode())
            except UnicodeDecodeError as error:
                raise MalformedPostRequest from error

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes; then the rest of the body is thrown away."""
        kept = len(self._mark) - 1
        while True:
            end = self._buffer.find(self._mark)
            if end >= 0:
                if end:
                    yield self._buffer[:end]
                break
            if len(self._buffer) > kept:
                yield self._buffer[:-kept]
                self._buffer = self._buffer[-kept:]
            await self._read_more()
        while self._more:
            _, self._more = await self._exchange.next_part()

    async def _take_until(self, mark: bytes, bytes_max: int) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > bytes_max:
                raise MaxPostPreDataLengthExceeded
            await self._read_more()
        taken = self._buffer[:end]
        self._buffer = self._buffer[end + len(mark) :]
        return taken

    async def _read_more(self) -> None:
        if not self._more:
            raise MalformedPostRequest("The form ends before its file does.")
        data, self._more = await self._exchange.next_part()
        self._buffer += data


def _disposition(head: str) -> str:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            return value.strip()
    raise MalformedPostRequest


def _parameter(value: str, name: str, parameter: str) -> str:
    """A parameter of a structured header ("" where it lacks), its quotes undone."""
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    found = message.get_param(parameter, "", header=name)
    return found if isinstance(found, str) else found[2]
