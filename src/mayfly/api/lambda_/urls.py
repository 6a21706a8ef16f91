"""Function URLs: made, read, changed, listed, removed. One for each function.

Only their settings are here; what a request to a URL becomes is the function-URL source's to say.
A URL's id is made once and kept through every change, for people have written the address down.
"""

from __future__ import annotations

from dataclasses import replace

from mayfly.api.lambda_.configuration import url_configuration
from mayfly.api.lambda_.names import Reference, find_function, parse_reference
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.refusals import NotImplementedYet
from mayfly.api.wire.params import Params
from mayfly.model.errors import Conflict, NotFound
from mayfly.model.function import Function, FunctionUrl, UrlAuth

# Fits into a host name's label (RFC 1035, 63 characters) and is beyond guessing.
URL_ID_LENGTH = 32


class UrlOperations:
    """The operations on function URLs."""

    def __init__(self, platform: LambdaPlatform) -> None:
        self._platform = platform

    async def create(self, params: Params) -> dict[str, object]:
        """CreateFunctionUrlConfig.

        Raises:
            Conflict: The function has one.
        """
        function = self._function(params)
        _refuse_streaming(params)
        if self._platform.registry.url_nowait(function.name) is not None:
            raise Conflict(
                f"Failed to create function url config for [functionArn = {function.arn}]. Error "
                "message:  FunctionUrlConfig exists for this Lambda function"
            )
        now_ms = int(self._platform.clock.now_ms())
        url = FunctionUrl(
            function_name=function.name,
            url_id=self._platform.ids.token(URL_ID_LENGTH),
            auth=UrlAuth(params.text("AuthType")),
            created_ms=now_ms,
            modified_ms=now_ms,
            cors=params.structure("Cors") or None,
        )
        await self._platform.registry.put_url(url)
        return self._told(function, url)

    async def get(self, params: Params) -> dict[str, object]:
        """GetFunctionUrlConfig."""
        function = self._function(params)
        return self._told(function, self._url(function))

    async def update(self, params: Params) -> dict[str, object]:
        """UpdateFunctionUrlConfig: what is given is changed; the address stays."""
        function = self._function(params)
        _refuse_streaming(params)
        before = self._url(function)
        url = replace(
            before,
            auth=UrlAuth(params.text("AuthType", before.auth.value)),
            cors=params.structure("Cors") or None if "Cors" in params else before.cors,
            modified_ms=int(self._platform.clock.now_ms()),
        )
        await self._platform.registry.put_url(url)
        return self._told(function, url)

    async def list(self, params: Params) -> dict[str, object]:
        """ListFunctionUrlConfigs: none or one."""
        function = self._function(params)
        url = self._platform.registry.url_nowait(function.name)
        return {"FunctionUrlConfigs": [self._told(function, url)] if url else []}

    async def delete(self, params: Params) -> dict[str, object]:
        """DeleteFunctionUrlConfig."""
        function = self._function(params)
        self._url(function)
        await self._platform.registry.delete_url(function.name)
        return {}

    def _function(self, params: Params) -> Function:
        reference = parse_reference(params.text("FunctionName"), params.text("Qualifier"))
        if reference.qualifier:
            # A URL may stand before an alias, but there are none; $LATEST is no alias.
            raise NotFound(f"Function not found: {reference.arn}")
        return find_function(self._platform.registry, Reference(reference.name))

    def _url(self, function: Function) -> FunctionUrl:
        url = self._platform.registry.url_nowait(function.name)
        if url is None:
            raise NotFound("The resource you requested does not exist.")
        return url

    def _told(self, function: Function, url: FunctionUrl) -> dict[str, object]:
        return url_configuration(function, url, self._platform.endpoint)


def _refuse_streaming(params: Params) -> None:
    if params.text("InvokeMode", "BUFFERED") != "BUFFERED":
        raise NotImplementedYet(
            "Mayfly does not stream responses yet; leave out InvokeMode, or set it to BUFFERED"
        )
