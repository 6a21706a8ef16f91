"""Invoke: the hot path, without service model or Request object. Being written."""

from __future__ import annotations

from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.message import Headers, Response


async def invoke_fast(
    platform: LambdaPlatform,
    *,
    name: str,
    qualifier: str,
    headers: Headers,
    body: bytes,
    request_id: str,
) -> Response:
    """Answer POST /2015-03-31/functions/{name}/invocations for a caller that is authenticated.

    `name` is the path segment, percent-decoded: a name, a partial or a full ARN; `qualifier` the
    query's Qualifier, or "". Never raises a MayflyError: errors are answers.
    """
    raise NotImplementedError
