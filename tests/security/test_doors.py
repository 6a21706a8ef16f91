"""Grants of the network: a function reaches what was granted, by its doors, and nothing else.

Every refusal has its counterpart: the same probe reaches the same listener from outside, or through
a function that was granted it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import unprivileged
from tests.support.control import ask, deploy
from tests.support.needs import need
from tests.support.platform import Platform, run_platform

Json = Any

APP = """
import errno, json, os, socket, ssl, struct, time, urllib.request

def _try(attempt):
    try:
        return attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def talk(host, port, text):
    with socket.create_connection((host, port), 5) as one:
        one.sendall(text.encode())
        one.shutdown(socket.SHUT_WR)
        return one.makefile("rb").read().decode()

def reset(host, port):
    with socket.create_connection((host, port), 5) as one:
        return one.recv(1).decode() or "closed"

def hello(address, port, name):
    context = ssl.create_default_context()
    context.check_hostname = False
    with socket.create_connection((address, port), 5) as one:
        context.wrap_socket(one, server_hostname=name)

def fast_open(host, port):
    with socket.socket() as one:
        one.settimeout(5)
        one.sendto(b"x", socket.MSG_FASTOPEN, (host, port))
        return one.recv(10).decode()

PROBES = {
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).fileno(),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno(),
    "v6": lambda: socket.socket(socket.AF_INET6).fileno(),
    "unix": lambda: socket.socket(socket.AF_UNIX).fileno(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).fileno(),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).fileno(),
    "vsock": lambda: socket.socket(socket.AF_VSOCK).fileno(),
    "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "listen": lambda: socket.socket().listen(1),
    "device": lambda: socket.socket().setsockopt(1, 25, b"lo"),
    "filter": lambda: socket.socket().setsockopt(1, 26, struct.pack("HL", 0, 0)),
    "mark": lambda: socket.socket().setsockopt(1, 36, 1),
    "ulp": lambda: socket.socket().setsockopt(6, 31, b"tls"),
    "metadata": lambda: socket.create_connection(("169.254.169.254", 80), 3),
    "public": lambda: socket.create_connection(("1.1.1.1", 443), 3),
    "name": lambda: socket.create_connection(("example.com", 443), 3),
}

def handler(event, context):
    do = event["do"]
    if do == "probes":
        return {name: _try(probe) for name, probe in PROBES.items()}
    if do == "environment":
        return sorted(os.environ)
    if do == "hosts":
        return open("/etc/hosts").read()
    if do == "resolve":
        return _try(lambda: sorted({one[4][0] for one in socket.getaddrinfo(event["name"], 443)}))
    deeds = {"talk": talk, "reset": reset, "hello": hello, "open": fast_open}
    return _try(lambda: deeds[do](*event["with"]))

if os.environ.get("AT_IMPORT"):
    IMPORTED = _try(lambda: talk("localhost", int(os.environ["AT_IMPORT"]), "import"))
"""


@dataclass
class Echo:
    """A listener of the host that says back what it hears, and counts who came."""

    port: int
    came: int = 0


@contextlib.contextmanager
def echo() -> Iterator[Echo]:
    """An `Echo` for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Echo(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                one.came += 1
                with client, contextlib.suppress(OSError):
                    while block := client.recv(65_536):
                        client.sendall(block)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield one
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module", params=["root", "an ordinary user"])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    ordinary = request.param == "an ordinary user"
    if ordinary:
        need(unprivileged.user_namespaces(), "user namespaces for ordinary users")
    with run_platform(ordinary_user=ordinary) as one:
        yield one


def _function(platform: Platform, grants: str, environment: str = "") -> str:
    name = platform.new_name("doors")
    manifest = (
        f'[function]\nname = "{name}"\nhandler = "app.handler"\ntimeout = "20s"\nmemory = 256\n'
        f"[function.env]\n{environment}\n[grants]\n{grants}\n"
    )
    last = deploy(platform, {"mayfly.toml": manifest, "app.py": APP})
    assert "error" not in last, last
    return name


def _call(platform: Platform, name: str, event: Mapping[str, Json]) -> Json:
    answer = platform.client().invoke(FunctionName=name, Payload=json.dumps(event))
    found = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, found
    return found


def test_a_granted_port_is_reached_and_its_neighbour_is_not(platform: Platform) -> None:
    with echo() as granted, echo() as other:
        name = _function(platform, f'net = ["localhost:{granted.port}"]')
        talked = {"do": "talk", "with": ["localhost", granted.port, "hello"]}
        assert _call(platform, name, talked) == "hello"
        refused = {"do": "talk", "with": ["127.0.0.1", other.port, "hello"]}
        assert _call(platform, name, refused) in ("EACCES", "ECONNREFUSED")
        assert (granted.came, other.came) == (1, 0)
        second = _function(platform, f'net = ["localhost:{other.port}"]')
        assert _call(platform, second, {**refused, "with": ["localhost", other.port, "x"]}) == "x"


def test_a_door_is_there_at_import_as_well(platform: Platform) -> None:
    with echo() as granted:
        port = granted.port
        name = _function(platform, f'net = ["localhost:{port}"]', f'AT_IMPORT = "{port}"')
        assert granted.came == 1
        hello = {"do": "talk", "with": ["localhost", port, "again"]}
        assert _call(platform, name, hello) == "again"


def test_a_name_and_a_number_stand_for_doors(platform: Platform) -> None:
    name = _function(platform, 'net = ["db.internal:5432", "db.internal:6432", "10.9.8.7:80"]')
    hosts = _call(platform, name, {"do": "hosts"})
    assert hosts.count("db.internal") == 1
    # Nobody is at either, so the relay resets: but each is a door, not an unreachable network.
    for target in (["db.internal", 5432], ["db.internal", 6432]):
        assert _call(platform, name, {"do": "reset", "with": target}) == "ECONNRESET"


def test_a_door_to_nobody_resets(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    name = _function(platform, f'net = ["127.0.0.1:{free}"]')
    reset = {"do": "reset", "with": ["127.0.0.1", free]}
    assert _call(platform, name, reset) == "ECONNRESET"


def test_beside_its_doors_a_function_reaches_nothing(platform: Platform) -> None:
    with echo() as granted:
        name = _function(platform, f'net = ["localhost:{granted.port}"]')
        found = _call(platform, name, {"do": "probes"})
    # By Landlock, as the port is no door's; where the kernel has none, there is no way there.
    assert {found["public"], found["metadata"]} <= {"EACCES", "ENETUNREACH"}
    assert found["name"] == "gaierror"
    families = {"udp", "raw", "v6", "unix", "netlink", "packet", "vsock"}
    assert {found[one] for one in families} == {"EAFNOSUPPORT"}
    options = {"bind", "listen", "device", "filter", "mark", "ulp"}
    assert {found[one] for one in options} == {"EPERM"}


def test_a_name_that_was_not_granted_is_told_to_the_owner(platform: Platform) -> None:
    with echo() as granted:
        name = _function(platform, f'net = ["localhost:{granted.port}", "api.example.com:443"]')
        resolved = _call(platform, name, {"do": "resolve", "name": "api.example.com"})
        assert resolved[0].startswith("127.1.")
        foreign = {"do": "resolve", "name": "tracker.example.net"}
        assert _call(platform, name, foreign) == "gaierror"
    grant = "net:tracker.example.net:PORT"
    metrics = platform.get("/metrics").body.decode()
    assert f'mayfly_grants_missing_total{{function="{name}",grant="{grant}"}} 1.0' in metrics
    assert f"event=grant_missing function={name} grant={grant}" in platform.log()
    lines = ask(platform, "GET", f"/_mayfly/v1/logs/{name}").body.decode()
    assert "tracker.example.net:PORT" in lines
    assert "under [grants]" in lines


def test_a_wildcard_lets_tls_to_its_hosts_pass_and_tells_of_the_rest(platform: Platform) -> None:
    name = _function(platform, 'net = ["*.mayfly-test.invalid:443"]')
    hosts = _call(platform, name, {"do": "hosts"})
    assert "mayfly-test" not in hosts
    [address] = _call(platform, name, {"do": "resolve", "name": "a.mayfly-test.invalid"})
    for other in ("mayfly-test.invalid", "a.b.mayfly-test.invalid"):
        assert _call(platform, name, {"do": "resolve", "name": other}) == "gaierror"
    for host in ("a.mayfly-test.invalid", "evil.example", None):
        said = _call(platform, name, {"do": "hello", "with": [address, 443, host]})
        assert said == "ECONNRESET", host
    log = [line for line in platform.log().splitlines() if f"function={name} " in line]
    told = "\n".join(log)
    # The first is let through to be looked up, and there is none outside.
    assert "target=a.mayfly-test.invalid:443" in told
    assert "grant=net:a.mayfly-test.invalid" not in told
    assert "grant=net:evil.example:443" in told
    assert "grant=net:HOST:443" in told


def test_without_a_grant_there_is_no_socket_at_all(platform: Platform) -> None:
    with echo() as other:
        name = _function(platform, "")
        talk = {"do": "talk", "with": ["127.0.0.1", other.port, "hello"]}
        assert _call(platform, name, talk) == "ENETUNREACH"
        assert other.came == 0
    assert not [one for one in _call(platform, name, {"do": "environment"}) if "KEY" in one]


def test_a_fast_open_passes_no_other_door(platform: Platform) -> None:
    with echo() as granted, echo() as other:
        name = _function(platform, f'net = ["localhost:{granted.port}"]')
        event = {"do": "open", "with": ["127.0.0.1", other.port]}
        assert _call(platform, name, event) != "x"
        assert other.came == 0


def test_a_large_body_passes_a_door_unchanged(platform: Platform) -> None:
    with echo() as granted:
        name = _function(platform, f'net = ["localhost:{granted.port}"]')
        text = "0123456789" * 20_000
        assert (
            _call(platform, name, {"do": "talk", "with": ["localhost", granted.port, text]}) == text
        )


def test_what_went_through_doors_is_counted(platform: Platform) -> None:
    with echo() as granted:
        name = _function(platform, f'net = ["localhost:{granted.port}"]')
        _call(platform, name, {"do": "talk", "with": ["localhost", granted.port, "12345"]})
    metrics = platform.get("/metrics").body.decode()
    assert f'mayfly_egress_connections_total{{function="{name}",outcome="made"}} 1.0' in metrics
    for direction in ("sent", "received"):
        series = f'mayfly_egress_bytes_total{{direction="{direction}",function="{name}"}} 5.0'
        assert series in metrics


def test_a_removed_function_leaves_no_door(platform: Platform) -> None:
    with echo() as granted:
        name = _function(platform, f'net = ["localhost:{granted.port}"]')
        _call(platform, name, {"do": "talk", "with": ["localhost", granted.port, "x"]})
        assert ask(platform, "DELETE", f"/_mayfly/v1/functions/{name}").status == 204
        again = _function(platform, f'net = ["localhost:{granted.port}"]')
        assert (
            _call(platform, again, {"do": "talk", "with": ["localhost", granted.port, "y"]}) == "y"
        )
