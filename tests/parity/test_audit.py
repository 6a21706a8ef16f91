"""An audit's claims, tried from inside: what it says is there is there, and nothing else is."""

from __future__ import annotations

import json
import platform as machine
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.control import ask, deploy
from tests.support.needs import need
from tests.support.platform import Platform, run_platform
from tests.support.unprivileged import user_namespaces

# Looks at everything that it can reach, and says what it found.
PROBE = """
import ctypes, os, stat

OUTSIDE = ("/proc", "/dev", "/tmp")

def look():
    files = links = setuid = 0
    places, changed = [], []
    for here, folders, names in os.walk("/"):
        if here == "/":
            folders[:] = [one for one in folders if "/" + one not in OUTSIDE]
        links += sum(os.path.islink(here + "/" + one) for one in folders)
        try:
            os.close(os.open(here + "/.probe", os.O_CREAT | os.O_WRONLY))
            places.append(here)
        except OSError:
            pass
        for name in names:
            path = here + "/" + name
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                continue
            files += 1
            setuid += bool(mode & (stat.S_ISUID | stat.S_ISGID))
            try:
                os.close(os.open(path, os.O_WRONLY))
                changed.append(path)
            except OSError:
                pass
    return files, links, setuid, places, changed

def calls(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    told = {}
    for name, number in numbers.items():
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
        told[name] = ctypes.get_errno() if result == -1 else 0
    return told

def handler(event, context):
    files, links, setuid, places, changed = look()
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines()
                  if ":\\t" in line)
    tmp = os.statvfs("/tmp")
    return {
        "files": files, "links": links, "setuid": setuid, "places": places, "changed": changed,
        "tmp": [tmp.f_blocks * tmp.f_frsize, bool(tmp.f_flag & os.ST_NOEXEC)],
        "devices": sorted(one for one in os.listdir("/dev")
                          if stat.S_ISCHR(os.lstat("/dev/" + one).st_mode)),
        "environment": sorted(os.environ),
        "uid": os.getuid(),
        "status": {key: status[key].strip() for key in
                   ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp")},
        "namespaces": {one: os.readlink("/proc/self/ns/" + one) for one in event["namespaces"]},
        "calls": calls(event["calls"]),
        "descriptors": __import__("resource").getrlimit(__import__("resource").RLIMIT_NOFILE)[1],
    }
"""
# Numbers on both architectures; each is refused without looking at its arguments.
REFUSED = {
    "x86_64": {
        "mount": 165,
        "ptrace": 101,
        "bpf": 321,
        "keyctl": 250,
        "unshare": 272,
        "userfaultfd": 323,
        "perf_event_open": 298,
        "init_module": 175,
        "reboot": 169,
        "io_uring_setup": 425,
        "memfd_create": 319,
        "process_vm_readv": 310,
        "setns": 308,
        "open_by_handle_at": 304,
        "add_key": 248,
        "bind": 49,
        "listen": 50,
        "chroot": 161,
    },
    "aarch64": {
        "mount": 40,
        "ptrace": 117,
        "bpf": 280,
        "keyctl": 219,
        "unshare": 97,
        "userfaultfd": 282,
        "perf_event_open": 241,
        "init_module": 105,
        "reboot": 142,
        "io_uring_setup": 425,
        "memfd_create": 279,
        "process_vm_readv": 270,
        "setns": 268,
        "open_by_handle_at": 265,
        "add_key": 217,
        "bind": 200,
        "listen": 201,
        "chroot": 51,
    },
}
NAMESPACES = {
    "mount": "mnt",
    "network": "net",
    "pid": "pid",
    "user": "user",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroup",
}
# A control: one that is allowed reaches the kernel, which finds no such descriptor.
CLOSE = {"x86_64": 3, "aarch64": 57}
EPERM, EBADF, ENOSYS = 1, 9, 38


@pytest.fixture(scope="module", params=[False, True], ids=["as-started", "ordinary-user"])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    ordinary_user = bool(request.param)
    need(not ordinary_user or user_namespaces(), "user namespaces for ordinary users")
    with run_platform(ordinary_user=ordinary_user) as running:
        yield running


@pytest.fixture(scope="module", params=["", 'queues = ["mail:send"]'], ids=["bare", "granted"])
def seen(
    platform: Platform, request: pytest.FixtureRequest
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """An audit's facts, and what a probe found inside."""
    name = platform.new_name()
    manifest = (
        f'[function]\nname = "{name}"\nhandler = "app.handler"\ntimeout = 60\nmemory = 256\n'
        f'[function.env]\nGREETING = "hello-secret-value"\n[grants]\n{request.param}\n'
    )
    assert "error" not in deploy(platform, {"mayfly.toml": manifest, "app.py": PROBE})
    architecture = machine.machine()
    calls = {**REFUSED[architecture], "close": CLOSE[architecture]}
    asked = {"calls": calls, "namespaces": list(NAMESPACES.values())}
    answer = platform.client().invoke(FunctionName=name, Payload=json.dumps(asked).encode())
    found = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, found
    return facts(audit(platform, name)), found


def audit(platform: Platform, name: str) -> dict[str, object]:
    answer = ask(platform, "GET", f"/_mayfly/v1/audit/{name}")
    assert answer.status == 200, answer.body
    document: dict[str, object] = json.loads(answer.body)
    return document


def facts(document: Mapping[str, object]) -> Mapping[str, object]:
    found = document["facts"]
    assert isinstance(found, dict)
    return found


Seen = tuple[Mapping[str, object], Mapping[str, object]]


def test_the_files_are_those_that_a_walk_finds(seen: Seen) -> None:
    told, found = seen
    image = told["image"]
    assert isinstance(image, dict)
    assert (image["files"], image["links"]) == (found["files"], found["links"])
    assert (image["setuid"], image["shells"]) == ([], [])
    assert found["setuid"] == 0


def test_nothing_but_tmp_can_be_written(seen: Seen) -> None:
    told, found = seen
    assert (found["places"], found["changed"]) == ([], [])
    tmp = found["tmp"]
    assert isinstance(tmp, list)
    assert told["writable"] == [
        {"path": "/tmp", "bytes": tmp[0], "executable": not tmp[1], "lasting": False}
    ]
    assert tmp[1], "noexec"


def test_devices_environment_and_identity_are_as_told(seen: Seen) -> None:
    told, found = seen
    assert told["devices"] == found["devices"]
    assert told["environment"] == found["environment"]
    assert told["uid"] == found["uid"]
    assert told["uid_outside"] in ("nobody", "the platform's user")
    status = found["status"]
    assert isinstance(status, dict)
    assert {int(status[key], 16) for key in status if key.startswith("Cap")} == {0}
    assert told["capabilities"] == []
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_calls_that_are_not_told_are_refused(seen: Seen) -> None:
    told, found = seen
    allowed, tried = told["syscalls"], found["calls"]
    assert isinstance(allowed, list)
    assert isinstance(tried, dict)
    assert set(tried) & set(allowed) == {"close"}
    assert {tried[one] for one in tried if one != "close"} <= {EPERM, ENOSYS}
    assert tried["close"] == EBADF
    assert len(allowed) < told["syscalls_of_kernel"]  # type: ignore[operator]


def test_the_namespaces_are_not_the_machine_s(seen: Seen) -> None:
    told, found = seen
    inside = found["namespaces"]
    assert isinstance(inside, dict)
    assert told["namespaces"] == sorted(NAMESPACES)
    for kind in NAMESPACES.values():
        assert inside[kind] != str(Path(f"/proc/self/ns/{kind}").readlink())


def test_limits_are_those_inside(seen: Seen) -> None:
    told, found = seen
    limits = told["limits"]
    assert isinstance(limits, dict)
    assert limits["open_files"] == found["descriptors"]
    assert limits["memory_bytes"] == 256 << 20
    assert limits["timeout_s"] == 60


def test_an_audit_holds_names_and_no_values(platform: Platform) -> None:
    name = platform.new_name()
    manifest = (
        f'[function]\nname = "{name}"\nhandler = "app.handler"\n'
        '[function.env]\nGREETING = "hello-secret-value"\n[grants]\nsecrets = ["stripe-key"]\n'
    )
    ask(platform, "PUT", "/_mayfly/v1/secrets/stripe-key", b"sk-live-value")
    deploy(platform, {"mayfly.toml": manifest, "app.py": PROBE})
    document = audit(platform, name)
    assert facts(document)["secrets"] == ["stripe-key"]
    text = json.dumps(document)
    assert "GREETING" in text
    assert "STRIPE_KEY" in text
    assert "hello-secret-value" not in text
    assert "sk-live-value" not in text


def test_findings_name_what_breaks_each_rule(platform: Platform) -> None:
    name = platform.new_name()
    manifest = (
        f'[function]\nname = "{name}"\nhandler = "app.handler"\nreuse = "warm"\n'
        '[url]\nauth = "none"\n[grants]\n'
        'net = ["*.example.com:443", "10.1.2.3:80"]\nobjects = ["photos:read", "out:write"]\n'
    )
    assert "error" not in deploy(platform, {"mayfly.toml": manifest, "app.py": PROBE})
    ask(platform, "PUT", f"/_mayfly/v1/grants/{name}", b'{"grants": ["invoke=f"]}')
    found = audit(platform, name)["findings"]
    assert isinstance(found, list)
    broken = {one["rule"]: one["what"] for one in found}
    broken.pop("soft-limits", None)
    broken.pop("no-landlock", None)
    assert broken == {
        "net": ["net=*.example.com:443", "net=10.1.2.3:80"],
        "wildcard-net": ["net=*.example.com:443"],
        "private-net": ["net=10.1.2.3:80"],
        "objects-write": ["objects=out:write"],
        "invoke": ["invoke=f"],
        "hand-grants": ["invoke=f (by hand)"],
        "reuse-warm": ['reuse = "warm"'],
        "url-open": ['[url] auth = "none"'],
    }


def test_a_webhook_that_was_made_by_hand_is_an_entry_too(platform: Platform) -> None:
    name = platform.new_name()
    manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n'
    own = '[[trigger]]\ntype = "webhook"\nscheme = "none"\n'
    assert "error" not in deploy(platform, {"mayfly.toml": manifest + own, "app.py": PROBE})
    assert len(entries(platform, name)) == 1
    made = json.dumps({"function": name, "scheme": "none"}).encode()
    ask(platform, "PUT", f"/_mayfly/v1/webhooks/{name}-hand", made)
    assert len(entries(platform, name)) == 2
    assert "error" not in deploy(platform, {"mayfly.toml": manifest, "app.py": PROBE})
    assert entries(platform, name) == [f"webhook name={name}-hand scheme=none"]


def entries(platform: Platform, name: str) -> list[str]:
    """The triggers, all of them webhooks that are open; the rule names each."""
    told = audit(platform, name)
    found = told["findings"]
    assert isinstance(found, list)
    broken = {one["rule"]: list(one["what"]) for one in found}
    assert facts(told)["triggers"] == broken["webhook-open"]
    return broken["webhook-open"]


def test_an_unknown_function_has_no_audit(platform: Platform) -> None:
    assert ask(platform, "GET", "/_mayfly/v1/audit/nobody").status == 404
    rules = json.loads(ask(platform, "GET", "/_mayfly/v1/audit").body)["rules"]
    assert {"net", "secrets", "reuse-warm", "url-open"} <= set(rules)
