"""A ready function loaded as its snapshot loads it: its folder first on the path, imported once.

Its modules are forgotten afterwards, for every function has an `app`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import mayfly

Handler = Callable[[object, object], Any]

# Imported before any client is made: moto answers for those made after it.
importlib.import_module("moto")

AWAY_FROM_ANY_CLOUD = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def folder_of(name: str) -> Path:
    """The folder of the ready function `name`."""
    return Path(mayfly.__file__).parent / "prebuilt" / name


@contextlib.contextmanager
def loaded(name: str, environment: Mapping[str, str] | None = None) -> Iterator[Handler]:
    """The function's handler, imported with `environment` as its [function.env]."""
    folder = folder_of(name)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        with mock.patch.dict(os.environ, {**AWAY_FROM_ANY_CLOUD, **(environment or {})}):
            yield importlib.import_module("app").handler
    finally:
        sys.path.remove(str(folder))
        for one in set(sys.modules) - before:
            file = getattr(sys.modules[one], "__file__", None)
            if file is not None and Path(file).parent == folder:
                del sys.modules[one]


def run_its_own_tests(name: str, into: Path) -> None:
    """Run the tests of the function's folder as its user would, in a copy of it."""
    copy = into / name
    shutil.copytree(folder_of(name), copy, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
