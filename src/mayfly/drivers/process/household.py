"""One snapshot as the daemon sees it: its keeper's socket, and the isolates that it has made.

birth(n) --B id--> keeper          at most `_OUTSTANDING_MAX` at once, the rest waits here
keeper --P id + fds--> isolate     it says READY on its own channel, then the nursery hears of
it keeper --D id status--> isolate    it is gone, all of it keeper --X status / end of file-->
the snapshot is gone
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable

import msgspec

from mayfly.drivers.channel import Hub
from mayfly.drivers.process import cgroups
from mayfly.drivers.process.isolate import LOG_READ_COST_BYTES, ProcessIsolate, exit_reason
from mayfly.drivers.process.memory import host_pids
from mayfly.drivers.process.privilege import KeeperLost, Privilege
from mayfly.drivers.process.traced import read_trace
from mayfly.drivers.process.tracer import MESSAGE_BYTES_MAX, TRACED
from mayfly.model import limits
from mayfly.model.errors import SealStepFailed, SnapshotFailed
from mayfly.model.invocation import Answer, ErrorKind
from mayfly.ports import Clock, MemoryUse, Nursery, ServeDoors, SnapshotFacts, SnapshotSpec

MESSAGE = struct.Struct("<cIi")
_FD_BYTES = 4
_FDS_ROOM = socket.CMSG_SPACE(limits.LISTENERS_MAX * _FD_BYTES)
_OUTSTANDING_MAX = 32
_FAILURES_MAX = 5
_RETRY_S = 0.1
_CLOSE_S = 5.0
_BIRTH_S = 2.0
_OUTPUT_BYTES = 65_536
# While calls run the keeper looks so often whether one of them is a fork bomb.
_LOOK_S = 0.05


class ProcessSnapshot:
    """Port `Snapshot`, held by a keeper."""

    def __init__(  # noqa: PLR0913 - the two ends of a new life and all that watches over it
        self,
        spec: SnapshotSpec,
        nursery: Nursery,
        *,
        hub: Hub,
        clock: Clock,
        control: socket.socket,
        tenant: socket.socket,
        output: int,
        folders: tuple[str, ...],
        room: cgroups.Room,
        bury_s: float,
        forget: Callable[[ProcessSnapshot], None],
        serve_doors: ServeDoors,
        privilege: Privilege,
    ) -> None:
        self.spec = spec
        self.nursery = nursery
        self.hub = hub
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self._control = control
        self._tenant = tenant
        self._output = output
        self._folders = folders
        self._room = room
        self._bury_s = bury_s
        self._forget = forget
        self._serve_doors = serve_doors
        self._privilege = privilege
        self._facts = SnapshotFacts(0.0, 0)
        self._isolates: dict[int, ProcessIsolate] = {}
        self._asked: dict[int, float] = {}
        self._host_pids: dict[int, int] = {}
        self._host_pids_read_s = -1.0
        self._wanted = 0
        self._next_id = 0
        self._failures = 0
        self._dying: collections.deque[tuple[float, int]] = collections.deque()
        self._young: collections.deque[tuple[float, int]] = collections.deque()
        self._closed = False
        self._calls = 0
        self._looking = False
        self._gone: asyncio.Future[int] = self.loop.create_future()
        self._step: SealStepFailed | None = None
        hub.watch(control.fileno(), self._hear)
        hub.watch(output, self._read_output)

    @property
    def facts(self) -> SnapshotFacts:
        """What is known of it."""
        return self._facts

    def ready(self, facts: SnapshotFacts) -> None:
        """The import ended, well or not."""
        self._read_output(0)
        self._facts = facts

    def birth(self, count: int) -> None:
        """Ask for isolates (port `Snapshot.birth`)."""
        self._wanted += count
        self._ask()

    def memory(self) -> MemoryUse:
        """Of the snapshot's process."""
        return self.memory_of(self._facts.pid)

    def memory_of(self, pid: int) -> MemoryUse:
        """Of one process of the sandbox; zeros where it cannot be read."""
        return self._privilege.memory_of(pid) if pid else MemoryUse()

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call back once the keeper is gone; the tenant's channel is then closed on this side."""
        self._gone.add_done_callback(lambda _gone: callback())

    def host_pid(self, namespace_pid: int) -> int:
        """The node's number of a process of the sandbox, 0 where it is not known."""
        if namespace_pid not in self._host_pids and self.loop.time() > self._host_pids_read_s + 0.1:
            self._host_pids = host_pids(self._facts.pid)
            self._host_pids_read_s = self.loop.time()
        return self._host_pids.get(namespace_pid, 0)

    async def death_at_import(self) -> Answer:
        """The tenant's channel ended before the import did: why?

        Raises:
            SealStepFailed: The kernel refused a step; no tenant's code has run.
            SnapshotFailed: The keeper could not be made.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                status = await asyncio.shield(self._gone)
                if self._step is not None:
                    raise self._step
                if status < 0:
                    raise KeeperLost("the keeper ended before the import; see the daemon's log")
                kind, reason = exit_reason(status)
                text = f"Error: {reason} during import"
                document = {"errorMessage": text, "errorType": kind, "stackTrace": []}
                return Answer(msgspec.json.encode(document), ErrorKind.UNHANDLED, kind)
        raise SnapshotFailed("the snapshot closed its channel during import and did not end")

    def send(self, kind: bytes, isolate_id: int) -> None:
        """Tell the keeper something; a keeper that is gone needs no telling."""
        with contextlib.suppress(OSError):
            self._control.send(MESSAGE.pack(kind, isolate_id, 0))

    def call_began(self) -> None:
        """One of its isolates has a call."""
        self._calls += 1
        if not self._looking:
            self._looking = True
            self.loop.call_later(_LOOK_S, self._look)

    def call_ended(self) -> None:
        """It has none any more."""
        self._calls -= 1

    def _tell_it_is_held(self, isolate_id: int, *, refused_forks: int) -> None:
        isolate = self._isolates.get(isolate_id)
        if isolate is not None and isolate.parked_ms:
            line = f"[mayfly] {refused_forks} forks were refused; held still until its deadline\n"
            self.nursery.isolate_output(isolate, line.encode())

    def _look(self) -> None:
        self._looking = self._calls > 0 and not self._gone.done()
        if self._looking:
            self.send(b"C", 0)
            self.loop.call_later(_LOOK_S, self._look)

    def expect_death(self, isolate_id: int) -> None:
        """The isolate has answered and will end itself; see to it that it does."""
        if not self._dying:
            self.loop.call_later(self._bury_s, self._bury)
        self._dying.append((self.loop.time() + self._bury_s, isolate_id))

    async def close(self) -> None:
        """Kill the snapshot and all isolates (port `Snapshot.close`)."""
        if not self._closed:
            self._closed = True
            self._wanted = 0
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.shield(self._gone)
                await self._remove_folders()
        self._forget(self)

    async def _remove_folders(self) -> None:
        folders = set(self._folders)
        while folders := {  # noqa: ASYNC110 - the kernel has no event for it
            folder for folder in folders if not self._privilege.remove_cgroup(folder)
        }:
            await asyncio.sleep(0.005)

    def _ask(self) -> None:
        while self._wanted > 0 and len(self._asked) < _OUTSTANDING_MAX and not self._gone.done():
            self._wanted -= 1
            self._next_id += 1
            self._asked[self._next_id] = self.clock.now_ms()
            self._room.hold(len(self._isolates) + len(self._asked))
            self.send(b"B", self._next_id)

    def _hear(self, _events: int) -> None:
        for _ in range(64):
            try:
                data, ancillary, _flags, _address = self._control.recvmsg(
                    MESSAGE_BYTES_MAX, _FDS_ROOM, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            if len(data) < MESSAGE.size:
                self._end(-1)
                return
            kind, isolate_id, number = MESSAGE.unpack_from(data)
            if ancillary:
                self._receive(kind, isolate_id, number, ancillary[0][2])
            elif kind == b"X":
                self._end(number)
                return
            else:
                self._take_note(kind, isolate_id, number, data[MESSAGE.size :])

    def _take_note(self, kind: bytes, isolate_id: int, number: int, text: bytes) -> None:
        if kind == b"D":
            self._isolate_died(isolate_id, number)
        elif kind == b"F":
            self._birth_failed(isolate_id, os.strerror(number))
        elif kind == b"H":
            self._tell_it_is_held(isolate_id, refused_forks=number)
        elif kind == TRACED:
            self._traced(text)
        elif kind == b"T":
            self._step = SealStepFailed(step=text.decode(errors="replace"), errno=number)

    def _traced(self, text: bytes) -> None:
        found = read_trace(text)
        if found is not None and self.spec.on_trace is not None:
            self.spec.on_trace(found)

    def _receive(self, kind: bytes, isolate_id: int, number: int, rights: bytes) -> None:
        """A message with descriptors: an isolate's, or the listeners of the doors."""
        fds = struct.unpack(f"<{len(rights) // _FD_BYTES}i", rights)
        if kind == b"P":
            self._take_in(isolate_id, fds, namespace_pid=number)
        elif kind == b"L":
            self._serve_doors(self.spec, [socket.socket(fileno=fd) for fd in fds])

    def _take_in(self, isolate_id: int, fds: tuple[int, ...], *, namespace_pid: int) -> None:
        born_ms = self._asked.get(isolate_id)
        if born_ms is None:
            for fd in fds:
                os.close(fd)
            return
        channel, log = fds
        self._isolates[isolate_id] = ProcessIsolate(
            self,
            isolate_id,
            channel=channel,
            log=log,
            namespace_pid=namespace_pid,
            born_ms=born_ms,
        )
        self._watch_birth(isolate_id)

    def _watch_birth(self, isolate_id: int) -> None:
        """See to it that it says READY.

        A fork beside threads that the import left may inherit a lock that nobody will open.
        """
        if not self._young:
            self.loop.call_later(_BIRTH_S, self._check_births)
        self._young.append((self.loop.time() + _BIRTH_S, isolate_id))

    def _check_births(self) -> None:
        now = self.loop.time()
        while self._young and self._young[0][0] <= now:
            _deadline, isolate_id = self._young.popleft()
            isolate = self._isolates.get(isolate_id)
            if isolate is not None and not isolate.parked_ms:
                self.send(b"K", isolate_id)
        if self._young:
            self.loop.call_later(_BIRTH_S / 2, self._check_births)

    def isolate_ready(self, isolate: ProcessIsolate) -> None:
        """The isolate said READY."""
        self._asked.pop(isolate.number, None)
        self._failures = 0
        self._ask()
        if self._closed:
            isolate.kill()
        else:
            self.nursery.isolate_parked(isolate)

    def _isolate_died(self, isolate_id: int, status: int) -> None:
        isolate = self._isolates.pop(isolate_id, None)
        if isolate is None:
            return
        was_parked = isolate.parked_ms > 0
        isolate.buried(status)
        if was_parked:
            self.nursery.isolate_died(isolate)
        else:
            self._birth_failed(isolate_id, exit_reason(status)[1])

    def _birth_failed(self, isolate_id: int, reason: str) -> None:
        if self._asked.pop(isolate_id, None) is None:
            return
        self._failures += 1
        if self._failures >= _FAILURES_MAX:
            self._reason = f"{self._failures} isolates in a row could not be born: {reason}"
            self._closed_by_failure()
            return
        self._wanted += 1
        self.loop.call_later(_RETRY_S * self._failures, self._ask)

    _reason = ""
    _printed = 0

    def _closed_by_failure(self) -> None:
        self._wanted = 0
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def _bury(self) -> None:
        now = self.loop.time()
        while self._dying and self._dying[0][0] <= now:
            _deadline, isolate_id = self._dying.popleft()
            if isolate_id in self._isolates:
                self.send(b"K", isolate_id)
        if self._dying:
            # Seldom, not once for each: they hardly ever need it.
            self.loop.call_later(self._bury_s / 2, self._bury)

    def _read_output(self, _events: int) -> None:
        try:
            data = os.read(self._output, _OUTPUT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.nursery.snapshot_output(data)
            self._printed += len(data) + LOG_READ_COST_BYTES
            if self._printed > limits.LOG_BYTES_PER_CALL_MAX:
                self.hub.rest(self._output)
        else:
            self.hub.forget(self._output)

    def _end(self, status: int) -> None:
        """The keeper, and so the pid namespace, is gone or going."""
        if self._gone.done():
            return
        self._read_output(0)
        for fd in (self._control.fileno(), self._tenant.fileno(), self._output):
            self.hub.forget(fd)
        self._control.close()
        self._tenant.close()
        os.close(self._output)
        self._gone.set_result(status)
        isolates, self._isolates = self._isolates, {}
        for isolate in isolates.values():
            was_parked = isolate.parked_ms > 0
            isolate.buried(signal.SIGKILL)
            if was_parked:
                self.nursery.isolate_died(isolate)
        if not self._closed and self._facts.pid:
            self.nursery.snapshot_died(self._reason or exit_reason(max(0, status))[1])
