"""A function's own access key: made with its snapshot, gone with it, good for its grants only.

SDKs read it from the environment at import (AWS_ACCESS_KEY_ID and its like), as they do in Lambda.
It does not expire by the clock: it is worth nothing once the snapshot is gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from mayfly.api.keys import Credential, Keys
from mayfly.model.function import ACCOUNT_ID, Function
from mayfly.model.grant import Grant, GrantKind

# Kinds that are reached through the platform's own endpoint.
PLATFORM_KINDS = frozenset(
    {GrantKind.OBJECTS, GrantKind.TABLES, GrantKind.QUEUES, GrantKind.INVOKE}
)
# The environment by which SDKs find the key and the endpoint.
VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def issue(
    keys: Keys,
    function: Function,
    on_missing: Callable[[Grant], None] | None = None,
    on_used: Callable[[Grant, Grant], None] | None = None,
) -> Credential:
    """Make a key that carries the function's grants; the caller removes it from `keys`.

    Args:
        on_missing: Told of each grant that was missing for what the key tried.
        on_used: Told which grant allowed what the key asked for.
    """
    credential = Credential(
        access_key_id="ASIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16)),
        secret_access_key=secrets.token_urlsafe(30),
        arn=f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/mayfly/{function.name}",
        session_token=secrets.token_urlsafe(48),
        function_name=function.name,
        grants=tuple(one for one in function.settings.grants if one.kind in PLATFORM_KINDS),
        on_missing=on_missing,
        on_used=on_used,
    )
    keys.add(credential)
    return credential


def variables(credential: Credential, endpoint: str) -> Mapping[str, str]:
    """The values of `VARIABLES`."""
    values = (
        endpoint,
        credential.access_key_id,
        credential.secret_access_key,
        credential.session_token,
    )
    return dict(zip(VARIABLES, values, strict=True))
