"""Functions: made, read, listed, changed, removed.

Code is kept before the function that names it is written, so a function never lacks its code; an
archive that no function came to name is collected by the code store in its own time.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from dataclasses import replace

from mayfly.api.auth import presign
from mayfly.api.lambda_.changes import change_function, check_revision
from mayfly.api.lambda_.configuration import function_configuration
from mayfly.api.lambda_.names import find_function, parse_reference
from mayfly.api.lambda_.platform import LambdaPlatform
from mayfly.api.lambda_.settings import changed_settings, new_settings
from mayfly.api.lambda_.unavailable import refuse_code_source, refuse_unavailable
from mayfly.api.wire.params import Params
from mayfly.model import limits
from mayfly.model.errors import Conflict, InvalidParameter
from mayfly.model.function import LATEST, Function

CODE_URL_EXPIRES_S = 600


class FunctionOperations:
    """The operations on functions themselves."""

    def __init__(self, platform: LambdaPlatform) -> None:
        self._platform = platform

    async def create(self, params: Params) -> dict[str, object]:
        """CreateFunction. The code is kept first, so that a function never lacks it.

        Raises:
            Conflict: The name is taken.
        """
        platform = self._platform
        reference = parse_reference(params.text("FunctionName"))
        code_params = params.structure("Code")
        refuse_unavailable(params)
        refuse_code_source(code_params)
        settings = new_settings(params, platform.runtimes)
        if platform.registry.function_nowait(reference.name) is not None:
            raise _taken(reference.name)
        code = await platform.code.put_archive(code_params.blob("ZipFile"))
        function = Function(
            name=reference.name,
            code=code,
            settings=settings,
            revision_id=platform.ids.uuid(),
            modified_ms=int(platform.clock.now_ms()),
        )
        try:
            await platform.registry.create_function(function)
        except Conflict as error:
            raise _taken(reference.name) from error
        platform.engine.function_changed(function.name)
        return function_configuration(function)

    async def get(self, params: Params) -> dict[str, object]:
        """GetFunction; its Code.Location is an address of ours that is good for ten minutes."""
        function = self._find(params)
        platform, settings = self._platform, function.settings
        location = presign(
            platform.keys,
            method="GET",
            url=f"{platform.endpoint}/_mayfly/code/{function.code.digest}",
            service="mayfly",
            now_ms=platform.clock.now_ms(),
            expires_s=CODE_URL_EXPIRES_S,
        )
        reserved = settings.concurrency
        return {
            "Configuration": function_configuration(function),
            "Code": {"RepositoryType": "S3", "Location": location},
            "Tags": dict(settings.tags) or None,
            "Concurrency": (
                None if reserved is None else {"ReservedConcurrentExecutions": reserved}
            ),
        }

    async def get_configuration(self, params: Params) -> dict[str, object]:
        """GetFunctionConfiguration."""
        return function_configuration(self._find(params))

    async def list(self, params: Params) -> dict[str, object]:
        """ListFunctions, by name; a page's marker is the last name of the one before.

        Raises:
            InvalidParameter: The marker is none of ours.
        """
        functions = self._platform.registry.functions_nowait()
        count = min(params.number("MaxItems", limits.PAGE_SIZE_MAX), limits.PAGE_SIZE_MAX)
        marker = params.text("Marker")
        start = 0
        if marker:
            start = bisect_right(functions, _read_marker(marker), key=lambda one: one.name)
        page = functions[start : start + count]
        more = start + count < len(functions)
        return {
            "Functions": [function_configuration(one) for one in page],
            "NextMarker": _marker(page[-1].name) if more else None,
        }

    async def update_code(self, params: Params) -> dict[str, object]:
        """UpdateFunctionCode. A dry run keeps the archive for a while, and changes no function."""
        reference = parse_reference(params.text("FunctionName"))
        revision_id = params.text("RevisionId")
        before = find_function(self._platform.registry, reference)
        check_revision(before, revision_id)
        refuse_unavailable(params)
        refuse_code_source(params)
        code = await self._platform.code.put_archive(params.blob("ZipFile"))
        if params.flag("DryRun"):
            return function_configuration(replace(before, code=code))
        function = await change_function(
            self._platform,
            reference,
            lambda one: replace(one, code=code),
            revision_id=revision_id,
        )
        return function_configuration(function)

    async def update_configuration(self, params: Params) -> dict[str, object]:
        """UpdateFunctionConfiguration: what is given is changed, the rest stays."""
        reference = parse_reference(params.text("FunctionName"))
        find_function(self._platform.registry, reference)
        refuse_unavailable(params)
        runtimes = self._platform.runtimes
        function = await change_function(
            self._platform,
            reference,
            lambda one: replace(one, settings=changed_settings(one.settings, params, runtimes)),
            revision_id=params.text("RevisionId"),
        )
        return function_configuration(function)

    async def delete(self, params: Params) -> dict[str, object]:
        """DeleteFunction. A call that runs is left to finish.

        Raises:
            InvalidParameter: $LATEST alone was to be deleted.
        """
        reference = parse_reference(params.text("FunctionName"), params.text("Qualifier"))
        find_function(self._platform.registry, reference)
        if reference.qualifier == LATEST:
            raise InvalidParameter(
                "$LATEST version cannot be deleted without deleting the function."
            )
        await self._platform.registry.delete_function(reference.name)
        self._platform.engine.function_changed(reference.name)
        return {"StatusCode": 204}

    def _find(self, params: Params) -> Function:
        written, qualifier = params.text("FunctionName"), params.text("Qualifier")
        return find_function(self._platform.registry, parse_reference(written, qualifier))


def _taken(name: str) -> Conflict:
    return Conflict(f"Function already exist: {name}")


def _marker(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode("ascii")


def _read_marker(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"Marker '{marker[:64]}' is none that was given out") from error
