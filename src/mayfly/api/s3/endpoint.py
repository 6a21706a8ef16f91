"""S3's endpoint: who asks, what for, and the answer, streamed where it is an object.

    claims --> address, operation --> signature --> operation --> Response or Download --> client
                                          |             |
    preflights and forms have none of --->'             `--> S3Error --> error document

No error leaves `answer` but a client's own disappearance and what nobody foresaw.
"""

from __future__ import annotations

import base64

from mayfly.api.exchange import Exchange
from mayfly.api.message import Response
from mayfly.api.s3.address import Address, Addresses
from mayfly.api.s3.call import Call, Download, HeaderList, Room, read_query
from mayfly.api.s3.cors import answer_headers, preflight
from mayfly.api.s3.documents import XML_TYPE, error_document
from mayfly.api.s3.form import post_object
from mayfly.api.s3.identity import authenticate
from mayfly.api.s3.refusals import MethodNotAllowed, S3Error
from mayfly.api.s3.routes import find_operation
from mayfly.model.errors import MayflyError
from mayfly.stores.objects.refusals import MarkerFound, NoSuchBucket, NoSuchKey

_SMALL_BYTES = 64 * 1024
_FORM_TYPE = "multipart/form-data"


class S3Endpoint:
    """S3's API over one object store; it fits `dispatch.ObjectsEndpoint`."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._addresses: Addresses = room.addresses

    def claims(self, exchange: Exchange) -> bool:
        """Whether the request is S3's."""
        return self._addresses.claims(exchange)

    async def answer(self, exchange: Exchange) -> None:
        """Authenticate, read, do and reply.

        Raises:
            Disconnected: The client is gone.
        """
        address = Address("", "")
        try:
            address = self._addresses.read(exchange)
            if exchange.method == "OPTIONS":
                response: Response | Download = preflight(
                    self._room.store, address.bucket, exchange.headers
                )
            elif _is_form(exchange):
                response = await self._take_form(exchange, address)
            else:
                call = self._open(exchange, address)
                operation = find_operation(exchange.method, address, call.query, exchange.headers)
                response = await operation(call)
        except MayflyError as error:
            await exchange.drop_body(self._room.limits.discard_bytes_max)
            await self._reply(exchange, address, _error(exchange, address, error))
            return
        if isinstance(response, Download):
            with response.reader:
                await self._send(exchange, address, response)
            return
        await exchange.drop_body(self._room.limits.discard_bytes_max)
        await self._reply(exchange, address, response)

    def _open(self, exchange: Exchange, address: Address) -> Call:
        host_bucket = self._addresses.bucket_of_host(exchange.headers.get("host"))
        principal = authenticate(
            exchange, self._room.keys, self._room.clock.now_ms(), host_bucket=host_bucket
        )
        query = read_query(exchange.query_string)
        return Call(self._room, exchange, address, query, principal)

    async def _take_form(self, exchange: Exchange, address: Address) -> Response:
        if not address.bucket or address.key:
            raise MethodNotAllowed
        return await post_object(self._room, exchange, address)

    async def _reply(self, exchange: Exchange, address: Address, response: Response) -> None:
        headers = self._headers(exchange, address)
        headers += response.headers
        await exchange.reply(Response(response.status, headers, response.body, response.is_head))

    async def _send(self, exchange: Exchange, address: Address, download: Download) -> None:
        """The object's bytes, no faster than the client takes them."""
        headers = self._headers(exchange, address)
        headers += download.headers
        reader, first, size = download.reader, download.first, download.size
        body = reader.body
        if body is not None and size <= _SMALL_BYTES:
            part = body if size == len(body) else body[first : first + size]
            await exchange.reply(Response(download.status, headers, part))
            return
        headers.append((b"content-length", b"%d" % size))
        await exchange.start(download.status, headers)
        timeout_s = self._room.limits.send_timeout_s
        left = size
        async for chunk in reader.chunks(first, size):
            left -= len(chunk)
            await exchange.send_part(chunk, timeout_s=timeout_s, more=left > 0)
        if not size:
            await exchange.send_part(b"", timeout_s=timeout_s, more=False)

    def _headers(self, exchange: Exchange, address: Address) -> HeaderList:
        request_id = exchange.request_id
        headers: HeaderList = [
            (b"x-amz-request-id", request_id.encode()),
            (b"x-amz-id-2", _host_id(request_id).encode()),
        ]
        if exchange.headers.find("origin") is not None and exchange.method != "OPTIONS":
            headers += answer_headers(
                self._room.store, address.bucket, exchange.headers, exchange.method
            )
        return headers


def _is_form(exchange: Exchange) -> bool:
    return (
        exchange.method == "POST"
        and "authorization" not in exchange.headers
        and exchange.headers.get("content-type").lower().startswith(_FORM_TYPE)
    )


def _error(exchange: Exchange, address: Address, error: MayflyError) -> Response:
    headers: HeaderList = [XML_TYPE]
    facts = dict(error.facts) if isinstance(error, S3Error) else {}
    match error:
        case NoSuchBucket():
            facts["BucketName"] = address.bucket
        case NoSuchKey(marker_version_id=marker):
            if marker:
                headers += [
                    (b"x-amz-delete-marker", b"true"),
                    (b"x-amz-version-id", marker.encode()),
                ]
            facts["Key"] = address.key
        case MarkerFound():
            headers += [
                (b"x-amz-delete-marker", b"true"),
                (b"x-amz-version-id", error.version_id.encode()),
            ]
        case _:
            pass
    body = error_document(
        error,
        facts,
        resource=exchange.raw_path.decode("latin-1"),
        request_id=exchange.request_id,
        host_id=_host_id(exchange.request_id),
    )
    if exchange.method == "HEAD":
        return Response(error.status, headers, is_head=True)
    return Response(error.status, headers, body)


def _host_id(request_id: str) -> str:
    return base64.b64encode(request_id.encode()).decode("ascii")
