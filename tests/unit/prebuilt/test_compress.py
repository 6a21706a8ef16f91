"""The ready function compress: archives made, archives taken apart, and the bad ones refused."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import zstandard
from botocore.client import BaseClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.support.prebuilt import Handler, loaded, run_its_own_tests

TREE = {"logs/a.txt": b"alpha" * 100, "logs/deep/b.bin": bytes(range(256)), "logs/ü c.txt": b""}


@pytest.fixture
def s3() -> Iterator[BaseClient]:
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
        )
        for bucket in ("inbox", "archive"):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture
def handler(s3: BaseClient) -> Iterator[Handler]:
    assert s3 is not None
    bounds = {"TARGET_BUCKET": "archive", "ENTRIES_MAX": "50", "TOTAL_BYTES_MAX": "60000000"}
    with loaded("compress", bounds) as found:
        yield found


def put(s3: BaseClient, key: str, data: bytes) -> dict[str, object]:
    s3.put_object(Bucket="inbox", Key=key, Body=data)
    told = {"bucket": {"name": "inbox"}, "object": {"key": key}}
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": told}]}


def get(s3: BaseClient, key: str, bucket: str = "archive") -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def objects(s3: BaseClient, bucket: str = "archive") -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {one["Key"]: get(s3, one["Key"], bucket) for one in listed}


def uploads(s3: BaseClient) -> int:
    return len(s3.list_multipart_uploads(Bucket="archive").get("Uploads", []))


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data).read()


UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": unzstd,
    "xz": lzma.decompress,
}
ENDS = {"gzip": ".gz", "zstd": ".zst", "xz": ".xz"}


@pytest.mark.parametrize("made", ["gzip", "zstd", "xz"])
@pytest.mark.parametrize("data", [b"", b"text", bytes(range(256)) * 9_000], ids=len)
def test_one_object_is_compressed(s3: BaseClient, handler: Handler, made: str, data: bytes) -> None:
    put(s3, "in/a.log", data)
    answer = handler({"bucket": "inbox", "key": "in/a.log", "format": made}, None)
    assert answer["key"] == "in/a.log" + ENDS[made]
    assert UNPACKED[made](get(s3, answer["key"])) == data
    assert answer["bytes_in"] == len(data)
    assert answer["bytes_out"] == len(get(s3, answer["key"]))


@pytest.mark.parametrize("made", ["zip", "tar", "tar.gz", "tar.zst", "tar.xz"])
def test_a_prefix_becomes_an_archive_and_the_archive_the_prefix(
    s3: BaseClient, handler: Handler, made: str
) -> None:
    for key, data in TREE.items():
        put(s3, key, data)
    put(s3, "logs/folder/", b"")
    put(s3, "other.txt", b"not this")
    order = {"bucket": "inbox", "prefix": "logs/", "format": made, "target_bucket": "inbox"}
    packed = handler({**order, "target_key": f"logs.{made}"}, None)
    assert packed["objects"] == 3
    back = {"action": "extract", "bucket": "inbox", "key": f"logs.{made}"}
    assert handler({**back, "target_prefix": "logs/"}, None)["objects"] == 3
    assert objects(s3) == TREE


def test_ordinary_programs_read_what_was_packed(s3: BaseClient, handler: Handler) -> None:
    for key, data in TREE.items():
        put(s3, key, data)
    handler({"bucket": "inbox", "prefix": "logs/", "format": "zip", "target_key": "a.zip"}, None)
    archive = zipfile.ZipFile(io.BytesIO(get(s3, "a.zip")))
    assert archive.testzip() is None
    assert {one.filename for one in archive.infolist()} == {"a.txt", "deep/b.bin", "ü c.txt"}
    handler({"bucket": "inbox", "prefix": "logs/", "format": "tgz", "target_key": "a"}, None)
    with tarfile.open(fileobj=io.BytesIO(get(s3, "a"))) as tar:
        file = tar.extractfile("deep/b.bin")
        assert file is not None
        assert file.read() == TREE["logs/deep/b.bin"]


@pytest.mark.parametrize("made", ["zip", "tar.gz", "tar.zst", "tar.xz"])
def test_the_same_objects_give_the_same_bytes(s3: BaseClient, handler: Handler, made: str) -> None:
    for key, data in TREE.items():
        put(s3, key, data)
    order = {"bucket": "inbox", "prefix": "logs/", "format": made, "target_key": "a"}
    handler(order, None)
    once = get(s3, "a")
    handler(order, None)
    assert get(s3, "a") == once


def test_an_archive_beside_its_objects_does_not_hold_itself(
    s3: BaseClient, handler: Handler
) -> None:
    put(s3, "logs/a.txt", b"a")
    order = {"bucket": "inbox", "prefix": "logs/", "target_bucket": "inbox", "format": "zip"}
    for _ in range(2):
        assert handler({**order, "target_key": "logs/all.zip"}, None)["objects"] == 1


def test_a_large_object_goes_in_parts_and_memory_stays(s3: BaseClient, handler: Handler) -> None:
    import store  # type: ignore[import-not-found]  # noqa: PLC0415  the loaded function's

    data = os.urandom(30_000_000)
    put(s3, "big", data)
    sent: list[int] = []
    real = store.S3.upload_part

    def send(**given: bytes) -> object:
        sent.append(len(given["Body"]))
        return real(**given)

    store.S3.upload_part = send
    handler({"bucket": "inbox", "key": "big", "format": "zstd", "target_key": "big.zst"}, None)
    assert max(sent) == 8 << 20
    assert unzstd(get(s3, "big.zst")) == data
    assert uploads(s3) == 0


def test_a_failure_on_the_way_leaves_no_object_and_no_parts(
    s3: BaseClient, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    import packing  # type: ignore[import-not-found]  # noqa: PLC0415  the loaded function's

    class Cut(io.BytesIO):
        def read(self, count: int | None = -1) -> bytes:
            if self.tell() > 12_000_000:
                raise ConnectionResetError("cut")
            return super().read(count)

    put(s3, "big", os.urandom(20_000_000))
    monkeypatch.setattr(packing, "opened", lambda found: Cut(get(s3, found.key, "inbox")))
    for made in ("gzip", "zstd", "xz", "zip", "tar"):
        with pytest.raises(ConnectionResetError):
            handler({"bucket": "inbox", "key": "big", "format": made}, None)
    assert objects(s3) == {}
    assert uploads(s3) == 0


def test_a_lone_compressed_object_comes_out_under_its_own_name(
    s3: BaseClient, handler: Handler
) -> None:
    put(s3, "in/a.log.gz", gzip.compress(b"one") + gzip.compress(b"two"))
    put(s3, "in/b.xz", lzma.compress(b"one") + b"\0" * 4 + lzma.compress(b"two"))
    for key in ("in/a.log.gz", "in/b.xz"):
        handler({"action": "extract", "bucket": "inbox", "key": key}, None)
    assert objects(s3) == {"in/a.log/a.log": b"onetwo", "in/b/b": b"onetwo"}


def test_a_notification_is_done_as_the_environment_says(s3: BaseClient) -> None:
    asked = {"ACTION": "extract", "TARGET_BUCKET": "archive", "TARGET_PREFIX": "{name}-out/"}
    with loaded("compress", asked) as handler:
        event = put(s3, "up/set.tar.gz", tarred((entry("./x/a.txt"), b"a"), mode="w:gz"))
        assert handler(event, None)["done"][0]["objects"] == 1
        assert objects(s3) == {"set-out/x/a.txt": b"a"}
        bad = put(s3, "bad.zip", b"PK\x03\x04 no")["Records"]
        event["Records"] += bad  # type: ignore[operator]
        with pytest.raises(Exception, match=r"inbox/bad\.zip: "):
            handler(event, None)


def test_its_own_work_is_never_its_input_and_what_is_gone_is_nothing(
    s3: BaseClient, handler: Handler
) -> None:
    put(s3, "a.txt", b"a")
    handler({"bucket": "inbox", "key": "a.txt", "target_bucket": "inbox"}, None)
    told = {"bucket": {"name": "inbox"}, "object": {"key": "a.txt.gz"}}
    record = {"eventName": "ObjectCreated:Put", "s3": told}
    assert handler({"Records": [record]}, None) == {"done": []}
    told["object"]["key"] = "gone"
    assert handler({"Records": [record]}, None) == {"done": []}


def test_of_a_queue_only_the_failed_messages_come_again(s3: BaseClient, handler: Handler) -> None:
    bodies = [{"bucket": "inbox", "key": "gone"}, put(s3, "a.txt", b"a")]
    records = [
        {"eventSource": "aws:sqs", "messageId": f"m{n}", "body": json.dumps(body)}
        for n, body in enumerate(bodies)
    ]
    failures = handler({"Records": records}, None)["batchItemFailures"]
    assert failures == [{"itemIdentifier": "m0"}]
    assert objects(s3).keys() == {"a.txt.gz"}


def symbolic_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def encrypted_zip() -> bytes:
    data = bytearray(zipped({"a": b"a"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def zip_with_a_large_table() -> bytes:
    data = bytearray(zipped({"a": b"a"}))
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<HHLL", data, end + 8, 1, 1, 0x7FFFFFFF, 0)
    return bytes(data)


def tar_with_a_long_header() -> bytes:
    header = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    header.size = 20 << 20
    return header.tobuf(tarfile.GNU_FORMAT) + b"a" * header.size


BAD = {
    "absolute": (zipped({"/etc/passwd": b"x"}), "absolute name"),
    "dotdot": (zipped({"ok": b"x", "a/../../b": b"x"}), 'leads out by ".."'),
    "backslash": (zipped({"..\\b": b"x"}), 'leads out by ".."'),
    "drive": (zipped({"C:/b": b"x"}), "absolute name"),
    "twice in two spellings": (zipped({"a/b": b"x", "a//b": b"y"}), "two entries have the name"),
    "link in zip": (symbolic_zip(), "is a link or a device"),
    "encrypted": (encrypted_zip(), "is encrypted"),
    "bzip2 in zip": (zipped({"a": b"x" * 99}, zipfile.ZIP_BZIP2), "is packed by method 12"),
    "many": (zipped({str(n): b"" for n in range(51)}), "over ENTRIES_MAX"),
    "large table": (zip_with_a_large_table(), "over ENTRIES_MAX"),
    "tar absolute": (tarred((entry("/a"), b"x")), "absolute name"),
    "tar dotdot": (tarred((entry("ok"), b"x"), (entry("a/../.."), b"x")), 'leads out by ".."'),
    "tar symlink": (tarred((entry("a", tarfile.SYMTYPE, "/etc"), b"")), "is a link"),
    "tar hard link": (tarred((entry("a", tarfile.LNKTYPE, "../b"), b"")), "is a link"),
    "tar device": (tarred((entry("a", tarfile.CHRTYPE), b"")), "a device"),
    "tar fifo": (tarred((entry("a", tarfile.FIFOTYPE), b"")), "a device"),
    "tar many": (tarred(*((entry(str(n)), b"") for n in range(51))), "which is ENTRIES_MAX"),
    "tar long header": (tar_with_a_long_header(), "a header of the archive has"),
    "tar control": (tarred((entry("a\nb"), b"x")), "control characters"),
    "bomb by gzip": (gzip.compress(bytes(70_000_000)), "more than"),
    "bomb by zip": (zipped({"a": bytes(20_000_000)}), "more than"),
    "bomb by many": (zipped({str(n): bytes(2_000_000) for n in range(20)}), "more than"),
    "bomb by xz": (lzma.compress(bytes(70_000_000), preset=1), "more than"),
    "bomb by zstd": (zstandard.compress(bytes(70_000_000)), "more than"),
    "bomb by tar": (tarred((entry("a"), bytes(20_000_000)), mode="w:gz"), "more than"),
    "not one": (b"hello world" * 100, "no zip, tar, gzip, zstd or xz archive"),
    "empty": (b"", "no zip, tar, gzip, zstd or xz archive"),
    "cut gzip": (gzip.compress(os.urandom(5_000))[:-9], "damaged or cut short"),
    "cut xz": (lzma.compress(os.urandom(5_000))[:-9], "damaged or cut short"),
    "cut tar": (tarred((entry("a"), b"x" * 5_000))[:2_000], "damaged or cut short"),
    "cut zip": (zipped({"a": os.urandom(5_000)})[:-30], "cut short"),
    "wrong crc": (zipped({"a": b"abc"}, 0).replace(b"abc", b"abd"), "damaged or cut short"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive_is_refused_and_leaves_nothing(
    s3: BaseClient, handler: Handler, name: str
) -> None:
    data, told = BAD[name]
    put(s3, "bad", data)
    answer = handler({"action": "extract", "bucket": "inbox", "key": "bad"}, None)
    assert answer.get("statusCode") == 400, answer
    assert told in answer["error"]
    assert objects(s3) == {}


def test_a_bomb_costs_little_memory(s3: BaseClient, handler: Handler) -> None:
    for data in (gzip.compress(bytes(200_000_000)), lzma.compress(bytes(200_000_000), preset=1)):
        put(s3, "bad", data)
        tracemalloc.start()
        assert handler({"action": "extract", "bucket": "inbox", "key": "bad"}, None)["statusCode"]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 30_000_000


def test_a_zip64_archive_is_extracted(s3: BaseClient, handler: Handler) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"zip64")
    put(s3, "a.zip", buffer.getvalue())
    handler({"action": "extract", "bucket": "inbox", "key": "a.zip"}, None)
    assert objects(s3) == {"a/a": b"zip64"}


def test_an_archive_does_not_overwrite_itself(s3: BaseClient, handler: Handler) -> None:
    put(s3, "a.zip", zipped({"first": b"1", "a.zip": b"2"}))
    order = {"action": "extract", "bucket": "inbox", "key": "a.zip", "target_bucket": "inbox"}
    answer = handler({**order, "target_prefix": "{dir}"}, None)
    assert "would overwrite the archive" in answer["error"]
    assert objects(s3, "inbox").keys() == {"a.zip"}


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({}, "name a bucket"),
        ([], "must be an object"),
        ({"bucket": "inbox"}, "name a bucket, and a key or a prefix"),
        ({"bucket": "inbox", "key": "gone"}, "inbox/gone is not there"),
        ({"bucket": "inbox", "prefix": "none/"}, "there is nothing under"),
        ({"bucket": "inbox", "prefix": "x/", "format": "gzip"}, "gzip holds one object"),
        ({"bucket": "inbox", "key": "a", "format": "rar"}, "format must be one of zip, tar"),
        ({"bucket": "inbox", "key": "a", "level": 12}, "level must be a whole number from 1 to 9"),
        ({"bucket": "inbox", "key": "a", "levle": 1}, "there is no levle"),
        ({"bucket": "inbox", "prefix": "a", "action": "extract"}, "name its key"),
        ({"bucket": "inbox", "key": "a", "target_key": "{nmae}"}, "there is dir, name"),
    ],
)
def test_a_wrong_order_is_refused_with_a_sentence(
    handler: Handler, order: object, told: str
) -> None:
    answer = handler(order, None)
    assert answer["statusCode"] == 400
    assert told in answer["error"]


def test_too_much_for_one_archive_is_refused(s3: BaseClient, handler: Handler) -> None:
    for number in range(51):
        put(s3, f"many/{number}", b"")
    answer = handler({"bucket": "inbox", "prefix": "many/"}, None)
    assert "there are over 50 objects" in answer["error"]


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=st.dictionaries(NAMES, st.binary(max_size=50), max_size=5), cut=st.integers(0, 60))
def test_no_archive_writes_outside_of_its_prefix(
    s3: BaseClient, handler: Handler, entries: dict[str, bytes], cut: int
) -> None:
    for data in (zipped(entries), tarred(*((entry(k), v) for k, v in entries.items()))):
        for one in (data, data[cut:], data[: max(0, len(data) - cut)]):
            put(s3, "any", one)
            order = {"action": "extract", "bucket": "inbox", "key": "any"}
            answer = handler({**order, "target_prefix": "safe/"}, None)
            assert "objects" in answer or answer["statusCode"] == 400
    for key in objects(s3):
        assert key.startswith("safe/")
        assert ".." not in key.split("/")


def test_its_own_tests_pass_in_a_users_folder(tmp_path: Path) -> None:
    run_its_own_tests("compress", tmp_path)
