"""The whole way from a folder's zip to a manifest and code, and where it is refused."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from mayfly.backends.files.code_store import FileCodeStore
from mayfly.images.build import ImageBuilder, Progress
from mayfly.images.requirements import Requirements
from mayfly.images.tree import plant_tree
from mayfly.model.errors import (
    InvalidArchive,
    InvalidManifest,
    InvalidParameter,
    RequestTooLarge,
)
from mayfly.ports import RuntimeInfo
from mayfly.testing.clock import VirtualClock
from tests.support.needs import need
from tests.unit.images.test_requirements import index_reached
from tests.unit.images.zips import LINK, Member, zip_files, zip_of

RUNTIMES = {"python3.11": RuntimeInfo("python3.11", Path(sys.executable), "3.11.0")}
MANIFEST = '[function]\nname = "f"\nhandler = "app.handler"\n'
APP = "def handler(event, context):\n    return event\n"

Steps = list[tuple[str, dict[str, object]]]


@pytest.fixture
async def code(tmp_path: Path) -> AsyncIterator[FileCodeStore]:
    store = await FileCodeStore.open(
        tmp_path, plant=partial(plant_tree, interpreter=Path(sys.executable))
    )
    yield store
    await store.close()


@pytest.fixture
async def builder(tmp_path: Path, code: FileCodeStore) -> AsyncIterator[ImageBuilder]:
    environment = dict(os.environ)  # noqa: TID251  the tests' own network settings
    requirements = Requirements(tmp_path / "dependencies", environment=environment)
    made = ImageBuilder(
        code,
        requirements,
        runtimes=RUNTIMES,
        default_runtime="python3.11",
        clock=VirtualClock(),
        zipped_bytes_max=1_000_000,
    )
    yield made
    await made.close()
    await requirements.close()


@pytest.fixture
def steps() -> Steps:
    return []


@pytest.fixture
def progress(steps: Steps) -> Progress:
    return lambda step, _ms, facts: steps.append((step, facts))


def nothing(_step: str, _ms: float, _facts: dict[str, object]) -> None:
    """Whoever does not listen."""


async def test_a_folder_becomes_a_manifest_and_code(
    builder: ImageBuilder, code: FileCodeStore, steps: Steps, progress: Progress
) -> None:
    archive = zip_files({"mayfly.toml": MANIFEST, "app.py": APP})
    manifest, made = await builder.deploy(archive, progress)
    assert (manifest.name, manifest.handler, manifest.runtime) == ("f", "app.handler", "python3.11")
    assert made.dependencies is None
    assert (code.tree_path(made.digest) / "app.py").read_text() == APP
    assert steps == [("unpack", {"bytes": len(archive)})]


async def test_a_look_says_what_a_deploy_would_make_and_keeps_nothing(
    builder: ImageBuilder, code: FileCodeStore, tmp_path: Path
) -> None:
    archive = zip_files({"mayfly.toml": MANIFEST, "app.py": APP})
    before = [*os.walk(tmp_path)]
    seen = await builder.look(archive)
    assert [*os.walk(tmp_path)] == before
    assert await builder.deploy(archive, lambda *_: None) == seen
    assert (code.tree_path(seen[1].digest) / "app.py").read_text() == APP
    with pytest.raises(InvalidManifest):
        await builder.look(zip_files({"mayfly.toml": "[function]", "app.py": APP}))
    with pytest.raises(RequestTooLarge):
        await builder.look(b"x" * 1_000_001)


async def test_requirements_are_installed_and_then_found_again(
    builder: ImageBuilder, code: FileCodeStore, steps: Steps, progress: Progress
) -> None:
    need(index_reached(), "a package index that uv can reach")
    first = {"mayfly.toml": MANIFEST, "app.py": APP, "requirements.txt": "six==1.17.0\n"}
    _, made = await builder.deploy(zip_files(first), progress)
    assert made.dependencies is not None
    assert (code.dependencies_path(made.dependencies) / "six.py").exists()
    assert any("line" in facts for _, facts in steps)
    assert steps[-1] == ("dependencies", {"cached": False, "requirements": 1})
    second = {**first, "app.py": APP + "# changed\n"}
    _, again = await builder.deploy(zip_files(second), progress)
    assert again.dependencies == made.dependencies
    assert again.digest != made.digest
    assert steps[-1] == ("dependencies", {"cached": True, "requirements": 1})


async def test_a_projects_dependencies_are_installed_as_well(
    builder: ImageBuilder, code: FileCodeStore
) -> None:
    need(index_reached(), "a package index that uv can reach")
    project = '[project]\nname = "x"\nversion = "1"\ndependencies = ["idna==3.7"]\n'
    files = {"mayfly.toml": MANIFEST, "app.py": APP, "pyproject.toml": project}
    _, made = await builder.deploy(zip_files(files), nothing)
    assert made.dependencies is not None
    assert (code.dependencies_path(made.dependencies) / "idna").is_dir()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"mayfly.toml": MANIFEST, "ap.py": APP}, r'mayfly\.toml:3: .*did you mean "ap\.handler"'),
        ({"mayfly.toml": "[function]\n"}, r"mayfly\.toml:1: \[function\] needs a name"),
        ({"mayfly.toml": b"\xff\xfe"}, r"mayfly\.toml:1: is not UTF-8"),
        (
            {"mayfly.toml": MANIFEST + 'runtime = "python3.1"\n', "app.py": APP},
            r'mayfly\.toml:4: this machine has no runtime "python3\.1"; it has python3\.11; did',
        ),
    ],
)
async def test_a_wrong_manifest_is_refused_before_anything_is_kept(
    builder: ImageBuilder, tmp_path: Path, files: dict[str, str | bytes], why: str
) -> None:
    with pytest.raises(InvalidManifest, match=f"(?s){why}"):
        await builder.deploy(zip_files(files), nothing)
    assert not list((tmp_path / "trees").iterdir())
    assert not list((tmp_path / "archives").iterdir())


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"app.py": APP}, r"no mayfly\.toml; `mayfly init`"),
        ({"f/mayfly.toml": MANIFEST, "f/app.py": APP}, r"at the top of the zip, not at f/mayfly"),
        ({"mayfly.toml": MANIFEST, "../app.py": APP}, r"climbs out"),
        ({"mayfly.toml": MANIFEST + "#" * 300_000, "app.py": APP}, r"over 262144 bytes"),
    ],
)
async def test_a_wrong_zip_is_refused(
    builder: ImageBuilder, files: dict[str, str | bytes], why: str
) -> None:
    with pytest.raises(InvalidArchive, match=why):
        await builder.deploy(zip_files(files), nothing)


async def test_a_manifest_that_is_a_link_is_refused(builder: ImageBuilder) -> None:
    members = [Member("real.toml", MANIFEST.encode()), Member("mayfly.toml", b"real.toml", LINK)]
    with pytest.raises(InvalidArchive, match=r"mayfly\.toml must be a file"):
        await builder.deploy(zip_of(members), nothing)


async def test_refused_requirements_are_told_before_anything_is_kept(
    builder: ImageBuilder, tmp_path: Path
) -> None:
    files = {"mayfly.toml": MANIFEST, "app.py": APP, "requirements.txt": "six\n-e .\n"}
    with pytest.raises(InvalidParameter, match=r"requirements\.txt:2: "):
        await builder.deploy(zip_files(files), nothing)
    assert not list((tmp_path / "trees").iterdir())


async def test_a_zip_over_its_bound_is_refused(builder: ImageBuilder) -> None:
    with pytest.raises(RequestTooLarge, match="more than 1000000"):
        await builder.deploy(bytes(1_000_001), nothing)
