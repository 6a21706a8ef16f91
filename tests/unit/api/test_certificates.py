"""A certificate is made once, kept while it will do, and made anew when it will not."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mayfly.api.certificates import VALID_DAYS, Certificate, make_self_signed
from mayfly.model.errors import InvalidParameter, StorageFailed

NOW_MS = 1_800_000_000_000.0
NOW = dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC)
DAY_MS = 86_400_000.0
NAMES = ("node.example.com", "192.0.2.7", "2001:db8::7")


def opened(folder: Path, *names: str, now_ms: float = NOW_MS) -> Certificate:
    return Certificate(folder / "tls", names or NAMES, given=None, now_ms=now_ms)


def test_what_is_made_covers_the_names_and_is_no_authority(tmp_path: Path) -> None:
    made = opened(tmp_path)
    found = x509.load_pem_x509_certificate(made.path.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node.example.com", "*.node.example.com"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == list(NAMES[1:])
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days == VALID_DAYS
    assert found.not_valid_before_utc < NOW
    assert made.is_own
    assert len(made.fingerprint) == 95


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    made = opened(tmp_path)
    assert (tmp_path / "tls" / "server.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert b"PRIVATE" not in made.path.read_bytes()


def test_it_is_kept_until_it_is_near_its_end_or_lacks_a_name(tmp_path: Path) -> None:
    first = opened(tmp_path).fingerprint
    assert opened(tmp_path).fingerprint == first
    assert opened(tmp_path, "192.0.2.7").fingerprint == first
    assert opened(tmp_path, now_ms=NOW_MS + 700 * DAY_MS).fingerprint == first
    second = opened(tmp_path, now_ms=NOW_MS + 800 * DAY_MS).fingerprint
    assert second != first
    assert opened(tmp_path, "192.0.2.8", now_ms=NOW_MS + 800 * DAY_MS).fingerprint != second


def test_one_that_is_shown_is_renewed_in_its_place(tmp_path: Path) -> None:
    made = opened(tmp_path)
    before = made.path.read_bytes()
    assert not made.refresh(NOW_MS + DAY_MS)
    assert made.refresh(NOW_MS + 800 * DAY_MS)
    assert made.path.read_bytes() != before


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "server.pem").write_text("broken")
    assert opened(tmp_path).fingerprint


def _given(folder: Path) -> Path:
    path = folder / "both.pem"
    path.write_bytes(make_self_signed(["mayfly.example.com"], NOW))
    return path


def test_a_configured_one_is_taken_and_taken_again_when_it_changes(tmp_path: Path) -> None:
    path = _given(tmp_path)
    shown = Certificate(tmp_path / "tls", NAMES, given=(path, path), now_ms=NOW_MS)
    first = shown.fingerprint
    assert not shown.is_own
    assert not shown.refresh(NOW_MS)
    _given(tmp_path)
    os.utime(path, ns=(1, 1))
    assert shown.refresh(NOW_MS)
    path.write_text("broken")
    last = shown.fingerprint
    with pytest.raises(InvalidParameter, match="tls_certificate"):
        shown.refresh(NOW_MS)
    assert shown.fingerprint == last != first


@pytest.mark.parametrize("content", [None, b"", b"no pem", make_self_signed(["a"], NOW)[:300]])
def test_a_configured_one_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "given.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidParameter, match=r"given\.pem"):
        Certificate(tmp_path / "tls", NAMES, given=(path, path), now_ms=NOW_MS)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pem", tmp_path / "other.pem"
    for path in (one, other):
        path.write_bytes(make_self_signed(["a.example.com"], NOW))
    key = tmp_path / "key.pem"
    key.write_bytes(other.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0])
    with pytest.raises(InvalidParameter, match="cannot be used"):
        Certificate(tmp_path / "tls", NAMES, given=(one, key), now_ms=NOW_MS)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("a file")
    with pytest.raises(StorageFailed, match="cannot be written"):
        opened(tmp_path)
