"""The wheel: built from the checkout, installed into an empty environment, and it runs there."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.house.test_size import ROOT
from tests.support.needs import need_package_index


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_all_that_runs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        str(one.relative_to(ROOT / "src"))
        for one in (ROOT / "src" / "mayfly").rglob("*")
        if one.is_file() and not any(part.startswith((".", "__pyc")) for part in one.parts)
    }
    assert modules <= names
    assert all(re.match(r"mayfly(/|-[\d.]+\.dist-info/)", one) for one in names)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_installs_into_an_empty_environment_and_runs(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "new", with_pip=True)
    python = tmp_path / "new" / "bin" / "python"
    need_package_index(python)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    said = subprocess.run(
        [tmp_path / "new" / "bin" / "mayfly", "version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert re.search(r"\b\d+\.\d+\.\d+\b", said.stdout)
