"""Calls from browsers: a bucket's CORS rules, judged for preflights and for answers.

The first rule that fits origin, method and headers counts. A preflight is never signed, so it is
answered without one, and tells nothing but what the bucket's owner has allowed.

Source: "Using cross-origin resource sharing (CORS)", Amazon S3 User Guide.
"""

from __future__ import annotations

from collections.abc import Sequence

from mayfly.api.message import Headers, Response
from mayfly.api.s3.call import HeaderList, header
from mayfly.api.s3.refusals import InvalidRequest, S3Error
from mayfly.model.errors import MayflyError
from mayfly.stores.objects.bucket import CorsRule
from mayfly.stores.objects.store import ObjectStore

METHODS = frozenset(("GET", "PUT", "POST", "DELETE", "HEAD"))
_VARY = (b"vary", b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method")


class AccessForbidden(S3Error):
    """No rule allows the call."""

    code, status = "AccessForbidden", 403
    usual = "CORSResponse: This CORS request is not allowed."


def preflight(store: ObjectStore, bucket: str, headers: Headers) -> Response:
    """The answer to OPTIONS.

    Raises:
        AccessForbidden: No rule allows what is announced.
        InvalidRequest: It is no preflight.
    """
    origin = headers.get("origin")
    method = headers.get("access-control-request-method")
    if not origin or method not in METHODS:
        raise InvalidRequest("Insufficient information. Origin request header needed.")
    asked = [
        name
        for one in headers.get("access-control-request-headers").split(",")
        if (name := one.strip().lower())
    ]
    rules = _rules(store, bucket)
    if not rules:
        raise AccessForbidden("CORSResponse: CORS is not enabled for this bucket.")
    for rule in rules:
        if _fits(rule, origin, method, asked):
            return Response(200, _allowed(rule, origin, asked))
    raise AccessForbidden


def answer_headers(store: ObjectStore, bucket: str, headers: Headers, method: str) -> HeaderList:
    """What a browser needs to see in the answer to a call from `Origin`."""
    origin = headers.get("origin")
    for rule in _rules(store, bucket) if bucket and origin else ():
        if _fits(rule, origin, method, ()):
            return _allowed(rule, origin, ())
    return []


def _rules(store: ObjectStore, bucket: str) -> Sequence[CorsRule]:
    try:
        return store.buckets.find_nowait(bucket).settings.cors
    except MayflyError:
        return ()


def _fits(rule: CorsRule, origin: str, method: str, asked: Sequence[str]) -> bool:
    return (
        method in rule.allowed_methods
        and any(_matches(one, origin) for one in rule.allowed_origins)
        and all(any(_matches(one.lower(), name) for one in rule.allowed_headers) for name in asked)
    )


def _matches(pattern: str, text: str) -> bool:
    """A pattern with at most one asterisk."""
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == text
    return (
        len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)
    )


def _allowed(rule: CorsRule, origin: str, asked: Sequence[str]) -> HeaderList:
    everyone = "*" in rule.allowed_origins
    headers: HeaderList = [
        (b"access-control-allow-origin", b"*" if everyone else header(origin)),
        (b"access-control-allow-methods", ", ".join(rule.allowed_methods).encode()),
        _VARY,
    ]
    if not everyone:
        headers.append((b"access-control-allow-credentials", b"true"))
    if asked:
        headers.append((b"access-control-allow-headers", header(", ".join(asked))))
    if rule.expose_headers:
        headers.append((b"access-control-expose-headers", header(", ".join(rule.expose_headers))))
    if rule.max_age_s is not None:
        headers.append((b"access-control-max-age", b"%d" % rule.max_age_s))
    return headers
