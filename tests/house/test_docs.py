"""The documents: links lead somewhere, settings are described, figures are tests or pending."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.test_size import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CHANGE_KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def name(path: Path) -> str:
    """A page as people say it."""
    return str(path.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            broken.append(target)
    assert not broken, f"{name(page)}: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_no_place_of_one_machine(page: Path) -> None:
    told = re.findall(r"(?:/root|/work|/home/\w+)(?:/\S*)?", page.read_text())
    assert not told


def test_no_file_of_ours_names_a_place_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("needs a git checkout")
    place = re.compile(r"(?<![\w/])/(?:work|root)/\w")
    told = []
    for one in filter(None, listed.stdout.split("\0")):
        path = ROOT / one
        if path.suffix not in {".py", ".md", ".toml", ".sh", ""} or not path.is_file():
            continue
        lines = path.read_bytes().decode(errors="replace").splitlines()
        told += [f"{one}:{n}" for n, line in enumerate(lines, 1) if place.search(line)]
    assert not told


def test_every_setting_is_documented() -> None:
    if importlib.util.find_spec("mayfly.config") is None:
        pytest.skip("there is no configuration yet")
    config = importlib.import_module("mayfly.config")
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    missing = [one.name for one in dataclasses.fields(config.Config) if f"`{one.name}`" not in page]
    assert not missing, f"describe in docs/reference/configuration.md: {missing}"


def test_generated_parts_of_the_documents_are_current() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr + "run `make docs`"


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.startswith("# Changelog\n")
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", one) for one in versions[1:])
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= CHANGE_KINDS


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(one.name[:4]) for one in (ROOT / "docs" / "adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_make_verb_in_a_page_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"`make ([a-z-]+)|^ *make ([a-z-]+)", page.read_text(), re.MULTILINE))
    named = {one or other for one, other in verbs}
    missing = {one for one in named if not re.search(rf"^{one}:", makefile, re.MULTILINE)}
    assert not missing


def test_every_promise_names_a_test_that_exists_or_is_pending() -> None:
    rows = [
        line
        for line in (ROOT / "SPECIFICATION.md").read_text().splitlines()
        if line.startswith("| P")
    ]
    assert rows, "SPECIFICATION.md has no promises"
    for row in rows:
        proofs = re.findall(r"`((?:tests|bench)/[\w/.]+)(?:::(\w+))?`", row)
        assert proofs, f"a promise without a proof: {row}"
        for path, function in proofs:
            assert (ROOT / path).exists(), row
            assert not function or f"def {function}(" in (ROOT / path).read_text(), row
