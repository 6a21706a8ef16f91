"""The environment that a function's import sees (Developer Guide, "Defined runtime environment").

The user's variables, then Lambda's reserved ones. Nothing of the daemon's own environment.
"""

from __future__ import annotations

from collections.abc import Mapping

from mayfly.model.function import REGION, Function


def function_environment(function: Function) -> Mapping[str, str]:
    """Every variable of one version's snapshot."""
    settings = function.settings
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "HOME": "/tmp",  # noqa: S108 - the isolate's own
        "PYTHONPATH": "/var/runtime",
        "LD_LIBRARY_PATH": "/var/task:/var/task/lib:/opt/lib",
        **settings.environment,
        "_HANDLER": settings.handler,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{settings.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mib),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"[{function.version}]{function.revision_id}",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
    }
