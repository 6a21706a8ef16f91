"""Whether the handler's file is in the folder, and what is said when it is not."""

from __future__ import annotations

import pytest

from mayfly.images.entry import check_entry
from mayfly.model.errors import InvalidManifest

FILES = ["app.py", "pkg/__init__.py", "pkg/deep/main.py", "fast.cpython-311-x86_64-linux-gnu.so"]


def check(handler: str, runtime: str = "python3.11", *, may_be_installed: bool = False) -> None:
    check_entry(handler, runtime, FILES, place="mayfly.toml:3", may_be_installed=may_be_installed)


@pytest.mark.parametrize(
    "handler",
    ["app.handler", "pkg.handler", "pkg.deep.main.handler", "pkg/deep/main.handler", "fast.run"],
)
def test_a_handler_whose_file_is_there_is_good(handler: str) -> None:
    check(handler)


@pytest.mark.parametrize(
    ("handler", "hint"),
    [
        ("ap.handler", r'did you mean "app\.handler" \(app\.py\)\?'),
        ("pkg.deep.mian.handler", r'did you mean "pkg\.deep\.main\.handler"'),
        ("pkgs.handler", r'did you mean "pkg\.handler" \(pkg/__init__\.py\)\?'),
        ("elsewhere.handler", r"the folder has app\.py, fast"),
    ],
)
def test_a_handler_whose_file_is_missing_is_told_with_the_nearest(handler: str, hint: str) -> None:
    with pytest.raises(InvalidManifest, match=rf"mayfly\.toml:3: .*needs a file .*{hint}"):
        check(handler)


def test_a_module_that_may_come_with_the_requirements_is_not_refused() -> None:
    check("framework.handler", may_be_installed=True)


def test_a_runtime_that_starts_a_bootstrap_needs_one() -> None:
    with pytest.raises(InvalidManifest, match="bootstrap"):
        check("anything", "provided.al2023")
    check_entry("x", "provided.al2", ["bootstrap"], place="", may_be_installed=False)


def test_other_runtimes_are_left_to_themselves() -> None:
    check("index.handler", "nodejs22.x")
