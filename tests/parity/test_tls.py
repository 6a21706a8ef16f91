"""TLS: on wherever others can reach the listener, by a certificate that clients are told of."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import SSLError

from mayfly.api.certificates import make_self_signed
from mayfly.daemon.world import RealClock
from tests.support.needs import need
from tests.support.platform import (
    Platform,
    platform_folder,
    run_platform,
    start_daemon,
    stop_daemon,
)

APP = """
import os, urllib.error, urllib.request

def handler(event, context):
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    try:
        urllib.request.urlopen(endpoint + "/kept?list-type=2", timeout=5)
    except urllib.error.HTTPError as answered:
        return [endpoint, answered.code]
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform(listen="0.0.0.0:0") as one:
        yield one


def _described(platform: Platform) -> dict[str, str]:
    found: dict[str, str] = json.loads((platform.data / "endpoint.json").read_text())
    return found


def _port(platform: Platform) -> int:
    return int(platform.endpoint.rpartition(":")[2])


def _client(platform: Platform, service: str, ca_path: str | bool, host: str = "") -> BaseClient:
    endpoint = f"https://{host}:{_port(platform)}" if host else platform.endpoint
    settings = Config(retries={"total_max_attempts": 1}, connect_timeout=5)
    return platform.session.client(service, endpoint_url=endpoint, config=settings, verify=ca_path)


def test_boto3_with_the_certificate_works_and_without_it_does_not(platform: Platform) -> None:
    assert platform.endpoint.startswith("https://")
    told = _described(platform)
    client = _client(platform, "lambda", told["certificate"])
    assert client.list_functions()["Functions"] >= []
    with pytest.raises(SSLError):
        _client(platform, "lambda", True).list_functions()
    with pytest.raises(SSLError):
        _client(platform, "lambda", str(_foreign(platform.data.parent))).list_functions()


def _mayfly(platform: Platform, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "mayfly.cli", *words, "--data", str(platform.data)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def _foreign(folder: Path) -> Path:
    """A certificate of somebody else for the same names."""
    now = dt.datetime.fromtimestamp(RealClock().now_ms() / 1000, dt.UTC)
    path = folder / "foreign.pem"
    path.write_bytes(make_self_signed(["127.0.0.1", "localhost"], now))
    return path


def test_the_certificate_covers_the_names_of_the_machine(platform: Platform) -> None:
    ca_path = _described(platform)["certificate"]
    names = {"localhost", "127.0.0.1"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
        one.connect(("192.0.2.1", 9))  # Sends nothing: the kernel picks an address.
        names.add(one.getsockname()[0])
    for host in names:
        assert "Functions" in _client(platform, "lambda", ca_path, host).list_functions()


def test_large_bodies_and_urls_pass(platform: Platform) -> None:
    ca_path = _described(platform)["certificate"]
    objects = _client(platform, "s3", ca_path)
    objects.create_bucket(Bucket="large")
    body = bytes(range(256)) * 40_000
    objects.put_object(Bucket="large", Key="one", Body=body)
    assert objects.get_object(Bucket="large", Key="one")["Body"].read() == body
    queues = _client(platform, "sqs", ca_path)
    url = queues.create_queue(QueueName="q")["QueueUrl"]
    assert url.startswith(f"{platform.endpoint}/")


def test_the_command_line_trusts_its_data_folder_and_says_what_clients_need(
    platform: Platform,
) -> None:
    told = _described(platform)

    assert "AWS_CA_BUNDLE" in _mayfly(platform, "env")
    environment = json.loads(_mayfly(platform, "env", "--json"))
    assert environment["AWS_CA_BUNDLE"] == told["certificate"]
    assert environment["AWS_ENDPOINT_URL"] == platform.endpoint
    _mayfly(platform, "ls")
    again = _mayfly(platform, "up", "-d")
    assert told["fingerprint"] in again
    assert told["certificate"] in again


def test_the_command_line_takes_no_other_certificate(platform: Platform, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(platform.data, data, ignore=shutil.ignore_patterns("runtimes", "mayfly.db*"))
    told = {**_described(platform), "certificate": str(_foreign(tmp_path))}
    (data / "endpoint.json").write_text(json.dumps(told))
    done = subprocess.run(
        [sys.executable, "-m", "mayfly.cli", "ls", "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_curl_speaks_tls_1_3_and_not_1_1(platform: Platform) -> None:
    need(shutil.which("curl") is not None, "curl")
    ca_path = _described(platform)["certificate"]
    url = f"{platform.endpoint}/_mayfly/health"
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", ca_path, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert '"ok"' in done.stdout, done.stderr
    refused = subprocess.run([*command[:-3], url], capture_output=True, check=False, timeout=30)
    assert refused.returncode == 60


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions_before_1_2_are_refused(platform: Platform) -> None:
    def handshake(version: ssl.TLSVersion) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", _port(platform)), 5) as one,
            context.wrap_socket(one) as line,
        ):
            return line.version()

    assert handshake(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert handshake(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(OSError, match=r"(?i)ssl|reset"):
        handshake(ssl.TLSVersion.TLSv1_1)


def test_plain_http_is_not_answered_and_the_platform_goes_on(platform: Platform) -> None:
    with socket.create_connection(("127.0.0.1", _port(platform)), 5) as one:
        one.sendall(b"GET /_mayfly/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in one.recv(1_000)
    context = ssl.create_default_context(cafile=_described(platform)["certificate"])
    with (
        socket.create_connection(("127.0.0.1", _port(platform)), 5) as one,
        context.wrap_socket(one, server_hostname="localhost") as line,
    ):
        line.sendall(b"GET /_mayfly/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert line.recv(1_000).startswith(b"HTTP/1.1 200")


def test_doors_stay_plain(platform: Platform, tmp_path: Path) -> None:
    ca_path = _described(platform)["certificate"]
    _client(platform, "s3", ca_path).create_bucket(Bucket="kept")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "mayfly.toml").write_text(
        '[function]\nname = "plain"\nhandler = "app.handler"\n[grants]\nobjects = ["kept:read"]\n'
    )
    _mayfly(platform, "deploy", str(tmp_path))
    answer = _client(platform, "lambda", ca_path).invoke(FunctionName="plain")
    # Nobody signed it; it is the platform that says so.
    assert json.loads(answer["Payload"].read()) == ["http://127.1.0.1", 404]


def test_off_must_be_said_and_is_plain() -> None:
    with run_platform(listen="0.0.0.0:0", settings={"MAYFLY_TLS": "off"}) as plain:
        assert plain.endpoint.startswith("http://")
        assert plain.get("/_mayfly/health").status == 200
        assert not (plain.data / "tls").exists()


def test_loopback_is_plain_unless_told_and_a_configured_certificate_is_shown() -> None:
    folder = platform_folder()
    try:
        path = _foreign(folder)
        settings = {"MAYFLY_TLS_CERTIFICATE": str(path), "MAYFLY_TLS_KEY": str(path)}
        with run_platform(settings=settings) as one:
            assert one.endpoint.startswith("https://127.0.0.1:")
            assert "Functions" in _client(one, "lambda", str(path)).list_functions()
            assert "self_signed" in _described(one)
            assert not _described(one)["self_signed"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_one_half_of_a_pair_is_refused() -> None:
    folder = platform_folder()
    try:
        with pytest.raises(AssertionError, match="tls_certificate and tls_key"):
            start_daemon(folder, settings={"MAYFLY_TLS_CERTIFICATE": "/etc/any.pem"})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_it_is_kept_over_a_restart() -> None:
    folder = platform_folder()
    fingerprints = set()
    try:
        for _ in range(2):
            one = start_daemon(folder, settings={"MAYFLY_TLS": "on"})
            fingerprints.add(_described(one)["fingerprint"])
            assert stop_daemon(one) == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert len(fingerprints) == 1
