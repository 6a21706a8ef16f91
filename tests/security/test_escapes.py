"""Every row of the escape list that one process can try: by a handler, and at import.

Each is tried in a sandbox without a grant and in one that has a door, thus sockets. The same probes
run outside, where each must succeed: a broken probe cannot pass. As root all do; an ordinary user,
who runs this too, may not do all of it outside.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mayfly.drivers.process import seccomp, syscalls
from mayfly.ports import Door
from tests.security import probes
from tests.security.sandbox import node, open_box

APP = "from tests.security.probes import handler\n"
TREE = Path(__file__).resolve().parents[2]
_NAMES = [f"tests/security/{name}.py" for name in ("probes", "deeds")]
FILES = {name: (TREE / name).read_text() for name in _NAMES}
DOOR = Door("door.internal", "127.0.0.9", 7)
PLACES = ("handler", "import", "handler with a door", "import with a door")
PROBES = [probe for probe in probes.PROBES if probe.here]
Outcomes = Mapping[str, str]


@contextmanager
def _host_listeners(folder: Path) -> Iterator[Mapping[str, str]]:
    """Sockets of the host that a probe looks for, by the variables that name them."""
    path, abstract = str(folder / "socket"), f"@mayfly-probe-{os.getpid()}"
    with ExitStack() as stack:
        variables = {"PROBES_UNIX": path, "PROBES_ABSTRACT": abstract}
        for address in (path, abstract.replace("@", "\0")):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen(64)
        for variable, host in (("PROBES_TCP", "127.0.0.1"), ("PROBES_TCP6", "::1")):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            tcp = stack.enter_context(socket.socket(family))
            tcp.bind((host, 0))
            tcp.listen(64)
            variables[variable] = str(tcp.getsockname()[1])
        yield variables


def _named(*, doors: bool) -> Mapping[str, str]:
    """The calls that the filter's policy has a row for, and all but one of them."""
    rules = seccomp.load_policy(syscalls.ARCHITECTURE, doors=doors)
    but_one = [rule for rule in rules if rule.name != "getpid"]
    lists = {"PROBES_NAMED": rules, "PROBES_NAMED_BUT_ONE": but_one}
    return {name: " ".join(str(rule.number) for rule in some) for name, some in lists.items()}


async def _inside(folder: Path, variables: Mapping[str, str]) -> Mapping[str, Outcomes]:
    sandboxes: tuple[tuple[str, tuple[Door, ...]], ...] = (("", ()), (" with a door", (DOOR,)))
    outcomes = {}
    async with node() as driver:
        for seed, (suffix, doors) in enumerate(sandboxes):
            environment = {**variables, **_named(doors=bool(doors)), "PROBES_AT_IMPORT": "1"}
            box = await open_box(
                driver, folder, APP, environment=environment, seed=seed, files=FILES, doors=doors
            )
            outcomes["handler" + suffix] = await box.call("handler")
            outcomes["import" + suffix] = await box.call("import")
    return outcomes


def _outside(variables: Mapping[str, str]) -> Outcomes:
    program = f"import sys; sys.path.insert(0, {str(TREE)!r})\n"
    program += "from tests.security import probes; probes.main()"
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program],
        env=dict(variables),
        capture_output=True,
        check=True,
        timeout=60,
    )
    outcomes: Outcomes = json.loads(ended.stdout)
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcomes]:
    folder = tmp_path_factory.mktemp("escapes")
    with _host_listeners(folder) as variables:
        outside = _outside(variables)
        inside = asyncio.run(_inside(folder / "inside", variables))
    return {"outside": outside, **inside}


def _name(probe: probes.Probe) -> str:
    return f"{probe.row}-{probe.name}"


def _skip_what_is_not_there(probe: probes.Probe, outside: str) -> None:
    if outside in ("ENOSYS", "SIGSEGV") or (probe.row, outside) == (17, "ENOENT"):
        pytest.skip("this kernel has no such call or file")
    if probe.row == 23 and outside in ("EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"):
        pytest.skip("this kernel has no such sockets")


@pytest.mark.parametrize("probe", PROBES, ids=_name)
@pytest.mark.parametrize("place", PLACES)
def test_an_escape_is_refused_inside_and_works_outside(
    probe: probes.Probe, place: str, outcomes: Mapping[str, Outcomes]
) -> None:
    outside, inside = (outcomes[one][_name(probe)] for one in ("outside", place))
    refusals = probe.with_a_door if place.endswith("door") else probe.refusals
    if not refusals:
        assert inside == outside, "a function with a door may do so"
        return
    if not probe.control:
        assert inside in refusals
        return
    _skip_what_is_not_there(probe, outside)
    if os.geteuid() != 0 and outside in refusals:
        pytest.skip("only root may do so outside")
    assert outside not in refusals, "the probe is broken: it is refused outside too"
    assert inside in refusals


@pytest.mark.parametrize("probe", probes.ISOLATES_ONLY, ids=_name)
@pytest.mark.parametrize("place", ["handler", "handler with a door"])
def test_an_isolate_has_less_than_its_snapshot(
    probe: probes.Probe, place: str, outcomes: Mapping[str, Outcomes]
) -> None:
    if os.geteuid() == 0:
        assert outcomes["outside"][_name(probe)] not in probe.refusals
    assert outcomes[place][_name(probe)] in probe.refusals


@pytest.mark.parametrize("place", PLACES)
def test_no_new_privileges_and_a_filter(place: str, outcomes: Mapping[str, Outcomes]) -> None:
    assert (outcomes[place]["NoNewPrivs"], outcomes[place]["Seccomp"]) == ("1", "2")
    assert (outcomes["outside"]["NoNewPrivs"], outcomes["outside"]["Seccomp"]) == ("0", "0")


@pytest.mark.parametrize("place", PLACES)
def test_every_call_that_the_policy_does_not_name_is_refused(
    place: str, outcomes: Mapping[str, Outcomes]
) -> None:
    assert outcomes[place]["Unnamed"] == "0"
    assert outcomes[place]["Unnamed and one"] == "1", "the probe is broken: it sees no call"
