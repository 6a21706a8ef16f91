"""A function: its name, its code by digest, its settings; and the URL that may stand before it.

Values only. A change of settings or code makes a new `Function` value with a new `revision_id`;
what runs is keyed by `snapshot_key`, so that a change of code, environment or bounds makes a new
snapshot and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mayfly.model import limits
from mayfly.model.grant import Grant, GrantOrigin

ACCOUNT_ID = "000000000000"
REGION = "us-east-1"
LATEST = "$LATEST"


class Reuse(StrEnum):
    """Whether an isolate serves one call or many."""

    NEVER = "never"
    WARM = "warm"


class IsolateKind(StrEnum):
    """Which driver holds the isolate."""

    PROCESS = "process"
    MICROVM = "microvm"


class UrlAuth(StrEnum):
    """A function URL's AuthType."""

    NONE = "NONE"
    AWS_IAM = "AWS_IAM"


@dataclass(frozen=True, slots=True)
class Code:
    """A function's code, content-addressed.

    Args:
        digest: Lower-case hex SHA-256 of the zip archive as it was uploaded; names the archive
            and its tree.
        size_bytes: Of the archive.
        dependencies: Digest of the tree of installed requirements, or None.
    """

    digest: str
    size_bytes: int
    dependencies: str | None = None

    @property
    def digests(self) -> frozenset[str]:
        """The names of all that must be kept for it to run."""
        return frozenset(
            {self.digest} if self.dependencies is None else {self.digest, self.dependencies}
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user sets. The defaults are Lambda's.

    Args:
        handler: "module.function"; a module path may hold slashes or dots.
        runtime: "python3.11" and so on.
        timeout_s: Deadline of a call, whole seconds.
        memory_mib: Memory of one isolate.
        tmp_mib: Size of /tmp of one isolate.
        concurrency: Reserved concurrency; None is "share the node's"; 0 stops the function.
        extra: Configuration that the API must give back but that the engine does not read
            (TracingConfig, LoggingConfig, ...), as JSON-able values under AWS's names.
        dead_letter_arn: The queue that gets asynchronous events which were given up, or "".
        granted_by: Of a grant, by its `str`, where it is from; of others it is the manifest.
    """

    handler: str
    runtime: str
    role: str = f"arn:aws:iam::{ACCOUNT_ID}:role/mayfly"
    description: str = ""
    memory_mib: int = limits.MEMORY_MIB_DEFAULT
    timeout_s: int = limits.TIMEOUT_S_DEFAULT
    tmp_mib: int = limits.TMP_MIB_DEFAULT
    environment: Mapping[str, str] = field(default_factory=dict)
    reuse: Reuse = Reuse.NEVER
    isolate: IsolateKind = IsolateKind.PROCESS
    concurrency: int | None = None
    grants: tuple[Grant, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    dead_letter_arn: str = ""
    granted_by: Mapping[str, GrantOrigin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """One function as it stands now.

    Args:
        name: 1 to 64 of [A-Za-z0-9-_].
        version: "$LATEST", or a published version's number.
        revision_id: A UUID, new at every change (Lambda's RevisionId).
        modified_ms: Time of the last change, Unix milliseconds.
    """

    name: str
    code: Code
    settings: Settings
    revision_id: str
    modified_ms: int
    version: str = LATEST

    @property
    def arn(self) -> str:
        """The function's unqualified ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}"

    @property
    def snapshot_key(self) -> tuple[object, ...]:
        """What a snapshot depends on; a change of it makes a new one.

        Concurrency, tags, description and role change nothing in a running snapshot and are left
        out.
        """
        s = self.settings
        return (
            self.name,
            self.version,
            self.code.digest,
            self.code.dependencies,
            s.handler,
            s.runtime,
            s.memory_mib,
            s.timeout_s,
            s.tmp_mib,
            tuple(sorted(s.environment.items())),
            s.reuse,
            s.isolate,
            s.grants,
        )


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    """An HTTP address of a function.

    Args:
        url_id: Lower-case letters and digits; the host label and the path segment that name it.
        cors: AWS's Cors structure as given, or None.
    """

    function_name: str
    url_id: str
    auth: UrlAuth
    created_ms: int
    modified_ms: int
    cors: Mapping[str, object] | None = None
    invoke_mode: str = "BUFFERED"
