"""What Lambda's API tells of a function and of its URL: the model's shapes, filled in.

Nothing is pending here: a function is Active and its last update Successful as soon as the write
is durable, for the next call makes whatever it needs.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime

from mayfly.api.lambda_.unavailable import architecture
from mayfly.model.function import Function, FunctionUrl


def function_configuration(function: Function) -> dict[str, object]:
    """The shape FunctionConfiguration. A function is active as soon as it is there."""
    settings, extra = function.settings, function.settings.extra
    environment = {"Variables": dict(settings.environment)} if settings.environment else None
    return {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": settings.runtime,
        "Role": settings.role,
        "Handler": settings.handler,
        "CodeSize": function.code.size_bytes,
        "Description": settings.description,
        "Timeout": settings.timeout_s,
        "MemorySize": settings.memory_mib,
        "LastModified": timestamp(function.modified_ms),
        "CodeSha256": base64.b64encode(bytes.fromhex(function.code.digest)).decode("ascii"),
        "Version": function.version,
        "Environment": environment,
        "DeadLetterConfig": (
            {"TargetArn": settings.dead_letter_arn} if settings.dead_letter_arn else None
        ),
        "KMSKeyArn": extra.get("KMSKeyArn"),
        "TracingConfig": extra.get("TracingConfig") or {"Mode": "PassThrough"},
        "RevisionId": function.revision_id,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": [architecture()],
        "EphemeralStorage": {"Size": settings.tmp_mib},
        "SnapStart": {"ApplyOn": "None", **_mapping(extra, "SnapStart"), **_OPTIMIZATION},
        "LoggingConfig": {
            "LogFormat": "Text",
            "LogGroup": f"/aws/lambda/{function.name}",
            **_mapping(extra, "LoggingConfig"),
        },
        "RuntimeConfig": extra.get("RuntimeConfig"),
    }


# Mayfly makes a snapshot of every function; SnapStart's applies to published versions.
_OPTIMIZATION = {"OptimizationStatus": "Off"}


def url_configuration(function: Function, url: FunctionUrl, endpoint: str) -> dict[str, object]:
    """The members of a function URL's configuration."""
    return {
        "FunctionUrl": f"{endpoint}/lambda-url/{url.url_id}/",
        "FunctionArn": function.arn,
        "AuthType": url.auth.value,
        "Cors": url.cors,
        "CreationTime": timestamp(url.created_ms),
        "LastModifiedTime": timestamp(url.modified_ms),
        "InvokeMode": url.invoke_mode,
    }


def timestamp(unix_ms: int) -> str:
    """Lambda's own form of a time: 2026-03-01T12:00:00.000+0000."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}+0000"


def _mapping(extra: Mapping[str, object], name: str) -> dict[str, object]:
    held = extra.get(name)
    return dict(held) if isinstance(held, Mapping) else {}
