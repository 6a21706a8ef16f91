"""The tools that people have for S3, unmodified: `aws s3`, `aws s3api`, rclone, s3cmd, s3fs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.needs import need, need_command
from tests.support.objects import body_of, new_bucket
from tests.support.platform import Platform, fetch

LARGE = 12_000_000
Run = Callable[..., str]


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    with new_bucket(platform) as name:
        yield name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with names that break careless tools, and a file that takes several parts."""
    folder = tmp_path / "from"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "a b+c&d.txt").write_bytes(b"one")
    (folder / "sub" / "ü.txt").write_bytes(b"two")
    (folder / "sub" / "deep" / "empty").write_bytes(b"")
    (folder / "large.bin").write_bytes(os.urandom(LARGE))
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Every file's digest, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def runner(platform: Platform, home: Path, *command: str) -> Run:
    """Runs a program with the environment that `mayfly env` prints."""
    environment = platform.environment | {"AWS_PAGER": "", "HOME": str(home), "LC_ALL": "C.UTF-8"}

    def run(*arguments: str, code: int = 0) -> str:
        ended = subprocess.run(
            [*command, *arguments],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout

    return run


@pytest.fixture
def aws(platform: Platform, tmp_path: Path) -> Run:
    return runner(platform, tmp_path, sys.executable, str(Path(sys.executable).with_name("aws")))


def test_aws_s3_moves_files_and_folders(
    aws: Run, platform: Platform, bucket: str, folder: Path, tmp_path: Path
) -> None:
    url = f"s3://{bucket}"
    aws("s3", "sync", str(folder), f"{url}/in")
    assert "large.bin" not in aws("s3", "sync", str(folder), f"{url}/in")
    assert "PRE sub/" in aws("s3", "ls", f"{url}/in/")
    listing = aws("s3", "ls", f"{url}/in/", "--recursive", "--summarize")
    assert "Total Objects: 4" in listing
    aws("s3", "sync", f"{url}/in", str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(folder)
    aws("s3", "cp", f"{url}/in/large.bin", f"{url}/copy.bin")
    aws("s3", "mv", f"{url}/copy.bin", f"{url}/moved.bin")
    aws("s3", "mv", f"{url}/in/sub", f"{url}/out", "--recursive")
    names = aws("s3api", "list-objects-v2", "--bucket", bucket, "--query", "Contents[].Key")
    assert sorted(json.loads(names)) == [
        *("in/a b+c&d.txt", "in/large.bin", "moved.bin", "out/deep/empty", "out/ü.txt"),
    ]
    url_of_one = aws("s3", "presign", f"{url}/moved.bin").strip()
    assert hashlib.sha256(fetch(url_of_one).body).hexdigest() == contents(folder)["large.bin"]
    aws("s3", "rm", f"{url}/out", "--recursive")
    (folder / "large.bin").unlink()
    aws("s3", "sync", "--delete", str(folder), f"{url}/in")
    assert "in/large.bin" not in aws("s3", "ls", url, "--recursive")
    other = platform.new_name("cli")
    aws("s3", "mb", f"s3://{other}")
    assert other in aws("s3", "ls")
    aws("s3", "rb", f"s3://{other}")


def test_aws_s3api_speaks_of_every_detail(aws: Run, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"0123456789")
    target = ("--bucket", bucket, "--key", "k")
    put = ("put-object", *target, "--body", "body", "--checksum-algorithm", "SHA256")
    put_told = json.loads(aws("s3api", *put, "--metadata", "a=b", "--content-type", "x/y"))
    head = json.loads(aws("s3api", "head-object", *target, "--checksum-mode", "ENABLED"))
    assert head["ChecksumSHA256"] == put_told["ChecksumSHA256"]
    assert (head["Metadata"], head["ContentType"]) == ({"a": "b"}, "x/y")
    aws("s3api", "get-object", *target, "--range", "bytes=2-4", "part")
    assert (tmp_path / "part").read_bytes() == b"234"
    attributes = ("--object-attributes", "ObjectSize", "ETag")
    told = json.loads(aws("s3api", "get-object-attributes", *target, *attributes))
    assert told["ObjectSize"] == 10
    enabled = ("--versioning-configuration", "Status=Enabled")
    aws("s3api", "put-bucket-versioning", "--bucket", bucket, *enabled)
    aws("s3api", "delete-object", *target)
    versions = json.loads(aws("s3api", "list-object-versions", "--bucket", bucket))
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (1, 1)
    aws("s3api", "wait", "object-not-exists", *target)
    aws("s3api", "get-object", *target, "gone", code=255)


def test_rclone_copies_syncs_and_checks(
    platform: Platform, bucket: str, folder: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "rclone.conf"
    settings.write_text(
        "[m]\ntype = s3\nprovider = Other\nenv_auth = true\nregion = us-east-1\n"
        f"endpoint = {platform.endpoint}\n"
    )
    fast = ("--retries", "1", "--low-level-retries", "1", "--s3-chunk-size", "5Mi")
    small_cutoff = ("--s3-upload-cutoff", "6Mi", "--config", str(settings))
    rclone = runner(platform, tmp_path, need_command("rclone"), *fast, *small_cutoff)
    there = f"m:{bucket}/in"
    rclone("copy", str(folder), there)
    rclone("check", "--download", str(folder), there)
    assert json.loads(rclone("size", there, "--json"))["count"] == 4
    rclone("copy", there, str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(folder)
    rclone("moveto", f"{there}/large.bin", f"m:{bucket}/moved.bin")
    (folder / "large.bin").unlink()
    rclone("sync", str(folder), f"m:{bucket}/synced")
    assert sorted(rclone("lsf", "-R", "--files-only", f"m:{bucket}").splitlines()) == [
        *("in/a b+c&d.txt", "in/sub/deep/empty", "in/sub/ü.txt", "moved.bin"),
        *("synced/a b+c&d.txt", "synced/sub/deep/empty", "synced/sub/ü.txt"),
    ]
    rclone("purge", f"m:{bucket}/in")
    assert rclone("cat", f"m:{bucket}/synced/sub/ü.txt") == "two"
    other = platform.new_name("rclone")
    rclone("mkdir", f"m:{other}")
    assert f"{other}/" in rclone("lsf", "m:").splitlines()
    rclone("rmdir", f"m:{other}")


def test_s3cmd_works_as_it_comes(
    platform: Platform, bucket: str, folder: Path, tmp_path: Path
) -> None:
    place = urlsplit(platform.endpoint).netloc
    settings = tmp_path / "s3cfg"
    settings.write_text(
        f"[default]\naccess_key = {platform.access_key_id}\n"
        f"secret_key = {platform.secret_access_key}\nhost_base = {place}\n"
        f"host_bucket = {place}\nuse_https = False\nmultipart_chunk_size_mb = 5\n"
    )
    s3cmd = runner(platform, tmp_path, need_command("s3cmd"), "-c", str(settings))
    url = f"s3://{bucket}"
    s3cmd("sync", f"{folder}/", f"{url}/in/")
    listed = s3cmd("ls", "-r", url)
    for name in ("in/a b+c&d.txt", "in/large.bin", "in/sub/ü.txt"):
        assert name in listed
    (tmp_path / "back").mkdir()
    s3cmd("get", "-r", f"{url}/in/", f"{tmp_path}/back/")
    assert contents(tmp_path / "back") == contents(folder)
    s3cmd("cp", f"{url}/in/large.bin", f"{url}/copy.bin")
    s3cmd("mv", f"{url}/copy.bin", f"{url}/moved.bin")
    assert "ACL:" in s3cmd("info", f"{url}/moved.bin")
    assert "Location:" in s3cmd("info", url)
    signed = s3cmd("signurl", f"{url}/in/sub/ü.txt", "+60").strip()
    assert fetch(f"{platform.endpoint}{urlsplit(signed).path}?{urlsplit(signed).query}").body == (
        b"two"
    )
    s3cmd("del", "-r", "--force", f"{url}/in/")
    assert "in/" not in s3cmd("ls", "-r", url)
    other = platform.new_name("s3cmd")
    s3cmd("mb", f"s3://{other}")
    s3cmd("rb", f"s3://{other}")


S3FS = """
import os, sys
import s3fs
bucket, folder = sys.argv[1:]
fs = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"])
fs.put(folder + "/", f"{bucket}/in/", recursive=True)
assert sorted(fs.find(f"{bucket}/in")) == sorted(
    f"{bucket}/in/{one}" for one in ("a b+c&d.txt", "large.bin", "sub/ü.txt", "sub/deep/empty")
), fs.find(f"{bucket}/in")
with fs.open(f"{bucket}/in/large.bin", "rb") as file:
    file.seek(5_000_000)
    part = file.read(100)
with open(folder + "/large.bin", "rb") as file:
    whole = file.read()
assert part == whole[5_000_000:5_000_100]
with fs.open(f"{bucket}/written", "wb", block_size=5 * 2**20) as file:
    file.write(whole)
assert fs.cat(f"{bucket}/written") == whole
fs.copy(f"{bucket}/written", f"{bucket}/copied")
assert fs.info(f"{bucket}/copied")["size"] == len(whole)
fs.mv(f"{bucket}/copied", f"{bucket}/moved")
assert not fs.exists(f"{bucket}/copied") and fs.exists(f"{bucket}/moved")
fs.rm(f"{bucket}/in", recursive=True)
assert fs.ls(bucket, refresh=True) == [f"{bucket}/moved", f"{bucket}/written"]
print("done")
"""


def test_s3fs_is_a_file_system(
    platform: Platform, bucket: str, folder: Path, tmp_path: Path
) -> None:
    python = Path(__file__).parents[2] / ".venv-clients" / "bin" / "python"
    need(python.exists(), "s3fs in .venv-clients (scripts/setup-clients)")
    (tmp_path / "use.py").write_text(S3FS)
    run = runner(platform, tmp_path, str(python), str(tmp_path / "use.py"))
    assert run(bucket, str(folder)) == "done\n"
    told = platform.client("s3").get_object(Bucket=bucket, Key="written")
    assert body_of(told) == (folder / "large.bin").read_bytes()
    shutil.rmtree(folder)
