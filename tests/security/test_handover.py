"""A data folder is given away without following what its user may have put into it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mayfly import config
from mayfly.daemon import handover, separation
from mayfly.model.errors import Conflict, InvalidParameter, StorageFailed
from mayfly.stores.secrets.key import SecretsLocked, make_key
from tests.support.needs import need_root
from tests.support.unprivileged import UID


@pytest.fixture(autouse=True)
def _as_root() -> None:
    need_root()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "trees" / "deep").mkdir(parents=True)
    for name in ("key.json", "trees/deep/file", "config.toml"):
        (folder / name).write_text("")
    (tmp_path / "outside").write_text("root's")
    return folder


def _give(data: Path) -> None:
    with handover.folder(data) as data_fd:
        handover.give(data_fd, data, UID, UID, spared=("runtimes", "config.toml"))


def _owner(path: Path) -> int:
    return path.lstat().st_uid


def test_all_of_it_is_given_but_what_root_keeps(data: Path) -> None:
    (data / "runtimes").mkdir()
    _give(data)
    given = [data, *(one for one in data.rglob("*"))]
    kept = {data / "runtimes", data / "config.toml"}
    assert {one for one in given if _owner(one) != UID} == kept
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_link_is_given_and_not_what_it_leads_to(data: Path) -> None:
    outside = data.parent / "outside"
    (data / "link").symlink_to(outside)
    (data / "folder").symlink_to(data.parent)
    _give(data)
    assert (_owner(data / "link"), _owner(data / "folder")) == (UID, UID)
    assert (_owner(outside), _owner(data.parent)) == (0, 0)


def test_what_was_broken_off_is_done_again(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, given = os.chown, 0

    def chown(*arguments: object, **named: object) -> None:
        nonlocal given
        given += 1
        if given > 1:
            raise OSError(5, "cut off")
        real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(StorageFailed):
        _give(data)
    # As long as the folder is root's, nobody else puts anything into it.
    assert _owner(data) == 0
    monkeypatch.undo()
    _give(data)
    assert _owner(data / "trees" / "deep" / "file") == _owner(data) == UID


def test_a_second_name_of_a_file_outside_is_refused_where_users_may_make_one(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(data)
    outside = data.parent / "outside"
    (data / "stolen").hardlink_to(outside)
    loose = data.parent / "protected_hardlinks"
    loose.write_text("0\n")
    monkeypatch.setattr(handover, "_PROTECTED_LINKS", loose)
    with pytest.raises(Conflict, match="second name"):
        _give(data)
    assert _owner(outside) == 0


@pytest.mark.parametrize("kind", ["folder", "link", "file", "open"])
def test_a_folder_of_trees_that_is_not_roots_is_made_anew(data: Path, kind: str) -> None:
    trees, outside = data / "runtimes", data.parent / "elsewhere"
    outside.mkdir()
    (outside / "kept").write_text("")
    if kind == "link":
        trees.symlink_to(outside)
    elif kind == "file":
        trees.write_text("")
    else:
        trees.mkdir()
        (trees / "planted").write_text("")
        if kind == "folder":
            os.chown(trees, UID, UID)
        else:
            trees.chmod(0o777)
    with handover.folder(data) as data_fd, handover.trees(data_fd, "runtimes") as fd:
        assert os.fstat(fd).st_uid == 0
        assert os.listdir(fd) == []  # noqa: PTH208 - a descriptor
    assert not trees.is_symlink()
    assert (outside / "kept").exists()


def test_what_holds_no_key_is_not_given(tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text("root:secret:1::::::\n")
    with pytest.raises(SecretsLocked):
        handover.place_key(shadow, UID, UID, reached=True)
    assert _owner(shadow) == 0


@pytest.mark.parametrize("reached", [True, False])
def test_the_key_of_the_secrets_is_the_service_users_and_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reached: bool
) -> None:
    monkeypatch.setattr(handover, "_KEYS", tmp_path / "etc")
    first = tmp_path / "deep" / "keys" / "one.key"
    first.parent.mkdir(parents=True)
    key = make_key(first)
    for _ in range(2):
        place = handover.place_key(first, UID, UID, reached=reached)
        assert (place == first) is reached
        assert make_key(place) == key
        assert (_owner(place), stat.S_IMODE(place.stat().st_mode)) == (UID, 0o600)
    assert handover.place_key(tmp_path / "new" / "two.key", UID, UID, reached=reached).exists()


@pytest.mark.parametrize("line", ['user = "root"', 'secrets_key = "/etc/shadow"'])
def test_what_root_acts_on_is_roots_to_say(data: Path, line: str) -> None:
    written = data / "config.toml"
    written.write_text(line)
    assert config.load({"data": str(data)}, {}).data == data
    os.chown(written, UID, UID)
    with pytest.raises(InvalidParameter, match="not root's"):
        config.load({"data": str(data)}, {})


def test_users_are_accounts_numbers_or_an_id_of_the_folder() -> None:
    def found(user: str, data: str = "/d") -> separation.User | None:
        return separation.find_user(config.Config(data=Path(data), user=user))

    assert found("root") is None
    assert found("0") is None
    assert found("64321") == separation.User(64_321, 64_321, "64321")
    nobody = found("nobody")
    assert nobody is not None
    assert nobody.uid not in (0, UID)
    one, other = found("", "/one"), found("", "/other")
    assert one is not None
    assert other is not None
    assert one.uid == other.uid if one.name == "mayfly" else one.uid != other.uid
    with pytest.raises(InvalidParameter, match="useradd"):
        found("nobody-of-this-name")


def test_why_it_cannot_be_done_names_the_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    data = closed / "data"
    data.mkdir(parents=True)
    closed.chmod(0o700)
    user = separation.User(UID, UID, "tester")
    why = separation.judge(config.Config(data=data), user).why_not
    assert "tester" in why
    assert "is closed to it" in why
