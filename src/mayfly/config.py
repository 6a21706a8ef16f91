"""Configuration: read once, at the doors, from defaults < DIR/config.toml < MAYFLY_* < flags.

The result is frozen and handed on by constructor; nothing else reads the environment. An unknown
key or a value out of its form is an error that names it and where it stands. Every key is
described in docs/reference/configuration.md.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from mayfly.model import limits
from mayfly.model.errors import InvalidParameter
from mayfly.ports import RuntimeInfo

_PREFIX = "MAYFLY_"
_KEY_NAME_LENGTH = 16
# What root acts on; not for anybody to say who may write into the data folder.
_ROOTS_KEYS = frozenset({"user", "secrets_key"})
# Variables that the installer of requirements may need: proxies, certificates, indexes, caches.
_INSTALLER = re.compile(
    r"(UV_\w+|PIP_\w+|SSL_CERT_\w+|\w*_CA_BUNDLE|\w+_proxy|\w+_PROXY|HOME|PATH|TMPDIR|XDG_\w+|LANG)"
)
_PYTHON = re.compile(r"python3\.(1[1-9]|[2-9]\d)")
_TLS = ("auto", "on", "off")
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Units come last in a name; see the reference for each key."""

    data: Path = Path("~/.mayfly")
    listen: str = "127.0.0.1:9000"
    tls: str = "auto"
    tls_certificate: str = ""
    tls_key: str = ""
    secrets_key: Path = Path("~/.config/mayfly/secrets/DATA.key")
    user: str = ""
    node_concurrency_max: int = 1_000
    function_concurrency_max: int = 900
    memory_busy_mib_max: int = 0
    waiters_max: int = 4_000
    function_waiters_max: int = 1_000
    wait_s_max: float = 10.0
    parked_min: int = 1
    parked_max: int = 128
    node_parked_max: int = 4_096
    snapshots_max: int = 256
    idle_isolates_s: float = 60.0
    idle_snapshot_s: float = 600.0
    init_timeout_s: float = float(limits.INIT_TIMEOUT_S)
    pids_max: int = limits.PIDS_MAX
    log_bytes_per_s_max: int = limits.MIB
    log_lines_per_s_max: int = 10_000
    log_burst_s: float = 8.0
    parked_memory_mib_max: int = 8_192
    net_connections_max: int = 512
    net_connections_per_s_max: int = 200
    net_bytes_per_s_max: int = 67_108_864
    delivery_concurrency_max: int = 200
    failed_events_max: int = 10_000
    failed_events_age_s: float = 1_209_600.0
    drain_s: float = 10.0
    collect_s: float = 600.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)


def load(flags: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Config:
    """Read the configuration.

    Args:
        flags: What the command line said, by key; strings.
        environment: Instead of the process's own, for tests.

    Raises:
        InvalidParameter: A key is unknown or a value is not of its form.
    """
    given = os.environ if environment is None else environment
    variables = {
        key.removeprefix(_PREFIX).lower(): (value, f"variable {key}")
        for key, value in given.items()
        if key.startswith(_PREFIX) and key.removeprefix(_PREFIX).lower() in _KEYS
    }
    from_flags = {k: (v, f"option --{k.replace('_', '-')}") for k, v in flags.items()}
    written = (from_flags.get("data") or variables.get("data") or (str(Config().data), ""))[0]
    data = Path(written).expanduser().absolute()
    values = {**_file(data / "config.toml"), **variables, **from_flags}
    values["data"] = (str(data), "")
    values["secrets_key"] = _secrets_key(data, values.get("secrets_key"), given)
    typed: dict[str, Any] = {key: _typed(key, *found) for key, found in values.items()}
    return Config(**typed)


_KEYS: Mapping[str, object] = get_type_hints(Config)
assert {f.name for f in fields(Config)} == set(_KEYS)


def _file(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        read = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidParameter(f"configuration {path} cannot be read: {error}") from error
    for key in read:
        if key not in _KEYS or key == "data":
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_KEYS)}"
            raise InvalidParameter(f"configuration {path} has an unknown key {key}{hint}")
    if os.geteuid() == 0 and path.stat().st_uid != 0:
        # Whoever has taken the daemon over owns the folder that the file lies in.
        for key in _ROOTS_KEYS & read.keys():
            raise InvalidParameter(
                f"configuration {path} says {key} but the file is not root's: `chown root {path}`, "
                f"or set {_PREFIX}{key.upper()}"
            )
    return {key: (value, f"{path}") for key, value in read.items()}


def _secrets_key(
    data: Path, written: tuple[Any, str] | None, environment: Mapping[str, str]
) -> tuple[str, str]:
    """Where the key of the secrets lies: outside of what it opens, so that a copy is worth nothing.

    By default in the user's configuration folder (XDG Base Directory Specification), named after
    the data folder.
    """
    if written is None:
        home = Path(environment.get("HOME") or "~").expanduser()
        folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        name = hashlib.sha256(str(data).encode()).hexdigest()[:_KEY_NAME_LENGTH]
        return str(folder / "mayfly" / "secrets" / f"{name}.key"), ""
    value, where = str(written[0]), written[1]
    path = Path(value).expanduser().absolute()
    if path.is_relative_to(data):
        raise InvalidParameter(
            f'secrets_key = "{value}" ({where}) is not usable: a key inside the data folder {data} '
            "protects nothing; name a file elsewhere"
        )
    return str(path), where


def _typed(key: str, value: object, where: str) -> object:
    kind = _KEYS[key]
    try:
        if kind is Path:
            return Path(str(value))
        if kind in (int, float):
            return _number(kind, value)
        if key == "listen":
            return _address(str(value))
        if key == "tls":
            return _one_of(str(value), _TLS)
    except ValueError as error:
        raise InvalidParameter(f'{key} = "{value}" ({where}) is not usable: {error}') from None
    return str(value)


def _number(kind: object, value: object) -> int | float:
    number = int(str(value)) if kind is int else float(str(value))
    if not 0 <= number < float("inf"):
        raise ValueError("it must be 0 or more")
    return number


def _one_of(value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"write {', '.join(known[:-1])} or {known[-1]}")
    return value


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError('write HOST:PORT, for example "127.0.0.1:9000"')
    return value


def installer_environment() -> Mapping[str, str]:
    """The variables that installing a function's requirements may see; nothing else of ours."""
    return {key: value for key, value in os.environ.items() if _INSTALLER.fullmatch(key)}


def move_home(folder: Path) -> None:
    """Another user from now on: what was the first one's in the environment is gone."""
    for key in [key for key in os.environ if key.startswith("XDG_") or key == "TMPDIR"]:
        del os.environ[key]
    os.environ["HOME"] = str(folder)


def find_runtimes() -> Mapping[str, RuntimeInfo]:
    """Every Python of this machine that functions can run on, by Lambda's name, newest last.

    Looks on PATH, in pyenv's and uv's folders, and in /usr/bin and /usr/local/bin; the first that
    is found of a version is taken.
    """
    found: dict[str, RuntimeInfo] = {}
    for folder in _folders():
        try:
            names = sorted(path.name for path in folder.iterdir())
        except OSError:
            continue
        for name in names:
            if _PYTHON.fullmatch(name) and name not in found and _is_program(folder / name):
                version = name.removeprefix("python")
                found[name] = RuntimeInfo(name, (folder / name).resolve(), version)
    return dict(sorted(found.items(), key=lambda item: int(item[0].rpartition(".")[2])))


def _folders() -> Iterator[Path]:
    yield from (Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p)
    yield from (Path("/usr/bin"), Path("/usr/local/bin"))
    home = Path(os.environ.get("HOME", "/nonexistent"))
    for pattern in (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin"):
        yield from sorted(home.glob(pattern), reverse=True)


def _is_program(path: Path) -> bool:
    """Pyenv's shims are scripts of the same name: only a real program counts."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _ELF and os.access(path, os.X_OK)
    except OSError:
        return False
