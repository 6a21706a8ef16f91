"""A webhook: a URL that strangers post to, and the function that what they post is for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HOOK_ID_LENGTH = 32
# What stands before it in the webhook's URL.
HOOKS_PATH = "/_mayfly/hooks/"


class Scheme(StrEnum):
    """How a delivery proves where it comes from."""

    GITHUB = "github"
    STRIPE = "stripe"
    HMAC = "hmac"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook.

    Args:
        hook_id: What its URL ends with; stays the same when the webhook is changed.
        secret_name: The secret that deliveries are signed with, or "" for the scheme "none".
    """

    name: str
    hook_id: str
    function_name: str
    scheme: Scheme
    secret_name: str
    created_ms: int
    modified_ms: int
