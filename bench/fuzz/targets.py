"""What is fuzzed: functions of bytes that come from outside, each with the errors it may raise.

A target takes bytes and returns; it may raise what its `refusals` name. Anything else is a bug:
another exception, an answer that never comes, memory without bound. `seeds` are whole, good inputs
for a fuzzer to start from, and what it once found. No target touches the network or another file
than one of its own.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mayfly.api.auth import verify
from mayfly.api.keys import Keys, root_credential
from mayfly.api.message import Headers
from mayfly.api.s3.chunked import ChunkedBody, ChunkSignatures
from mayfly.api.s3.conditions import copy_range, read_range, write_conditions
from mayfly.api.s3.documents import read_as
from mayfly.api.s3.policy import require_allowed
from mayfly.api.wire.form import parse_form
from mayfly.api.wire.json_body import decode_json
from mayfly.api.wire.query_body import grow
from mayfly.cli.failure import Failed
from mayfly.cli.system.declared import read_system
from mayfly.cli.system.plan import READERS
from mayfly.drivers.channel import BadFrame, FrameReader
from mayfly.drivers.egress.hello import BadHello, server_name
from mayfly.drivers.egress.question import BadQuestion, answer, read_question
from mayfly.images.manifest import parse_manifest
from mayfly.images.unpack import Archive, UnpackLimits
from mayfly.model.errors import MayflyError
from mayfly.model.grant import GrantKind, parse_grant
from mayfly.model.webhook import Scheme
from mayfly.sources import signatures
from mayfly.sources.filters import compile_body_filters, compile_pattern
from mayfly.stores.schedules.timing import parse_timing
from mayfly.stores.tables.expressions.condition import compile_condition
from mayfly.stores.tables.expressions.keycondition import compile_key_condition
from mayfly.stores.tables.expressions.placeholders import Placeholders
from mayfly.stores.tables.expressions.projection import compile_projection
from mayfly.stores.tables.expressions.update import compile_update

_KEYS = Keys(root_credential("AKIAFUZZED", "secret"))
_SMALL = UnpackLimits(unzipped_bytes_max=100_000, files_max=50, ratio_max=50)
_NOW_MS = 1_800_000_000_000.0
_DOCUMENTS = ("Delete", "Tagging", "NotificationConfiguration", "CORSConfiguration")


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of what strangers send.

    Attributes:
        read: Takes bytes.
        seeds: Good inputs.
        refusals: What it may raise beside a MayflyError.
    """

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refusals: tuple[type[Exception], ...] = ()

    def __call__(self, data: bytes) -> None:
        """Read `data`; an error that is no refusal comes through."""
        with contextlib.suppress(MayflyError, *self.refusals):
            self.read(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _head(data: bytes) -> dict[str, str]:
    """Header lines; latin-1, as they are read from the wire."""
    lines = (line.partition(":") for line in data.decode("latin-1").split("\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines if name.strip()}


def _archive(data: bytes) -> None:
    archive = Archive(data, _SMALL)
    with tempfile.TemporaryDirectory() as folder:
        archive.extract(Path(folder))


def _system(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "system.toml").write_bytes(data)
        read_system(Path(folder), READERS)


def _signature(data: bytes) -> None:
    query, _, rest = data.partition(b"\n")
    headers = Headers([(k.encode("latin-1"), v.encode("latin-1")) for k, v in _head(rest).items()])
    verify(
        _KEYS,
        method="GET",
        raw_path="/",
        query_string=query.decode("latin-1"),
        headers=headers,
        body=b"",
        now_ms=_NOW_MS,
    )


def _webhook(data: bytes) -> None:
    head, _, body = data.partition(b"\n\n")
    for scheme in Scheme:
        signatures.delivery_id(scheme, _head(head), body)
    for scheme in Scheme:
        if scheme is not Scheme.NONE:
            signatures.verify(scheme, "secret", _head(head), body, now_ms=_NOW_MS)


def _conditions(data: bytes) -> None:
    text = data.decode("latin-1")
    read_range(text, 1_000)
    write_conditions(Headers([(b"if-match", data), (b"if-none-match", data)]))
    copy_range(text, 1_000)


def _chunked(data: bytes) -> None:
    for signs in (ChunkSignatures(b"key", "scope", "0" * 64), None):
        body = ChunkedBody(signatures=signs, trailing=True, decoded_bytes=20)
        try:
            for at in range(0, len(data), 7):
                body.feed(data[at : at + 7])
            body.finish()
        except MayflyError:
            continue


def _expressions(data: bytes) -> None:
    text = _text(data)
    readers = (compile_condition, compile_key_condition, compile_update, compile_projection)
    for read in readers:
        try:
            read(text, Placeholders({"#n": "name"}, {":v": {"N": "1"}, ":w": {"S": "text"}}))
        except MayflyError:
            continue


def _schedule(data: bytes) -> None:
    timing = parse_timing(_text(data), "Europe/Berlin")
    timing.next_ms(int(_NOW_MS), 0)


def _filter(data: bytes) -> None:
    matches = compile_pattern(_text(data))
    matches({"body": "text", "a": [1, {"b": None}]})
    compile_body_filters([_text(data)])({"a": 1}, _text(data))


def _frames(data: bytes) -> None:
    reader = FrameReader(-1, 100_000)
    for at in range(0, len(data), 9):
        reader.feed(data[at : at + 9])


def _grant(data: bytes) -> None:
    for kind in GrantKind:
        try:
            parse_grant(kind, _text(data))
        except MayflyError:
            continue


def _question(data: bytes) -> None:
    answer(read_question(data), "127.0.0.1")


def _document(data: bytes) -> None:
    for shape in _DOCUMENTS:
        try:
            read_as(shape, data)
        except MayflyError:
            continue


_ZIP = bytes.fromhex(
    "504b030414000000000000002100c2412435030000000300000005000000612e747874616263504b0102"
    "140314000000000000002100c24124350300000003000000050000000000000000000000800100000000"
    "612e747874504b0506000000000100010033000000260000000000"
)
_DNS = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x07example\x03com\x00\x00\x01\x00\x01"
)
_SIGNED = (
    b"a=b\nhost: localhost\nx-amz-date: 20270115T080000Z\nauthorization: AWS4-HMAC-SHA256 "
    b"Credential=AKIAFUZZED/20270115/us-east-1/lambda/aws4_request, "
    b"SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64
)
_PRESIGNED = (
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAFUZZED%2F20270115%2Fus-east-1%2Fs3%2F"
    b"aws4_request&X-Amz-Date=20270115T080000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&"
    b"X-Amz-Signature=" + b"0" * 64 + b"\nhost: localhost"
)

_MANIFEST = b"""
[function]
name = "f"
handler = "app.handler"
[grants]
net = ["a.example:443"]
queues = ["q:receive"]
[[trigger]]
queue = "q"
batch = 10
filter = [{ body = { a = ["b"] } }]
"""

TARGETS: Mapping[str, Target] = {
    "archives": Target(_archive, (_ZIP,)),
    "manifests": Target(lambda data: parse_manifest(_text(data)), (_MANIFEST,)),
    "systems": Target(
        _system,
        (
            b'[system]\nname = "s"\n[[queue]]\nname = "q"\n[[bucket]]\nname = "b"\n',
            b"a = " + b"[" * 2_000,
        ),
        (Failed,),
    ),
    "json": Target(decode_json, (b'{"a": [1, "b", null]}',), (ValueError,)),
    "xml": Target(
        _document,
        (
            b"<Delete><Object><Key>a</Key></Object></Delete>",
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
            b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Delete>&b;</Delete>',
            b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Delete>&a;</Delete>',
        ),
    ),
    "forms": Target(
        lambda data: grow(parse_form(_text(data))),
        (b"Action=SendMessage&Attribute.1.Name=a&Attribute.1.Value=b&A.entry.2.k=%41",),
    ),
    "signatures": Target(_signature, (_SIGNED, _PRESIGNED)),
    "webhooks": Target(
        _webhook,
        (
            b"x-hub-signature-256: sha256=" + b"0" * 64 + b'\n\n{"id": "a"}',
            b"stripe-signature: t=1800000000,v1=" + b"0" * 64 + b'\n\n{"id": "a"}',
        ),
    ),
    "conditions": Target(_conditions, (b"bytes=0-9", b"bytes=-5", b'"etag", W/"other"')),
    "policies": Target(
        lambda data: require_allowed({"policy": _text(data)}, bucket="b", now_ms=_NOW_MS),
        (b"eyJleHBpcmF0aW9uIjogIjIwOTktMDEtMDFUMDA6MDA6MDBaIiwgImNvbmRpdGlvbnMiOiBbXX0=",),
    ),
    "chunked": Target(_chunked, (b"5;chunk-signature=0\r\nhello\r\n0\r\nx-amz-crc32: a\r\n\r\n",)),
    "expressions": Target(
        _expressions,
        (
            b"#n = :v AND (begins_with(a.b[0], :w) OR NOT size(c) > :v)",
            b"SET a = if_not_exists(a, :v) + :v, b[1] = :w REMOVE c ADD d :v",
            b"a, b.c[2], #n",
        ),
    ),
    "schedules": Target(
        _schedule, (b"rate(5 minutes)", b"cron(0/15 8-18 ? * MON#2 *)", b"at(2027-02-01T10:00:00)")
    ),
    "filters": Target(
        _filter,
        (
            b'{"body": {"a": [{"prefix": "b"}, {"numeric": [">", 0]}, {"exists": false}]}}',
            b'{"$or": [{"a": [null]}, {"b": [{"wildcard": "*a*b"}, {"anything-but": ["c"]}]}]}',
        ),
    ),
    "grants": Target(_grant, (b"*.example.com:443", b"bucket/prefix*:read", b"queue:send")),
    "frames": Target(_frames, (b"MF\x06\0\x08\0\0\0\0\0\0\0null",), (BadFrame,)),
    "questions": Target(_question, (_DNS,), (BadQuestion,)),
    "hellos": Target(
        server_name,
        (
            b"\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00\x00\x0f"
            b"\x00\x00\x00\x0b\x00\x09\x00\x00\x06a.test",
        ),
        (BadHello,),
    ),
}
