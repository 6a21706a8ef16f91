"""The daemon's end of the driver `process`: asks launchers for snapshots.

    ProcessDriver    one launcher a runtime, started when it is first needed
    Privilege        (`privilege`) starts launchers, makes runtimes' trees: itself, or the warden
    ProcessSnapshot  (`household`) one keeper's control socket
    ProcessIsolate   (`isolate`) one channel: event written, answer read, nothing between

All on one event loop; blocking work (copying a runtime's tree) goes to a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mayfly.drivers.channel import (
    CONFIG,
    IMPORTED,
    BadFrame,
    FrameReader,
    Hub,
    frame,
    receive_with_pid,
)
from mayfly.drivers.process import cgroups, seccomp, syscalls
from mayfly.drivers.process.household import ProcessSnapshot
from mayfly.drivers.process.isolate import plain_word
from mayfly.drivers.process.plan import HOST_UID_COUNT, HOST_UID_FIRST, CgroupPlan, Plan
from mayfly.drivers.process.privilege import KeeperLost, Launcher, OwnPrivilege, Privilege
from mayfly.drivers.process.surface import describe
from mayfly.model import limits
from mayfly.model.errors import SnapshotFailed, StorageFailed
from mayfly.model.function import Reuse
from mayfly.model.invocation import Answer, ErrorKind
from mayfly.ports import Clock, Nursery, RuntimeInfo, ServeDoors, SnapshotFacts, SnapshotSpec
from mayfly.ports.surface import Surface

__all__ = ["DriverLimits", "ProcessDriver"]

_REMOVE_S = 20.0
_IMPORT_FRAME_MAX = limits.ERROR_BYTES_MAX


@dataclass(frozen=True, slots=True)
class DriverLimits:
    """Bounds that are the node's, not a function's.

    Args:
        parked_memory_mib: What a snapshot and its parked isolates may hold beside the function's
            own memory.
        bury_s: How long an isolate that has answered may take to die before it is killed.
        processes_max: Where no cgroup counts them, how many processes a snapshot and its isolates
            may be together; each isolate has its own bound as well.
    """

    parked_memory_mib: int = 4_096
    bury_s: float = 0.25
    processes_max: int = 8_192


class ProcessDriver:
    """Holds isolates as sealed processes (port `Driver`)."""

    def __init__(
        self,
        *,
        runtimes: Mapping[str, RuntimeInfo],
        folder: Path,
        tag: str,
        clock: Clock,
        driver_limits: DriverLimits | None = None,
        serve_doors: ServeDoors | None = None,
        privilege: Privilege | None = None,
    ) -> None:
        """Make the driver.

        Args:
            runtimes: What interpreters there are, by name.
            folder: Where runtimes' file trees are kept.
            tag: [a-z0-9]+, tells this data folder's cgroups from another's.
            clock: For timestamps.
            driver_limits: Bounds of the node.
            serve_doors: Takes the listeners of a snapshot's doors, in the spec's order, and owns
                them; without it nobody is behind a door.
            privilege: Does what the seal needs rights for; without it this process does.
        """
        self._runtimes = runtimes
        self._clock = clock
        self._limits = driver_limits or DriverLimits()
        self._serve_doors = serve_doors or _serve_nobody
        self._hub = Hub(asyncio.get_running_loop())
        self._privilege = privilege or OwnPrivilege(folder, tag)
        self._cgroup = self._privilege.cgroup
        self._abi = syscalls.landlock_abi()
        self._filters = seccomp.programs(syscalls.ARCHITECTURE, own_user=self._cgroup.version == 0)
        self._launchers: dict[str, Launcher] = {}
        self._roots: dict[str, asyncio.Future[Path]] = {}
        self._snapshots: set[ProcessSnapshot] = set()
        # Platforms of one machine take their functions' uids from different places of the range.
        self._uids = zlib.crc32(tag.encode()) % HOST_UID_COUNT
        self._closed = False

    async def prepare_runtime(self, name: str) -> None:
        """Make a runtime's file tree and start its launcher, ahead of the first snapshot.

        Raises:
            SnapshotFailed: The runtime is not on this machine, or does not run.
            StorageFailed: The disk refused.
        """
        await self._root(name)
        self._launcher(name)

    async def snapshot(self, spec: SnapshotSpec, nursery: Nursery) -> ProcessSnapshot:
        """Make a snapshot (port `Driver.snapshot`)."""
        try:
            return await self._make(spec, nursery)
        except KeeperLost:
            # Somebody killed the launcher or the keeper meanwhile; no tenant's code can.
            return await self._make(spec, nursery)

    async def _make(self, spec: SnapshotSpec, nursery: Nursery) -> ProcessSnapshot:
        asked_ms = self._clock.now_ms()
        name = spec.function.settings.runtime
        root = await self._root(name)
        plan = self._plan(spec, root)
        control, their_control = _pair(socket.SOCK_SEQPACKET)
        tenant, their_tenant = _pair(socket.SOCK_STREAM)
        output, their_output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(their_output, True)
        household = ProcessSnapshot(
            spec,
            nursery,
            hub=self._hub,
            clock=self._clock,
            control=control,
            tenant=tenant,
            output=output,
            folders=tuple(plan.cgroup.folders.values()),
            room=self._room(plan.cgroup, plan.memory_bytes),
            bury_s=self._limits.bury_s,
            forget=self._snapshots.discard,
            serve_doors=self._serve_doors,
            privilege=self._privilege,
        )
        self._snapshots.add(household)
        try:
            tenant.send(frame(CONFIG, _configuration(spec)))
            self._launcher(name).request(
                plan.encode(), [their_control.fileno(), their_tenant.fileno(), their_output]
            )
            for end in (their_control, their_tenant):
                end.close()
            os.close(their_output)
            await self._bring_up(household, tenant, spec, asked_ms)
        except BaseException:
            await household.close()
            raise
        return household

    async def _bring_up(
        self,
        household: ProcessSnapshot,
        tenant: socket.socket,
        spec: SnapshotSpec,
        asked_ms: float,
    ) -> None:
        try:
            async with asyncio.timeout(spec.init_timeout_s):
                failure, pid = await self._imported(household, tenant)
        except TimeoutError:
            seconds = f"{spec.init_timeout_s:.2f}"
            failure, pid = (
                _error("Sandbox.Timedout", f"the import took longer than {seconds} seconds"),
                0,
            )
        facts = SnapshotFacts(self._clock.now_ms() - asked_ms, pid, failure)
        household.ready(facts)

    async def _imported(
        self, household: ProcessSnapshot, tenant: socket.socket
    ) -> tuple[Answer | None, int]:
        """Wait for the IMPORTED frame, or for the death of what should send it."""
        arrived: asyncio.Future[tuple[bytes | None, int]] = (
            asyncio.get_running_loop().create_future()
        )
        reader = FrameReader(tenant.fileno(), _IMPORT_FRAME_MAX)

        def readable(_events: int) -> None:
            try:
                data, pid = receive_with_pid(tenant)
                got = reader.feed(data)
            except BlockingIOError:
                return
            except (BadFrame, OSError):
                got, pid = (0, b""), 0
            if got is not None and not arrived.done():
                arrived.set_result((got[1] if got[0] == IMPORTED else None, pid))

        def gone() -> None:
            if not arrived.done():
                arrived.set_result((None, 0))

        self._hub.watch(tenant.fileno(), readable)
        # The keeper's word of an end may come before the end of the tenant's channel.
        household.when_gone(gone)
        try:
            document, pid = await arrived
        finally:
            # -1 when it is closed: its number may be another's by now.
            self._hub.forget(tenant.fileno())
        if document is None:
            return await household.death_at_import(), 0
        if document == b"null":
            return None, pid
        try:
            kind = plain_word(str(msgspec.json.decode(document)["errorType"]))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
            return _error("Runtime.ExitError", "the import answered garbage"), pid
        return Answer(document, ErrorKind.UNHANDLED, kind), pid

    async def surface(self, spec: SnapshotSpec) -> Surface:
        """What isolates of such a snapshot could do (port `Driver.surface`)."""
        plan = self._plan(spec, await self._root(spec.function.settings.runtime))
        try:
            return await asyncio.to_thread(describe, plan)
        except OSError as error:
            raise StorageFailed(
                site="RUNTIME:INVENTORY", errno=error.errno or 0, detail=str(error)
            ) from error

    async def close(self) -> None:
        """Close every snapshot, then the launchers; harmless when it is done."""
        if self._closed:
            return
        self._closed = True
        for household in list(self._snapshots):
            await household.close()
        for launcher in self._launchers.values():
            await launcher.close()
        self._launchers.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REMOVE_S):
                await self._remove_cgroups()
        self._hub.close()

    async def _remove_cgroups(self) -> None:
        """Thousands of isolates take the kernel seconds to end; their folders go after them."""
        folders = set(self._cgroup.folders.values())
        while folders := {  # noqa: ASYNC110 - the kernel has no event for it
            folder for folder in folders if not self._privilege.remove_cgroup(folder)
        }:
            await asyncio.sleep(0.05)

    def _plan(self, spec: SnapshotSpec, root: Path) -> Plan:
        settings = spec.function.settings
        binds = [[str(spec.code_path), "/var/task"]]
        if spec.dependencies_path is not None:
            binds.append([str(spec.dependencies_path), "/var/deps"])
        self._uids = (self._uids + 1) % HOST_UID_COUNT
        folders = {k: f"{v}/{spec.snapshot_id}" for k, v in self._cgroup.folders.items()}
        cgroup = CgroupPlan(self._cgroup.version, folders)
        memory_bytes = settings.memory_mib * limits.MIB
        return Plan(
            snapshot_id=spec.snapshot_id,
            rootless=self._privilege.rootless,
            host_uid=os.geteuid() if self._privilege.rootless else HOST_UID_FIRST + self._uids,
            root=str(root),
            binds=binds,
            tmp_bytes=settings.tmp_mib * limits.MIB,
            memory_bytes=memory_bytes,
            pids_max=spec.pids_max,
            cpu_shares=max(2, settings.memory_mib * 1024 // 1769),
            overhead_bytes=self._room(cgroup, memory_bytes).overhead_bytes,
            abi=self._abi,
            filter_hex=self._filters[bool(spec.doors)],
            open_files_max=limits.OPEN_FILES_MAX,
            processes_max=self._limits.processes_max,
            cgroup=cgroup,
            doors=[(one.name, one.address, one.port) for one in spec.doors],
            trace=spec.on_trace is not None,
        )

    def _room(self, cgroup: CgroupPlan, memory_bytes: int) -> cgroups.Room:
        bytes_max = self._limits.parked_memory_mib * limits.MIB
        return cgroups.Room(cgroup.folders.values(), memory_bytes, bytes_max)

    async def _root(self, name: str) -> Path:
        known = self._roots.get(name)
        if known is None or (known.done() and known.exception() is not None):
            runtime = self._runtime(name)
            known = asyncio.get_running_loop().run_in_executor(None, self._privilege.build, runtime)
            self._roots[name] = known
        return await asyncio.shield(known)

    def _runtime(self, name: str) -> RuntimeInfo:
        runtime = self._runtimes.get(name)
        if runtime is None:
            raise SnapshotFailed(
                f"runtime {name} is not on this machine; found: {', '.join(sorted(self._runtimes))}"
            )
        return runtime

    def _launcher(self, name: str) -> Launcher:
        launcher = self._launchers.get(name)
        if launcher is not None and not launcher.alive():
            launcher.bury()
            launcher = None
        if launcher is None:
            launcher = self._privilege.launch(self._runtime(name))
            self._launchers[name] = launcher
        return launcher


def _serve_nobody(spec: SnapshotSpec, listeners: Sequence[socket.socket]) -> None:
    """Nobody is behind the doors: whoever connects is cut off."""
    del spec
    for one in listeners:
        one.close()


def _pair(kind: socket.SocketKind) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    ours.setblocking(False)
    if kind is socket.SOCK_STREAM:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def _configuration(spec: SnapshotSpec) -> bytes:
    path = ["/var/task"]
    if spec.dependencies_path is not None:
        path.append("/var/deps")
    return msgspec.json.encode(
        {
            "environment": dict(spec.environment),
            "handler": spec.function.settings.handler,
            "path": path,
            "script": f"/var/task/{spec.script}" if spec.script else None,
            "reuse": spec.function.settings.reuse is Reuse.WARM,
        }
    )


def _error(kind: str, message: str) -> Answer:
    document = msgspec.json.encode({"errorMessage": message, "errorType": kind, "stackTrace": []})
    return Answer(document, ErrorKind.UNHANDLED, kind)
