"""A daemon that was taken over gains neither root nor anything of the warden and the launchers.

Each attempt is made with the daemon's identity, where it must fail, and as root, where it must
succeed, so that a broken attempt cannot pass.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security import usurper
from tests.support import unprivileged
from tests.support.control import ask
from tests.support.functions import Functions
from tests.support.needs import need_command, need_root
from tests.support.platform import Platform, platform_folder, run_platform, start_daemon

SOURCE = "def handler(event, context):\n    return event\n"
REFUSALS = {"EPERM", "EACCES"}


@pytest.fixture(scope="module")
def separated() -> Iterator[Functions]:
    need_root()
    with run_platform(separated=True) as running, Functions(running) as functions:
        name = functions.make({"app.py": SOURCE})
        assert functions.call(name, 1).value == 1
        yield functions


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _household(platform: Platform) -> dict[str, int]:
    """One process of each kind: warden, launcher, keeper, and what the keeper keeps."""
    daemon = json.loads((platform.data / "endpoint.json").read_text())["pid"]
    (warden,) = [
        one
        for one in _children(daemon)
        if b"process.warden" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    # The newest runtime's launcher is warmed up as well; it keeps nothing yet.
    launcher = next(one for one in _children(warden) if _children(one))
    keeper = _children(launcher)[0]
    return {
        "daemon": daemon,
        "warden": warden,
        "launcher": launcher,
        "keeper": keeper,
        "isolate": _children(keeper)[-1],
    }


def _usurp(functions: Functions, *, as_root: bool) -> dict[str, str]:
    platform = functions.platform
    (tree,) = (platform.data / "runtimes").glob("python*")
    outside = platform.data.parent
    given = json.dumps(
        {
            "processes": _household(platform),
            "folders": {"runtimes": str(tree.parent), "tree": str(tree), "outside": str(outside)},
            "files": {"shadow": "/etc/shadow"},
        }
    )
    script = Path(usurper.__file__)
    command = [str(unprivileged.interpreter()), "-I", "-c", script.read_text(), given]
    if not as_root:
        identity = [f"--reuid={platform.uid}", f"--regid={platform.uid}", "--clear-groups"]
        capabilities = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        command = [need_command("setpriv"), *identity, *capabilities, "--", *command]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    said: dict[str, str] = json.loads(ended.stdout)
    return said


def test_root_can_do_all_of_it(separated: Functions) -> None:
    said = _usurp(separated, as_root=True)
    assert len(said) > 25
    assert {name for name, result in said.items() if result != "done"} == set()


def test_the_daemons_identity_can_do_none_of_it(separated: Functions) -> None:
    said = _usurp(separated, as_root=False)
    allowed = {name for name, result in said.items() if result not in REFUSALS}
    assert allowed == set()
    assert separated.call(separated.make({"app.py": SOURCE}), 2).value == 2


def test_the_daemon_holds_no_privilege_and_has_no_way_to_any(separated: Functions) -> None:
    platform = separated.platform
    status = Path(f"/proc/{_household(platform)['daemon']}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert platform.uid != 0
    assert {int(one) for one in fields["Uid"].split()} == {platform.uid}
    assert fields["Groups"].split() == []
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {int(fields[one], 16) for one in sets} == {0}
    assert fields["NoNewPrivs"].strip() == "1"


def test_what_is_called_costs_no_question_to_the_warden(separated: Functions) -> None:
    """A call's path leads over sockets that the daemon holds: the warden sleeps."""
    name = separated.make({"app.py": SOURCE})
    separated.call(name, 0)
    warden = _household(separated.platform)["warden"]
    before = _switches(warden)
    for number in range(50):
        assert separated.call(name, number).value == number
    assert _switches(warden) - before < 10


def _switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_the_memory_of_sandboxes_is_still_told(separated: Functions) -> None:
    separated.call(separated.make({"app.py": SOURCE}), 0)
    told = ask(separated.platform, "GET", "/_mayfly/v1/ps")
    assert told.status == 200
    found = json.dumps(json.loads(told.body))
    assert '"private_kib": 0' not in found, found


def test_a_killed_daemon_takes_the_warden_and_the_launchers_with_it() -> None:
    need_root()
    platform = start_daemon(platform_folder(), separated=True)
    try:
        functions = Functions(platform)
        assert functions.call(functions.make({"app.py": SOURCE}), 1).value == 1
        found = _household(platform)
        ends = [os.pidfd_open(found[one]) for one in ("warden", "launcher", "keeper")]
    finally:
        platform.process.kill()
        platform.process.wait()
    for end in ends:
        _await_end(end)
    shutil.rmtree(platform.data.parent)


def _await_end(pidfd: int) -> None:
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    assert waiting.poll(15_000)
    os.close(pidfd)
