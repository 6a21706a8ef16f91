"""Sealing and opening one value with AES-256-GCM.

The library is loaded with the first secret: it is 7 MB that a platform without secrets need not
hold.
"""

from __future__ import annotations


class DoesNotOpen(Exception):
    """Another key, another label, or bytes that were changed."""


def seal(key: bytes, *, nonce: bytes, plain: bytes, label: bytes) -> bytes:
    """The sealed value; `label` is sealed with it, and must be given to open it.

    Args:
        key: 32 bytes.
        nonce: 12 bytes, never used twice with one key (NIST SP 800-38D).
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 see above

    return AESGCM(key).encrypt(nonce, plain, label)


def unseal(key: bytes, *, nonce: bytes, sealed: bytes, label: bytes) -> bytes:
    """The value.

    Raises:
        DoesNotOpen: It is not what was sealed with this key and label.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 see above
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        return AESGCM(key).decrypt(nonce, sealed, label)
    except (InvalidTag, ValueError) as error:
        raise DoesNotOpen from error
