"""Real installs by uv: cached by content, wheels only, nothing half-done left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path

import pytest

from mayfly.images import uv
from mayfly.images.requirements import RENAME, WRITE, Requirements
from mayfly.images.wanted import Wanted, parse_requirements
from mayfly.model.errors import InvalidParameter, PlatformError, StorageFailed
from mayfly.ports import RuntimeInfo
from mayfly.testing.faults import Faults
from tests.support.needs import need

RUNTIME = RuntimeInfo("python3.11", Path(sys.executable), sys.version.split()[0])
SIX = parse_requirements("six==1.17.0")
ENVIRONMENT = dict(os.environ)  # noqa: TID251  the tests' own network settings
NO_NETWORK = {
    **{name: value for name, value in ENVIRONMENT.items() if not name.startswith(("PIP_", "UV_"))},
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "UV_DEFAULT_INDEX": "https://index.invalid/simple",
    "UV_HTTP_RETRIES": "0",
}


@lru_cache(maxsize=1)
def index_reached() -> bool:
    command = [uv.find_uv(), "pip", "install", "--dry-run", "--python", sys.executable]
    asked = subprocess.run(
        [*command, "--reinstall", "six==1.17.0"],
        env=uv.scrubbed(ENVIRONMENT),
        capture_output=True,
        check=False,
        timeout=60,
    )
    return asked.returncode == 0


@pytest.fixture
def index() -> None:
    need(index_reached(), "a package index that uv can reach")


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def requirements(tmp_path: Path, faults: Faults) -> AsyncIterator[Requirements]:
    environment = {**ENVIRONMENT, "UV_CACHE_DIR": str(tmp_path / "cache")}
    made = Requirements(tmp_path / "deps", environment=environment, sites=faults)
    yield made
    await made.close()


def silent(_: str) -> None:
    """Whoever does not listen to uv."""


def left(tmp_path: Path) -> list[str]:
    root = tmp_path / "deps"
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


@pytest.mark.usefixtures("index")
async def test_requirements_are_installed_once(requirements: Requirements, tmp_path: Path) -> None:
    said: list[str] = []
    assert not await requirements.install(SIX, RUNTIME, said.append)
    assert any("six" in line for line in said)
    tree = tmp_path / "deps" / requirements.digest(SIX, RUNTIME)
    assert (tree / "six.py").exists()
    assert await requirements.install(SIX, RUNTIME, silent)
    assert left(tmp_path) == [tree.name]


@pytest.mark.usefixtures("index")
async def test_a_tree_is_readable_by_all_and_compiled_ahead(
    requirements: Requirements, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        await requirements.install(SIX, RUNTIME, silent)
    finally:
        os.umask(before)
    tree = tmp_path / "deps" / requirements.digest(SIX, RUNTIME)
    for path in (tree, *tree.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044, path
    (bytecode,) = tree.glob("__pycache__/six.*.pyc")
    assert bytecode.read_bytes()[4:8] == b"\x01\x00\x00\x00"
    assert not (tree / ".lock").exists()


@pytest.mark.usefixtures("index")
async def test_those_who_want_the_same_at_once_share_one_installation(
    requirements: Requirements, faults: Faults
) -> None:
    wanted = parse_requirements("idna==3.7")
    found = await asyncio.gather(*(requirements.install(wanted, RUNTIME, silent) for _ in range(4)))
    assert sorted(found) == [False, True, True, True]
    assert faults.visits[RENAME] == 1


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("six==99", "there is no version"),
        ("docopt==0.6.2", "wheels only.*outside the seal"),
    ],
)
async def test_what_cannot_be_met_is_told_in_uvs_words(
    requirements: Requirements, tmp_path: Path, line: str, why: str
) -> None:
    with pytest.raises(InvalidParameter, match=rf"(?s)installing requirements\.txt: .*{why}"):
        await requirements.install(parse_requirements(line), RUNTIME, silent)
    assert left(tmp_path) == []


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("site", [WRITE, RENAME])
async def test_a_disk_that_refuses_leaves_nothing_and_it_can_be_tried_again(
    requirements: Requirements, tmp_path: Path, faults: Faults, site: str
) -> None:
    faults.fail(site, times=1, number=errno.ENOSPC)
    with pytest.raises(StorageFailed, match=f"{site}.*ENOSPC"):
        await requirements.install(SIX, RUNTIME, silent)
    assert left(tmp_path) == []
    assert not await requirements.install(SIX, RUNTIME, silent)


@pytest.mark.usefixtures("index")
async def test_a_tree_over_its_bound_is_refused(tmp_path: Path) -> None:
    made = Requirements(tmp_path / "deps", environment=ENVIRONMENT, tree_bytes_max=1_000)
    with pytest.raises(InvalidParameter, match="more than 1000"):
        await made.install(SIX, RUNTIME, silent)
    await made.close()
    assert left(tmp_path) == []


async def test_without_a_network_the_message_says_where_it_is_set(tmp_path: Path) -> None:
    environment = {**NO_NETWORK, "UV_CACHE_DIR": str(tmp_path / "cache")}
    made = Requirements(tmp_path / "deps", environment=environment)
    with pytest.raises(PlatformError, match=r"(?s)no package index was reached.*HTTPS_PROXY"):
        await made.install(SIX, RUNTIME, silent)
    await made.close()
    assert left(tmp_path) == []


async def test_a_cancelled_installation_kills_uv_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "uv"
    slow.write_text("#!/bin/sh\necho started >&2\nexec sleep 300\n")
    slow.chmod(0o755)
    monkeypatch.setattr(uv, "find_uv", lambda: str(slow))
    made = Requirements(tmp_path / "deps", environment=ENVIRONMENT)
    started = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.install(SIX, RUNTIME, lambda _: started.set()))
        await started.wait()
        task.cancel()
    await made.close()
    assert left(tmp_path) == []


def test_the_tree_depends_on_requirements_interpreter_and_nothing_else(tmp_path: Path) -> None:
    async def digests() -> list[str]:
        made = Requirements(tmp_path, environment={})
        newer = RuntimeInfo("python3.12", RUNTIME.executable, "3.12.1")
        other = Wanted("pyproject.toml", SIX.lines)
        found = [
            made.digest(SIX, RUNTIME),
            made.digest(other, RUNTIME),
            made.digest(parse_requirements("six==1.16.0"), RUNTIME),
            made.digest(SIX, newer),
        ]
        await made.close()
        return found

    first, same, *others = asyncio.run(digests())
    assert first == same
    assert len({first, *others}) == 3


def test_uv_sees_of_the_environment_only_what_concerns_networks() -> None:
    seen = uv.scrubbed(
        {
            "HOME": "/root",
            "HTTPS_PROXY": "http://proxy:1",
            "no_proxy": "localhost",
            "UV_INDEX": "https://one",
            "UV_PYTHON": "/evil",
            "UV_NO_BINARY": "1",
            "PIP_INDEX_URL": "https://two",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "LD_PRELOAD": "/evil.so",
            "PYTHONPATH": "/evil",
        }
    )
    assert seen["HTTPS_PROXY"] == "http://proxy:1"
    assert (seen["UV_INDEX"], seen["UV_DEFAULT_INDEX"]) == ("https://one", "https://two")
    assert not {"UV_PYTHON", "UV_NO_BINARY", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"} & seen.keys()
    assert "PYTHONPATH" not in seen
