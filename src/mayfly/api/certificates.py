"""The certificate that the listener shows: one that was configured, or one made here.

    tls_certificate, tls_key --------------------------.
    FOLDER/server.pem (0600): key and certificate, ----+--> SSLContext, and FOLDER/certificate.pem,
    made when there is none that will do               |    which is what clients are to trust

What is made signs itself, so trusting it trusts one server, not an authority. It is kept for as
long as it covers the listener's names and is not near its end: clients that trust it go on.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mayfly.model.errors import InvalidParameter, StorageFailed

# What clients of some makers take at most of a certificate that no authority signed.
VALID_DAYS = 825
RENEWED_DAYS_BEFORE = 30
_CLOCKS_DIFFER_BY = dt.timedelta(hours=1)
_PEM = serialization.Encoding.PEM
_COMMON_NAME_LENGTH_MAX = 64


class Certificate:
    """What a listener shows, and the context that shows it.

    Args:
        folder: Where one is made, and `certificate.pem` is written; 0700.
        names: Host names and addresses that it is to cover, the first is its common name.
        given: Certificate (with its chain) and key that were configured, or None.

    Raises:
        InvalidParameter: What was configured cannot be used.
        StorageFailed: The folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        given: tuple[Path, Path] | None,
        now_ms: float,
    ) -> None:
        self.path = folder / "certificate.pem"
        self.context = _context()
        self._folder = folder
        self._names = names
        self._given = given
        self._stamp: tuple[int, ...] = ()
        self.fingerprint = ""
        self.refresh(now_ms)

    @property
    def is_own(self) -> bool:
        """Whether it was made here, so that nobody trusts it who was not told to."""
        return self._given is None

    def refresh(self, now_ms: float) -> bool:
        """Take in files that changed, or make a new one when it is time; whether it is another.

        Connections that there are keep what they have; new ones get the new one.

        Raises:
            As the constructor; what was shown before goes on being shown.
        """
        before = self.fingerprint
        try:
            pair = self._given or self._own(now_ms)
            stamp = tuple(one.stat().st_mtime_ns for one in pair)
            if stamp != self._stamp:
                self._load(*pair)
                self._stamp = stamp
        except OSError as error:
            if self._given is not None:
                raise _unusable(self._given, error) from error
            raise _not_written(self._folder, error) from error
        return self.fingerprint != before

    def _load(self, certificate_path: Path, key_path: Path) -> None:
        try:
            found = x509.load_pem_x509_certificates(certificate_path.read_bytes())[0]
            # A context of its own first: one that fails must not be left half loaded.
            for context in (_context(), self.context):
                context.load_cert_chain(certificate_path, key_path, password=_no_password)
        except (ValueError, ssl.SSLError) as error:
            raise _unusable((certificate_path, key_path), error) from error
        encoded = found.public_bytes(_PEM)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self.path, encoded, mode=0o644)
        digest = hashlib.sha256(found.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
        self.fingerprint = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))

    def _own(self, now_ms: float) -> tuple[Path, Path]:
        path = self._folder / "server.pem"
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        if not _will_do(path, self._names, now):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, make_self_signed(self._names, now), mode=0o600)
        return path, path


def make_self_signed(names: Sequence[str], now: dt.datetime) -> bytes:
    """A key on P-256 and its certificate, signed by itself, in PEM.

    Args:
        names: Host names and addresses.

    Raises:
        InvalidParameter: A name is none of DNS.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Mayfly"),
            x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_COMMON_NAME_LENGTH_MAX]),
        ]
    )
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    uses = {name: name == "digital_signature" for name in _KEY_USES}
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now - _CLOCKS_DIFFER_BY + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**uses), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(
        _PEM
    )


_KEY_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
            continue
        except ValueError:
            pass
        try:
            ascii_name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise InvalidParameter(f'"{name}" is no host name for a certificate') from error
        # Buckets may be the first label of a host (S3's virtual hosts).
        found += [x509.DNSName(ascii_name), x509.DNSName(f"*.{ascii_name}")]
    return found


def _will_do(path: Path, names: Sequence[str], now: dt.datetime) -> bool:
    """Whether the certificate that lies there covers the names and is not near its end."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        covered = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return False
    near_end = found.not_valid_after_utc - dt.timedelta(days=RENEWED_DAYS_BEFORE)
    if not found.not_valid_before_utc <= now < near_end:
        return False
    return all(one in list(covered) for one in _general(names))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    # Else OpenSSL asks at the terminal.
    raise ValueError("the key is encrypted; give one that is not, readable by its owner alone")


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all."""
    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    partial.rename(path)


def _unusable(pair: tuple[Path, Path], error: Exception) -> InvalidParameter:
    certificate, key = pair
    return InvalidParameter(
        f"the certificate {certificate} with the key {key} cannot be used: {error}; both are PEM, "
        "the certificate first, its chain behind it (tls_certificate, tls_key)"
    )


def _not_written(folder: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        site="TLS:WRITE",
        errno=error.errno or 0,
        detail=f"the certificate's folder {folder} cannot be written",
    )
