"""Run: one script, once, in an isolate of its own that is gone afterwards.

The script becomes the only file of an archive, and that a function without a name in the registry,
so that it is sealed, bounded and metered like any other.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec

from mayfly.api.platform import Platform
from mayfly.model import limits
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Code, Function, Settings
from mayfly.model.invocation import Invocation, Outcome

_NAME_LENGTH_MAX = 64
_ARGUMENTS_MAX = 1_024
_EPOCH = (1980, 1, 1, 0, 0, 0)
# As timeout(1) has it.
_EXIT_TIMED_OUT, _EXIT_FAILED = 124, 1


class RunRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /_mayfly/v1/run.

    Attributes:
        script: Python source.
        stdin: Base64.
    """

    script: str
    filename: str = "script.py"
    args: Annotated[list[str], msgspec.Meta(max_length=_ARGUMENTS_MAX)] = msgspec.field(
        default_factory=list
    )
    stdin: str = ""
    timeout_s: Annotated[int, msgspec.Meta(ge=limits.TIMEOUT_S_MIN, le=limits.TIMEOUT_S_MAX)] = 60
    memory_mib: Annotated[int, msgspec.Meta(ge=limits.MEMORY_MIB_MIN, le=limits.MEMORY_MIB_MAX)] = (
        256
    )
    environment: dict[str, str] = msgspec.field(default_factory=dict)


def parse_run(body: bytes) -> RunRequest:
    """Read a request's body.

    Raises:
        InvalidParameter: It is not of `RunRequest`'s form; says where.
    """
    try:
        request = msgspec.json.decode(body, type=RunRequest)
        base64.b64decode(request.stdin, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidParameter(f"the request to run a script cannot be used: {error}") from error
    name = request.filename
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise InvalidParameter(f'filename must be a plain name such as "x.py", got "{name[:80]}"')
    if len(name.encode("utf-8", "replace")) > _NAME_LENGTH_MAX:
        raise InvalidParameter(f"filename must be at most {_NAME_LENGTH_MAX} bytes long")
    return request


async def run(
    platform: Platform,
    request: RunRequest,
    request_id: str,
    on_output: Callable[[bytes], None],
) -> Mapping[str, object]:
    """Run the script to its end; the last line of the reply. Cancelled: it is killed."""
    code = await platform.code.put_archive(_archive(request))
    function = _function(platform, request, code)
    invocation = Invocation(
        request_id=request_id,
        function=function,
        payload=msgspec.json.encode({"args": request.args, "stdin": request.stdin}),
        invoked_arn=function.arn,
    )
    outcome = await platform.engine.run_script(function, invocation, request.filename, on_output)
    exit_code, error = _ending(outcome)
    return {"exit_code": exit_code, "duration_ms": outcome.duration_ms, "error": error}


def _archive(request: RunRequest) -> bytes:
    """A zip of the script alone; the same script makes the same bytes, so the same digest."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        member = zipfile.ZipInfo(request.filename, _EPOCH)
        member.external_attr = 0o644 << 16
        archive.writestr(member, request.script)
    return out.getvalue()


def _function(platform: Platform, request: RunRequest, code: Code) -> Function:
    return Function(
        name=f"run-{platform.ids.token(12)}",
        code=code,
        settings=Settings(
            handler="",
            runtime=newest_runtime(platform),
            memory_mib=request.memory_mib,
            timeout_s=request.timeout_s,
            environment=request.environment,
        ),
        revision_id=platform.ids.uuid(),
        modified_ms=int(platform.clock.now_ms()),
    )


def newest_runtime(platform: Platform) -> str:
    """The name of the machine's newest Python.

    Raises:
        InvalidParameter: There is none.
    """
    found = [name for name in platform.runtimes if name.startswith("python")]
    if not found:
        raise InvalidParameter(
            "this machine has no Python that functions can run on; `mayfly doctor` says more"
        )
    return max(found, key=_version)


def _version(runtime: str) -> tuple[int, ...]:
    parts = runtime.removeprefix("python").split(".")
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _ending(outcome: Outcome) -> tuple[int, str | None]:
    """The script's exit code, and why it came to no end of its own, if so."""
    try:
        document: object = msgspec.json.decode(outcome.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    told = document if isinstance(document, dict) else {}
    if outcome.error is None:
        code = told.get("exit_code")
        return (code, None) if isinstance(code, int) else (_EXIT_FAILED, "it did not say its end")
    timed_out = outcome.error_type == "Sandbox.Timedout"
    message = str(told.get("errorMessage") or outcome.error_type)
    return (_EXIT_TIMED_OUT if timed_out else _EXIT_FAILED), message
