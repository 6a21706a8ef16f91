"""Tags and reserved concurrency: settings that change nothing in what runs, with one exception.

They make a new revision, as every change does, and leave the snapshot alone
(`Function.snapshot_key`). The tag `mayfly:grants` says what is granted (`model.granting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mayfly.api.lambda_.changes import change_function
from mayfly.api.lambda_.names import Reference, find_function, parse_reference
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.lambda_.settings import check_tags
from mayfly.api.wire.params import Params
from mayfly.model import granting
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Function


class TagOperations:
    """The operations on a function's tags; a resource is named by its ARN."""

    def __init__(self, platform: LambdaPlatform) -> None:
        self._platform = platform

    async def tag(self, params: Params) -> dict[str, object]:
        """TagResource: add these, replace those with the same key."""
        given = params.text_map("Tags")

        def add(function: Function) -> Function:
            return _with_tags(function, {**function.settings.tags, **given})

        await change_function(self._platform, _resource(params), add)
        return {}

    async def untag(self, params: Params) -> dict[str, object]:
        """UntagResource; a key that is not there is no error."""
        doomed = set(params.texts("TagKeys"))

        def remove(function: Function) -> Function:
            kept = {k: v for k, v in function.settings.tags.items() if k not in doomed}
            return _with_tags(function, kept)

        await change_function(self._platform, _resource(params), remove)
        return {}

    async def list(self, params: Params) -> dict[str, object]:
        """ListTags."""
        function = find_function(self._platform.registry, _resource(params))
        return {"Tags": dict(function.settings.tags)}


class ConcurrencyOperations:
    """The operations on a function's reserved concurrency."""

    def __init__(self, platform: LambdaPlatform) -> None:
        self._platform = platform

    async def put(self, params: Params) -> dict[str, object]:
        """PutFunctionConcurrency. Zero stops the function."""
        reserved = params.number("ReservedConcurrentExecutions", 0)
        await self._set(params, reserved)
        return {"ReservedConcurrentExecutions": reserved}

    async def get(self, params: Params) -> dict[str, object]:
        """GetFunctionConcurrency; nothing where none is reserved."""
        reference = parse_reference(params.text("FunctionName"))
        function = find_function(self._platform.registry, reference)
        return {"ReservedConcurrentExecutions": function.settings.concurrency}

    async def delete(self, params: Params) -> dict[str, object]:
        """DeleteFunctionConcurrency: share the node's again."""
        await self._set(params, None)
        return {}

    async def _set(self, params: Params, reserved: int | None) -> None:
        def change(function: Function) -> Function:
            return replace(function, settings=replace(function.settings, concurrency=reserved))

        reference = parse_reference(params.text("FunctionName"))
        await change_function(self._platform, reference, change)


def _with_tags(function: Function, tags: Mapping[str, str]) -> Function:
    check_tags(tags)
    return replace(function, settings=granting.with_tags(function.settings, tags))


def _resource(params: Params) -> Reference:
    """The function that an ARN names.

    Raises:
        InvalidParameter: It names a version; tags belong to the whole function.
    """
    reference = parse_reference(params.text("Resource"), place="resource")
    if reference.qualifier:
        raise InvalidParameter(
            f"Tags on function aliases and versions are not supported: {reference.arn}"
        )
    return reference
