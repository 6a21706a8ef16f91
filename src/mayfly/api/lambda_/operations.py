"""Lambda's operations, by name: which there are, and who does each.

Every other operation of the model is refused by name in `dispatch`, from the model itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from mayfly.api.lambda_.event_config import EventConfigOperations
from mayfly.api.lambda_.functions import FunctionOperations
from mayfly.api.lambda_.invoke import invoke_operation
from mayfly.api.lambda_.mappings import MappingOperations, names_mapping
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.lambda_.tags import ConcurrencyOperations, TagOperations
from mayfly.api.lambda_.urls import UrlOperations
from mayfly.api.message import Request
from mayfly.api.permits import require_owner
from mayfly.api.wire.params import Params

Perform = Callable[[Params], Awaitable[Mapping[str, object]]]


class LambdaOperations:
    """The service "lambda" over the platform's ports.

    Args:
        mappings: Event source mappings, where the platform has sources to read.
    """

    def __init__(self, platform: LambdaPlatform, mappings: MappingOperations | None = None) -> None:
        self._platform = platform
        functions, urls = FunctionOperations(platform), UrlOperations(platform)
        tags, concurrency = TagOperations(platform), ConcurrencyOperations(platform)
        events = EventConfigOperations(platform)
        self._performers: dict[str, Perform] = {
            "CreateFunction": functions.create,
            "GetFunction": functions.get,
            "GetFunctionConfiguration": functions.get_configuration,
            "ListFunctions": functions.list,
            "UpdateFunctionCode": functions.update_code,
            "UpdateFunctionConfiguration": functions.update_configuration,
            "DeleteFunction": functions.delete,
            "CreateFunctionUrlConfig": urls.create,
            "GetFunctionUrlConfig": urls.get,
            "UpdateFunctionUrlConfig": urls.update,
            "ListFunctionUrlConfigs": urls.list,
            "DeleteFunctionUrlConfig": urls.delete,
            "TagResource": tags.tag,
            "UntagResource": tags.untag,
            "ListTags": tags.list,
            "PutFunctionConcurrency": concurrency.put,
            "GetFunctionConcurrency": concurrency.get,
            "DeleteFunctionConcurrency": concurrency.delete,
            "PutFunctionEventInvokeConfig": events.put,
            "UpdateFunctionEventInvokeConfig": events.update,
            "GetFunctionEventInvokeConfig": events.get,
            "ListFunctionEventInvokeConfigs": events.list,
            "DeleteFunctionEventInvokeConfig": events.delete,
        }
        if mappings is not None:
            self._performers |= _of_mappings(mappings, tags)

    def implements(self, operation_name: str) -> bool:
        """Whether `handle` does this operation."""
        return operation_name in self._performers or operation_name == "Invoke"

    async def handle(
        self, operation_name: str, params: Params, request: Request
    ) -> Mapping[str, object]:
        """Do an operation that is implemented; all but Invoke are the owner's.

        Raises:
            AccessDenied: The caller is a function that was not granted it.
            MayflyError: It was refused or failed; nothing was half done.
        """
        if operation_name == "Invoke":
            return await invoke_operation(
                self._platform,
                params,
                principal=request.principal,
                trace_id=request.headers.get("x-amzn-trace-id"),
                request_id=request.request_id,
            )
        require_owner(request.principal, operation_name)
        return await self._performers[operation_name](params)


def _of_mappings(mappings: MappingOperations, tags: TagOperations) -> Mapping[str, Perform]:
    """The operations on mappings; tags are by the ARN's kind."""

    def either(of_mapping: Perform, of_function: Perform) -> Perform:
        return lambda params: (of_mapping if names_mapping(params) else of_function)(params)

    return {
        "CreateEventSourceMapping": mappings.create,
        "GetEventSourceMapping": mappings.get,
        "ListEventSourceMappings": mappings.list,
        "UpdateEventSourceMapping": mappings.update,
        "DeleteEventSourceMapping": mappings.delete,
        "TagResource": either(mappings.tag, tags.tag),
        "UntagResource": either(mappings.untag, tags.untag),
        "ListTags": either(mappings.list_tags, tags.list),
    }
