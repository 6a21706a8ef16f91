"""mayfly.toml: what a user says of a function, parsed once into a frozen `Manifest`.

    [function]
    name = "thumbnail"            # required
    handler = "app.handler"       # required: file app.py, function handler
    runtime = "python3.11"        # default: the newest that the machine has
    memory = 256                  # MiB; default 128
    timeout = "10s"               # or "1m", or whole seconds; default 3
    tmp = 512                     # MiB of /tmp; default 512
    reuse = "never"               # or "warm"; default "never"
    isolate = "process"           # default "process"
    concurrency = 20              # calls at once; default: shares the machine's
    description = ""
    [function.env]                # strings; default none
    [function.tags]               # strings; default none
    [grants]                      # net, objects, tables, queues, invoke, secrets: lists; none
    [url]                         # without it the function has no URL
    auth = "none"                 # or "iam"; default "iam"
    [url.cors]                    # allow_origins, allow_methods, allow_headers, expose_headers,
                                  # max_age, allow_credentials
    [[trigger]]                   # type and what belongs to it: see `triggers`

What is unknown or wrong is an error with its line, all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mayfly.images.reading import Place, Reading, shown
from mayfly.images.triggers import read_triggers
from mayfly.model import granting, limits
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import IsolateKind, Reuse, Settings, UrlAuth
from mayfly.model.grant import Grant, GrantKind, parse_grant
from mayfly.model.trigger import Trigger, TriggerKind

FILENAME = "mayfly.toml"

_TOP = ("function", "grants", "url", "trigger")
_FUNCTION = (
    "name",
    "handler",
    "runtime",
    "memory",
    "timeout",
    "tmp",
    "reuse",
    "isolate",
    "concurrency",
    "description",
    "env",
    "tags",
)
_CORS_LISTS = {
    "allow_origins": "AllowOrigins",
    "allow_methods": "AllowMethods",
    "allow_headers": "AllowHeaders",
    "expose_headers": "ExposeHeaders",
}
_EXAMPLES = {"name": "thumbnail", "handler": "app.handler"}
_MIB_BOUNDS = {
    "memory": (limits.MEMORY_MIB_MIN, limits.MEMORY_MIB_DEFAULT, limits.MEMORY_MIB_MAX),
    "tmp": (limits.TMP_MIB_MIN, limits.TMP_MIB_DEFAULT, limits.TMP_MIB_MAX),
}
_CONCURRENCY_MAX = 100_000
_CORS_AGE_S_MAX = 86_400
_TAG_KEY_LENGTH_MAX, _TAG_VALUE_LENGTH_MAX = 128, 256
_HANDLER_LENGTH_MAX = 128


class _UrlAuth(StrEnum):
    """`auth` as it is written; `model.function.UrlAuth` has AWS's names."""

    NONE = "none"
    IAM = "iam"


@dataclass(frozen=True, slots=True)
class ManifestUrl:
    """The [url] table. `cors` has AWS's Cors structure, or is None."""

    auth: UrlAuth
    cors: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A mayfly.toml that can be used.

    Args:
        runtime: None is "the newest that the machine has".
        concurrency: None is "share the machine's".
        url: None is "no URL".
    """

    name: str
    handler: str
    runtime: str | None = None
    memory_mib: int = limits.MEMORY_MIB_DEFAULT
    timeout_s: int = limits.TIMEOUT_S_DEFAULT
    tmp_mib: int = limits.TMP_MIB_DEFAULT
    reuse: Reuse = Reuse.NEVER
    isolate: IsolateKind = IsolateKind.PROCESS
    concurrency: int | None = None
    description: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    url: ManifestUrl | None = None
    triggers: tuple[Trigger, ...] = ()


def parse_manifest(
    text: str,
    filename: str = FILENAME,
    *,
    isolates: Collection[IsolateKind] = (IsolateKind.PROCESS,),
    triggers: Collection[TriggerKind] = tuple(TriggerKind),
) -> Manifest:
    """Parse a manifest.

    Args:
        filename: As messages name it.
        isolates: The drivers that this platform has.
        triggers: The event sources that this platform has.

    Raises:
        InvalidManifest: A line per problem, each with file, line and what to write instead.
    """
    reading = Reading(text, filename)
    reading.table((), _TOP)
    manifest = replace(
        _function(reading, isolates), url=_url(reading), triggers=read_triggers(reading, triggers)
    )
    reading.finish()
    return manifest


def to_settings(manifest: Manifest, default_runtime: str) -> Settings:
    """The function's settings; `default_runtime` where the manifest names none."""
    return Settings(
        handler=manifest.handler,
        runtime=manifest.runtime or default_runtime,
        description=manifest.description,
        memory_mib=manifest.memory_mib,
        timeout_s=manifest.timeout_s,
        tmp_mib=manifest.tmp_mib,
        environment=manifest.environment,
        reuse=manifest.reuse,
        isolate=manifest.isolate,
        concurrency=manifest.concurrency,
        grants=manifest.grants,
        tags=manifest.tags,
    )


def _function(reading: Reading, isolates: Collection[IsolateKind]) -> Manifest:
    at: Place = ("function",)
    found = reading.table(at, _FUNCTION)
    for key in ("name", "handler"):
        if key not in found:
            reading.problem(at, f'[function] needs a {key}, for example {key} = "{_EXAMPLES[key]}"')
    runtime = reading.text(
        (*at, "runtime"), form=r"[a-z][a-z0-9.]{0,63}", must='a name such as "python3.11"'
    )
    return Manifest(
        name=_name(reading),
        handler=_handler(reading, runtime),
        runtime=runtime or None,
        memory_mib=_mib(reading, "memory"),
        timeout_s=reading.seconds(
            (*at, "timeout"),
            bounds=(limits.TIMEOUT_S_MIN, limits.TIMEOUT_S_MAX),
            default=limits.TIMEOUT_S_DEFAULT,
        ),
        tmp_mib=_mib(reading, "tmp"),
        reuse=reading.choice((*at, "reuse"), Reuse, Reuse.NEVER),
        isolate=_isolate(reading, isolates),
        concurrency=_concurrency(reading) if "concurrency" in found else None,
        description=reading.text(
            (*at, "description"),
            form=rf"(?s).{{0,{limits.DESCRIPTION_LENGTH_MAX}}}",
            must=f"a text of at most {limits.DESCRIPTION_LENGTH_MAX} characters",
        ),
        environment=_environment(reading),
        tags=_tags(reading),
        grants=_grants(reading),
    )


def _name(reading: Reading) -> str:
    return reading.text(
        ("function", "name"),
        form=rf"[A-Za-z0-9_-]{{1,{limits.NAME_LENGTH_MAX}}}",
        must=f'1 to {limits.NAME_LENGTH_MAX} letters, digits, "-" or "_"',
    )


def _handler(reading: Reading, runtime: str) -> str:
    place: Place = ("function", "handler")
    handler = reading.text(
        place,
        form=rf"\S{{1,{_HANDLER_LENGTH_MAX}}}",
        must='a text without spaces, for example "app.handler"',
    )
    in_python = not runtime or runtime.startswith("python")
    if handler and in_python and not re.fullmatch(r"[^.]+(\.[^.]+)+", handler):
        message = 'handler must be "file.function", for example "app.handler" for app.py'
        reading.problem(place, f"{message}, not {shown(handler)}")
    return handler


def _mib(reading: Reading, key: str) -> int:
    low, default, high = _MIB_BOUNDS[key]
    return reading.whole(("function", key), bounds=(low, high), unit=" of MiB", default=default)


def _isolate(reading: Reading, isolates: Collection[IsolateKind]) -> IsolateKind:
    place: Place = ("function", "isolate")
    kind = reading.choice(place, IsolateKind, IsolateKind.PROCESS)
    if kind not in isolates:
        has = ", ".join(f'"{one.value}"' for one in isolates)
        message = f'isolate = "{kind}" is not built into this version of mayfly; it has {has}'
        reading.problem(place, message)
    return kind


def _concurrency(reading: Reading) -> int:
    return reading.whole(
        ("function", "concurrency"), bounds=(0, _CONCURRENCY_MAX), unit="", default=0
    )


def _environment(reading: Reading) -> Mapping[str, str]:
    at: Place = ("function", "env")
    found = _strings(reading, at)
    for key in found:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key):
            message = f'"{key[:60]}" is no variable name: letters, digits and "_", a letter first'
            reading.problem((*at, key), message)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in found.items())
    if size > limits.ENVIRONMENT_BYTES_MAX:
        message = f"[function.env] has {size} bytes, more than {limits.ENVIRONMENT_BYTES_MAX}"
        reading.problem(at, message + "; put large values into a file of the folder")
    if any("\0" in value for value in found.values()):
        reading.problem(at, "[function.env] holds a NUL character, which no variable can hold")
    return found


def _tags(reading: Reading) -> Mapping[str, str]:
    at: Place = ("function", "tags")
    found = _strings(reading, at)
    if len(found) > limits.TAGS_MAX:
        reading.problem(at, f"[function.tags] has {len(found)} tags, more than {limits.TAGS_MAX}")
    for key, value in found.items():
        if key == granting.TAG:
            reading.problem((*at, key), f"{key} is for tools; write grants under [grants]")
        if not 0 < len(key) <= _TAG_KEY_LENGTH_MAX or len(value) > _TAG_VALUE_LENGTH_MAX:
            message = (
                f"a tag has 1 to {_TAG_KEY_LENGTH_MAX} characters, and a value of at most "
                f"{_TAG_VALUE_LENGTH_MAX}"
            )
            reading.problem((*at, key), message)
    return found


def _strings(reading: Reading, at: Place) -> Mapping[str, str]:
    """A table of strings under any names."""
    found: dict[str, str] = {}
    for key, value in reading.table(at).items():
        if isinstance(value, str):
            found[key] = value
        elif isinstance(value, (dict, list)):
            reading.problem((*at, key), f"{key} must be a string, not {shown(value)}")
        else:
            message = f'{key} must be a string: write {key} = "{shown(value)}", in quotes'
            reading.problem((*at, key), message)
    return found


def _grants(reading: Reading) -> tuple[Grant, ...]:
    reading.table(("grants",), tuple(kind.value for kind in GrantKind))
    found: dict[Grant, None] = {}
    for kind in GrantKind:
        for place, written in reading.texts(("grants", kind.value)):
            try:
                found[parse_grant(kind, written)] = None
            except InvalidParameter as error:
                reading.problem(place, str(error))
    try:
        granting.check_count(tuple(found))
    except InvalidParameter as error:
        reading.problem(("grants",), str(error))
    return tuple(found)


def _url(reading: Reading) -> ManifestUrl | None:
    if reading.value(("url",)) is None:
        return None
    reading.table(("url",), ("auth", "cors"))
    auth = reading.choice(("url", "auth"), _UrlAuth, _UrlAuth.IAM)
    cors = _cors(reading) if reading.value(("url", "cors")) is not None else None
    return ManifestUrl(UrlAuth.NONE if auth is _UrlAuth.NONE else UrlAuth.AWS_IAM, cors)


def _cors(reading: Reading) -> Mapping[str, object]:
    at: Place = ("url", "cors")
    reading.table(at, (*_CORS_LISTS, "max_age", "allow_credentials"))
    cors: dict[str, object] = {}
    for key, name in _CORS_LISTS.items():
        if reading.value((*at, key)) is not None:
            cors[name] = [written for _, written in reading.texts((*at, key))]
    if reading.value((*at, "max_age")) is not None:
        age_s = reading.seconds((*at, "max_age"), bounds=(0, _CORS_AGE_S_MAX), default=0)
        cors["MaxAge"] = age_s
    allow = reading.truth((*at, "allow_credentials"))
    if allow is not None:
        cors["AllowCredentials"] = allow
    return cors
