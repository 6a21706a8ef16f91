"""From CreateFunction's and UpdateFunctionConfiguration's members to a function's settings.

The model has checked forms; here are the bounds of this platform, the runtimes of this machine
and the rules for environment variables and tags that no model holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mayfly.api.lambda_.event_config import dead_letter_target
from mayfly.api.wire.params import Params
from mayfly.api.wire.validate import failure, validation_failed
from mayfly.model import granting, limits
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Settings
from mayfly.ports import RuntimeInfo

# Given back as they came; the engine does not read them.
_EXTRA = ("TracingConfig", "LoggingConfig", "SnapStart", "KMSKeyArn", "RuntimeConfig")
_RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
_RESERVED_PREFIX = "AWS_LAMBDA_"
_OPEN = frozenset({"AWS_LAMBDA_EXEC_WRAPPER"})


def new_settings(params: Params, runtimes: Mapping[str, RuntimeInfo]) -> Settings:
    """The settings of a function that is being made; what is not said has Lambda's default.

    Raises:
        InvalidParameter: A runtime that this machine lacks, a variable that is reserved, ...
        ValidationFailed: A number over this platform's bound.
    """
    if not params.text("Runtime") or not params.text("Handler"):
        raise InvalidParameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages."
        )
    tags = params.text_map("Tags")
    check_tags(tags)
    plain = Settings(handler="", runtime="", role=params.text("Role"))
    return changed_settings(granting.with_tags(plain, tags), params, runtimes)


def changed_settings(
    before: Settings, params: Params, runtimes: Mapping[str, RuntimeInfo]
) -> Settings:
    """`before` with the members that were given.

    Raises:
        InvalidParameter: As `new_settings`.
        ValidationFailed: As `new_settings`.
    """
    _check_bounds(params)
    if "Runtime" in params:
        _check_runtime(params.text("Runtime"), runtimes)
    environment = before.environment
    if "Environment" in params:
        environment = params.structure("Environment").text_map("Variables")
        check_environment(environment)
    dead_letter_arn = before.dead_letter_arn
    if "DeadLetterConfig" in params:
        dead_letter_arn = dead_letter_target(params)
    extra = {name: params[name] for name in _EXTRA if name in params}
    return replace(
        before,
        handler=params.text("Handler", before.handler),
        runtime=params.text("Runtime", before.runtime),
        role=params.text("Role", before.role),
        description=params.text("Description", before.description),
        memory_mib=params.number("MemorySize", before.memory_mib),
        timeout_s=params.number("Timeout", before.timeout_s),
        tmp_mib=params.structure("EphemeralStorage").number("Size", before.tmp_mib),
        environment=environment,
        extra={**before.extra, **extra},
        dead_letter_arn=dead_letter_arn,
    )


def check_environment(variables: Mapping[str, str]) -> None:
    """Refuse variables that are reserved, too large together, or that no process can have.

    Raises:
        InvalidParameter: Naming them, without their values.
    """
    reserved = sorted(name for name in variables if _is_reserved(name))
    prefix = (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided "
    )
    if reserved:
        raise InvalidParameter(
            f"{prefix}contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if size > limits.ENVIRONMENT_BYTES_MAX:
        raise InvalidParameter(
            f"{prefix}exceeded the 4KB limit. They measure {size} bytes, names and values"
        )
    impossible = sorted(name for name, value in variables.items() if "\0" in value)
    if impossible:
        raise InvalidParameter(f"{prefix}hold a NUL character: {', '.join(impossible)}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse too many tags and AWS's own prefix.

    Raises:
        InvalidParameter: With the bound or the key.
    """
    if len(tags) > limits.TAGS_MAX:
        raise InvalidParameter(
            f"a function has at most {limits.TAGS_MAX} tags, these would be {len(tags)}"
        )
    reserved = sorted(key for key in tags if key.lower().startswith("aws:"))
    if reserved:
        raise InvalidParameter(f"tag keys that begin with aws: are reserved: {', '.join(reserved)}")


def _is_reserved(name: str) -> bool:
    return name in _RESERVED or (name.startswith(_RESERVED_PREFIX) and name not in _OPEN)


def _check_runtime(runtime: str, runtimes: Mapping[str, RuntimeInfo]) -> None:
    if runtime not in runtimes:
        raise InvalidParameter(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{', '.join(sorted(runtimes))}] or be a valid ARN; these are the runtimes "
            "of this machine"
        )


def _check_bounds(params: Params) -> None:
    """This platform's upper bounds, which are lower than those of AWS's newest model."""
    tmp_mib = params.structure("EphemeralStorage").number("Size", 0)
    failures = [
        failure(place, value, f"Member must have value less than or equal to {bound}")
        for place, value, bound in (
            ("timeout", params.number("Timeout", 0), limits.TIMEOUT_S_MAX),
            ("memorySize", params.number("MemorySize", 0), limits.MEMORY_MIB_MAX),
            ("ephemeralStorage.size", tmp_mib, limits.TMP_MIB_MAX),
        )
        if value > bound
    ]
    if failures:
        raise validation_failed(failures)
