from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from mayfly.cli.commands import doctor
from tests.unit.cli.conftest import Call

WHOLE: dict[str, object] = {
    "root": False,
    "kernel": "6.18.0-generic",
    "user_namespaces": {"ok": True, "why": ""},
    "cgroup": {
        "version": 2,
        "controllers": {name: {"ok": True, "why": ""} for name in ("memory", "cpu", "pids")},
    },
    "landlock": {"abi": 7},
    "seccomp": {"ok": True},
    "kvm": {"ok": True, "why": ""},
    "qemu": {"path": "/usr/bin/qemu-system-x86_64"},
    "runtimes": {"python3.11": "/usr/bin/python3.11"},
}
Probed = Callable[..., None]


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Probed:
    """Says what the probe finds."""

    def set_findings(**changes: object) -> None:
        document = json.dumps(WHOLE | changes).encode()
        done = subprocess.CompletedProcess([], 0, document, b"")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    return set_findings


def test_on_a_whole_machine_everything_is_ok(call: Call, probed: Probed) -> None:
    probed()
    done = call("doctor")
    assert done.code == 0
    assert all(line.startswith("ok") for line in done.out.splitlines()[:9])
    assert "lost" not in done.out
    assert done.out.endswith("Functions can run here.\n")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seccomp": {"ok": False}}, "seccomp"),
        ({"user_namespaces": {"ok": False, "why": "EPERM"}}, "user namespaces"),
        ({"kernel": "5.10.0-8-amd64"}, "Linux kernel"),
        ({"runtimes": {}}, "runtimes"),
    ],
)
def test_without_a_vital_part_it_ends_with_1_and_says_what_to_do(
    call: Call, probed: Probed, change: dict[str, object], name: str
) -> None:
    probed(**change)
    done = call("doctor")
    assert done.code == 1
    assert f"Functions cannot run here: {name} is missing." in done.out
    assert "how to get it" in done.out


def test_root_needs_no_user_namespaces(call: Call, probed: Probed) -> None:
    probed(root=True, user_namespaces={"ok": False, "why": "EPERM"})
    done = call("doctor")
    assert done.code == 0
    assert "EPERM, not needed by root" in done.out


@pytest.mark.parametrize(
    "change",
    [
        {"landlock": {"abi": 0}},
        {"landlock": {"abi": 3}},
        {"cgroup": {"version": 0, "controllers": {}}},
        {"kvm": {"ok": False, "why": "no /dev/kvm"}, "qemu": {"path": None}},
    ],
)
def test_what_is_merely_good_to_have_costs_no_success_but_is_told(
    call: Call, probed: Probed, change: dict[str, object]
) -> None:
    probed(**change)
    done = call("doctor")
    assert done.code == 0
    assert "lost without" in done.out


def test_json_has_the_verdict_the_findings_and_the_probe(call: Call, probed: Probed) -> None:
    probed(seccomp={"ok": False})
    told = json.loads(call("doctor", "--json").out)
    assert told["runs"] is False
    assert [one["name"] for one in told["findings"] if not one["ok"]] == ["seccomp"]
    assert told["probe"]["kernel"] == "6.18.0-generic"


def test_a_probe_that_fails_is_reported_in_its_own_words(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 1, b"", b"Traceback\nModuleNotFoundError: no probe\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    result = call("doctor")
    assert result.code == 1
    assert "ModuleNotFoundError: no probe" in result.err


def test_an_empty_document_lacks_everything_and_breaks_nothing() -> None:
    assert not any(one.ok for one in doctor.examine({}))


def test_on_this_machine_the_probe_tells_all_that_is_explained(call: Call) -> None:
    told = json.loads(call("doctor", "--json").out)
    assert set(WHOLE) <= set(told["probe"])
    assert f"python{sys.version_info.major}.{sys.version_info.minor}" in told["probe"]["runtimes"]


def test_root_is_told_whether_a_daemon_gives_its_rights_up(call: Call, probed: Probed) -> None:
    probed(root=True, separation={"user": "mayfly", "root_because": ""})
    assert "becomes the user mayfly" in call("doctor").out
    probed(root=True, separation={"user": "root", "root_because": "a closed home"})
    done = call("doctor")
    assert done.code == 0
    assert "stays root: a closed home" in done.out
    assert "service.md" in done.out
