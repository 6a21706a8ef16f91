"""Every row of the escape list that one process can try: by a handler, and at import.

The same probes run outside, where each must succeed: a broken probe cannot pass. As root all do;
an ordinary user, who runs this too, may not do all of it outside.
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

from tests.security import probes
from tests.security.sandbox import sandbox

PROBES = Path(probes.__file__)
SOURCE = PROBES.read_text()
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


async def _inside(folder: Path, variables: Mapping[str, str]) -> tuple[Outcomes, Outcomes]:
    environment = {**variables, "PROBES_AT_IMPORT": "1"}
    async with sandbox(folder, SOURCE, environment=environment) as box:
        return await box.call("handler"), await box.call("import")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcomes]:
    folder = tmp_path_factory.mktemp("escapes")
    with _host_listeners(folder) as variables:
        outside = subprocess.run(
            [sys.executable, "-I", str(PROBES)],
            env=dict(variables),
            capture_output=True,
            check=True,
            timeout=60,
        )
        handler, at_import = asyncio.run(_inside(folder / "inside", variables))
    return {"outside": json.loads(outside.stdout), "handler": handler, "import": at_import}


def _name(probe: probes.Probe) -> str:
    return f"{probe.row}-{probe.name}"


@pytest.mark.parametrize("probe", probes.PROBES, ids=_name)
@pytest.mark.parametrize("tried_by", ["handler", "import"])
def test_an_escape_is_refused_inside_and_works_outside(
    probe: probes.Probe, tried_by: str, outcomes: Mapping[str, Outcomes]
) -> None:
    outside = outcomes["outside"][_name(probe)]
    if outside in ("ENOSYS", "SIGSEGV") or (probe.row, outside) == (17, "ENOENT"):
        pytest.skip("this kernel has no such call or file")
    if os.geteuid() != 0 and outside in probe.refusals:
        pytest.skip("only root may do so outside")
    assert outside not in probe.refusals, "the probe is broken: it is refused outside too"
    assert outcomes[tried_by][_name(probe)] in probe.refusals


@pytest.mark.parametrize("probe", probes.ISOLATES_ONLY, ids=_name)
def test_an_isolate_has_less_than_its_snapshot(
    probe: probes.Probe, outcomes: Mapping[str, Outcomes]
) -> None:
    if os.geteuid() == 0:
        assert outcomes["outside"][_name(probe)] not in probe.refusals
    assert outcomes["handler"][_name(probe)] in probe.refusals


@pytest.mark.parametrize("tried_by", ["handler", "import"])
def test_no_new_privileges_and_a_filter(tried_by: str, outcomes: Mapping[str, Outcomes]) -> None:
    assert (outcomes[tried_by]["NoNewPrivs"], outcomes[tried_by]["Seccomp"]) == ("1", "2")
    assert (outcomes["outside"]["NoNewPrivs"], outcomes["outside"]["Seccomp"]) == ("0", "0")
