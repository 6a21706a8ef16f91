"""What a snapshot reaches beyond its image: given when it is made, taken back when it is gone.

    objects tables queues invoke   a key that carries them, and a door to the platform's endpoint
    net                            a door for each host:port, relayed to it
    any of these                   a names door, where granted names are looked up
    secrets                        variables of the environment

A door's listener lives in the isolate's own network namespace; the driver hands it over here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial

from mayfly.api import credentials
from mayfly.api.keys import Credential, Keys
from mayfly.api.lambda_.environment import function_environment
from mayfly.api.missing_grants import MissingGrants
from mayfly.drivers.egress.accepting import serve_clients
from mayfly.drivers.egress.allowance import Allowance, NetLimits
from mayfly.drivers.egress.names import NamesDoor
from mayfly.drivers.egress.relay import Relay
from mayfly.drivers.egress.resolve import Resolver
from mayfly.engine.learning.recording import Recording
from mayfly.model import limits
from mayfly.model.errors import MayflyError, SnapshotFailed
from mayfly.model.function import Function
from mayfly.model.grant import Grant, GrantKind, covers_host
from mayfly.ports import Clock, Door, LogStore, SnapshotSpec, Surroundings
from mayfly.stores.secrets.store import SecretStore
from mayfly.telemetry import LogEvent, Metrics, event_log

# An address, not a name: SDKs then put buckets into the path, and need no resolver.
_ENDPOINT = Door("", "127.1.0.1", 80)
# Where programs inside look names up (drivers.process.doors.RESOLVER).
_NAMES = Door("", "127.0.0.53", 53)
_HOSTS_PER_BLOCK = 250
_IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_LITERALS = {"localhost": "127.0.0.1"}

Attend = Callable[[socket.socket], Awaitable[None]]


class SnapshotGrants:
    """The port `Grants`, and what serves the doors. `run` owns every task of it."""

    def __init__(
        self,
        keys: Keys,
        metrics: Metrics,
        clock: Clock,
        logs: LogStore,
        net_limits: NetLimits,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._net_limits = net_limits
        self._allowances: dict[str, Allowance] = {}
        self._missing = MissingGrants(logs, metrics, clock)
        self._metrics = metrics
        self._resolver = Resolver(clock)
        self._credentials: dict[str, Credential] = {}
        # The names of the functions whose snapshots they are.
        self._snapshots: dict[str, str] = {}
        self._attending: dict[str, list[asyncio.Task[None]]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._attend_endpoint: Attend | None = None
        self._secrets: SecretStore | None = None
        self._renew: Callable[[str], None] = _nobody
        self._watching: dict[str, list[Callable[[], None]]] = {}
        # By the revision of the function that is run for it.
        self._recordings: dict[str, Recording] = {}

    def use_secrets(self, secrets: SecretStore, renew: Callable[[str], None]) -> None:
        """Where secrets are; until then a function that was granted one has no snapshot.

        Args:
            renew: Told the name of a function that has a snapshot with an old value.
        """
        self._secrets = secrets
        self._renew = renew

    @contextlib.contextmanager
    def record(self, revision_id: str) -> Iterator[Recording]:
        """Record what snapshots of the function with this revision ask for; open nothing for it.

        Args:
            revision_id: One that no registered function has.
        """
        recording = self._recordings[revision_id] = Recording()
        try:
            yield recording
        finally:
            del self._recordings[revision_id]

    async def run(self, attend_endpoint: Attend) -> None:
        """Serve doors until cancelled.

        Args:
            attend_endpoint: Serves the platform's API on a listener until cancelled.
        """
        self._attend_endpoint = attend_endpoint
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    async def give(self, function: Function, snapshot_id: str) -> Surroundings:
        """Port `Grants.give`."""
        environment = dict(function_environment(function))
        doors = list(_net_doors(function))
        recording = self._recordings.get(function.revision_id)
        grants = function.settings.grants
        if recording or any(one.kind in credentials.PLATFORM_KINDS for one in grants):
            tell = recording.tell_missing if recording else self._missing.teller(function.name)
            on_used = recording.tell_used if recording else None
            credential = credentials.issue(self._keys, function, tell, on_used)
            self._credentials[snapshot_id] = credential
            endpoint = f"http://{_ENDPOINT.address}"
            environment |= credentials.variables(credential, endpoint)
            doors.append(_ENDPOINT)
        environment |= self._secret_variables(function, snapshot_id)
        if recording:
            doors += recording.decoy_doors(limits.LISTENERS_MAX - len(doors) - 1)
        if doors:
            doors.append(_NAMES)
        if len(doors) > limits.LISTENERS_MAX:
            raise SnapshotFailed(f"{function.name} would need {len(doors)} doors; grant less")
        self._snapshots[snapshot_id] = function.name
        return Surroundings(environment, tuple(doors))

    def preview(self, function: Function) -> Surroundings:
        """What `give` would give, without a key and values of secrets; nothing is made."""
        environment = dict(function_environment(function))
        doors = list(_net_doors(function))
        grants = function.settings.grants
        if any(one.kind in credentials.PLATFORM_KINDS for one in grants):
            environment |= dict.fromkeys(credentials.VARIABLES, "")
            doors.append(_ENDPOINT)
        secrets = [one.target for one in grants if one.kind is GrantKind.SECRETS]
        environment |= {secret_variable(name): "" for name in secrets}
        return Surroundings(environment, (*doors, _NAMES) if doors else ())

    def take_back(self, snapshot_id: str) -> None:
        """Port `Grants.take_back`."""
        credential = self._credentials.pop(snapshot_id, None)
        if credential is not None:
            self._keys.remove(credential.access_key_id)
        name = self._snapshots.pop(snapshot_id, None)
        if name is not None and name not in self._snapshots.values():
            self._missing.forget(name)
            self._allowances.pop(name, None)
        for task in self._attending.pop(snapshot_id, ()):
            task.cancel()
        for end in self._watching.pop(snapshot_id, ()):
            end()

    def serve(self, spec: SnapshotSpec, listeners: Sequence[socket.socket]) -> None:
        """Take the listeners of a snapshot's doors (`ports.ServeDoors`)."""
        targets = _net_doors(spec.function)
        name = spec.function.name
        allowance = self._allowance(name)
        recording = self._recordings.get(spec.function.revision_id)
        relay = Relay(
            self._resolver,
            allowance,
            self._net_missing(spec.function),
            function_name=name,
            on_used=partial(_net_used, recording) if recording else None,
        )
        decoys = recording.decoy_doors(limits.LISTENERS_MAX) if recording else ()
        attending = self._attending.setdefault(spec.snapshot_id, [])
        for door, listener in zip(spec.doors, listeners, strict=True):
            work: Coroutine[None, None, None] | None = None
            if door in targets:
                work = relay.attend(listener, *targets[door])
            elif door == _NAMES:
                work = self._names_door(spec.function, allowance).attend(listener)
            elif recording and door in decoys:
                work = serve_clients(listener, partial(_reached, recording, door))
            elif self._attend_endpoint is not None:
                work = _until_done(self._attend_endpoint, listener)
            if work is None or self._tasks is None:
                listener.close()
            else:
                attending.append(self._tasks.create_task(_closing(work, listener)))

    def _allowance(self, function_name: str) -> Allowance:
        found = self._allowances.get(function_name)
        if found is None:
            metrics = self._metrics.egress(function_name)
            found = Allowance(self._net_limits, metrics, self._clock)
            self._allowances[function_name] = found
        return found

    def _net_missing(self, function: Function) -> Callable[[str], None]:
        recording = self._recordings.get(function.revision_id)
        tell = recording.tell_missing if recording else self._missing.teller(function.name)

        def missing(target: str) -> None:
            tell(Grant(GrantKind.NET, target))

        return missing

    def _names_door(self, function: Function, allowance: Allowance) -> NamesDoor:
        # A name has its own door before it has its wildcard's.
        addresses = {host: door.address for door, (host, _port) in _net_doors(function).items()}
        recording = self._recordings.get(function.revision_id)
        if recording:
            return NamesDoor(addresses, allowance, _passed_over, recording.decoy)
        missing = self._net_missing(function)
        # Which port was meant is not asked of a resolver.
        return NamesDoor(addresses, allowance, lambda name: missing(f"{name}:PORT"))

    def _secret_variables(self, function: Function, snapshot_id: str) -> Mapping[str, str]:
        names = [one.target for one in function.settings.grants if one.kind is GrantKind.SECRETS]
        if not names:
            return {}
        if self._secrets is None:
            raise SnapshotFailed(f"{function.name} was granted secrets, and there is no store")
        try:
            values = self._secrets.resolve_nowait(names)
        except MayflyError as error:
            raise SnapshotFailed(f"a secret of {function.name} cannot be had: {error}") from error
        renew = partial(self._renew, function.name)
        self._watching[snapshot_id] = [self._secrets.when_changed(one, renew) for one in names]
        return {secret_variable(name): value for name, value in values.items()}


def _passed_over(name: str) -> None:
    """A name that got no decoy: the recording has it."""


def _net_used(recording: Recording, target: str) -> None:
    grant = Grant(GrantKind.NET, target)
    recording.tell_used(grant, grant)


async def _reached(
    recording: Recording, door: Door, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
) -> None:
    recording.decoy_reached(door)


def _nobody(function_name: str) -> None:
    """Nobody renews snapshots yet."""


def secret_variable(name: str) -> str:
    """The variable that a secret stands in: "stripe-key" in STRIPE_KEY."""
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())


def _net_doors(function: Function) -> dict[Door, tuple[str, int]]:
    """A door for each net grant, and what it stands for; one host's ports share an address.

    A host that was granted by its name has an address of its own, so its wildcard's ports are
    there as well.
    """
    granted = [one.target for one in function.settings.grants if one.kind is GrantKind.NET]
    pairs = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in granted)]
    addresses: dict[str, str] = {}
    doors: dict[Door, tuple[str, int]] = {}
    for host, port in pairs:
        literal = _LITERALS.get(host, host)
        if _IPV4.fullmatch(literal):
            # Reached by its number, so the door answers at this very address.
            doors[Door("", literal, port)] = (host, port)
            continue
        block, number = divmod(len(addresses), _HOSTS_PER_BLOCK)
        address = addresses.setdefault(host, f"127.1.{block + 1}.{number + 1}")
        # A pattern is no name of a hosts file: the names door answers for it.
        doors[Door("" if host.startswith("*.") else host, address, port)] = (host, port)
    for pattern, port in pairs:
        for host, address in addresses.items():
            if pattern != host and covers_host(pattern, host):
                doors.setdefault(Door(host, address, port), (pattern, port))
    return doors


async def _until_done(attend: Attend, listener: socket.socket) -> None:
    await attend(listener)


async def _closing(work: Coroutine[None, None, None], listener: socket.socket) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 the border of a task: one door, not the platform
        event_log(LogEvent.DOOR_FAILED, level=logging.ERROR, error=repr(error))
    finally:
        listener.close()
