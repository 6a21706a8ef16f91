"""The root key: made once, kept private, never half-written."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mayfly.api.keys import DERIVED_KEYS_MAX, Keys
from mayfly.model.errors import InvalidParameter


def test_the_first_start_makes_a_key_and_the_second_finds_it(tmp_path: Path) -> None:
    first = Keys.open(tmp_path / "key.json").root
    assert first.access_key_id.startswith("AKIA")
    assert len(first.access_key_id) == 20
    assert len(first.secret_access_key) == 40
    assert Keys.open(tmp_path / "key.json").root == first


def test_the_key_file_is_the_owner_s_alone_and_nothing_else_stays(tmp_path: Path) -> None:
    Keys.open(tmp_path / "key.json")
    assert stat.S_IMODE((tmp_path / "key.json").stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key.json"]


def test_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Keys.open(tmp_path / "key.json").root, range(16)))
    assert len(set(found)) == 1


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    assert Keys.open(tmp_path / "a").root != Keys.open(tmp_path / "b").root


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"access_key_id": 1}', "\xff"])
def test_a_broken_key_file_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content, "latin-1")
    with pytest.raises(InvalidParameter, match="move it away"):
        Keys.open(path)
    assert path.read_text("latin-1") == content


def test_derived_keys_are_bounded(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "key.json")
    for number in range(DERIVED_KEYS_MAX * 2):
        keys.signing_key(keys.root, "20260301", "us-east-1", f"service-{number}")
    assert len(keys._derived) <= DERIVED_KEYS_MAX
