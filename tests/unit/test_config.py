"""Where the key of the secrets lies: outside the data folder, whatever is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from mayfly import config
from mayfly.model.errors import InvalidParameter


def key_path(data: Path, **variables: str) -> Path:
    return config.load({"data": str(data)}, {"HOME": "/home/anna", **variables}).secrets_key


def test_the_key_lies_in_the_users_configuration_under_a_name_of_the_data_folders(
    tmp_path: Path,
) -> None:
    one, other = key_path(tmp_path / "one"), key_path(tmp_path / "other")
    assert one.parent == Path("/home/anna/.config/mayfly/secrets")
    assert one.suffix == ".key"
    assert one != other
    assert one == key_path(tmp_path / "one")
    elsewhere = key_path(tmp_path / "one", XDG_CONFIG_HOME="/xdg")
    assert elsewhere == Path("/xdg/mayfly/secrets") / one.name


def test_another_file_may_be_named(tmp_path: Path) -> None:
    path = "/etc/mayfly/secrets.key"
    assert key_path(tmp_path, MAYFLY_SECRETS_KEY=path) == Path(path)
    (tmp_path / "config.toml").write_text(f'secrets_key = "{path}"\n')
    assert key_path(tmp_path) == Path(path)


def test_a_key_beside_what_it_opens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="protects nothing"):
        key_path(tmp_path, MAYFLY_SECRETS_KEY=str(tmp_path / "secrets.key"))
