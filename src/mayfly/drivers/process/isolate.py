"""One isolate as the daemon sees it: a channel and a log pipe.

    unready --READY--> parked --INVOKE--> busy --ANSWER | FAILURE | end | deadline--> done (or
    parked again, reuse)

The event goes out with one write; the answer comes in with one read; nothing stands between. All
that arrives is
untrusted: a frame that may not stand where it stands ends the isolate.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Protocol

import msgspec

from mayfly.drivers.channel import (
    ANSWER,
    FAILURE,
    FAILURE_HEAD,
    INVOKE,
    READY,
    U32,
    BadFrame,
    FrameReader,
    Hub,
    frame,
)
from mayfly.model import limits
from mayfly.model.errors import IsolateLost
from mayfly.model.function import Reuse
from mayfly.model.invocation import Answer, ErrorKind, Invocation
from mayfly.ports import Clock, Isolate, MemoryUse, Nursery, SnapshotSpec

STATUS_OOM = 1 << 16
_FRAME_MAX = limits.RESPONSE_BYTES_MAX + 64 * limits.KIB
_LOG_READ_BYTES = 65_536
# What a read costs beside its bytes: a call's bound holds for many small prints as well.
LOG_READ_COST_BYTES = 4_096
_PIPE_BYTES_MAX = 1 << 20  # pipe(7), pipe-max-size: more cannot wait there.
_WORD_LENGTH_MAX = 256
# More than a socket holds (wmem_max, usually 208 KiB), in reads.
_DYING_READS_MAX = 64
_SIGNAL_NAMES = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGKILL: "killed",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
    signal.SIGTERM: "terminated",
    signal.SIGSYS: "bad system call",
}
_encode = msgspec.json.encode


class Household(Protocol):
    """What an isolate needs of the snapshot that made it."""

    spec: SnapshotSpec
    nursery: Nursery
    hub: Hub
    clock: Clock
    loop: asyncio.AbstractEventLoop

    def call_began(self) -> None:
        """One of its isolates has a call; `call_ended` follows."""

    def call_ended(self) -> None:
        """It has none any more."""

    def send(self, kind: bytes, isolate_id: int) -> None:
        """Tell the keeper something."""

    def expect_death(self, isolate_id: int) -> None:
        """It has answered; see that it ends."""

    def host_pid(self, namespace_pid: int) -> int:
        """The node's number of a process of the sandbox, 0 where it is not known."""
        ...

    def memory_of(self, pid: int) -> MemoryUse:
        """Memory of a process of the sandbox, by its number on the node."""
        ...

    def isolate_ready(self, isolate: ProcessIsolate) -> None:
        """It said READY."""


class ProcessIsolate:
    """Port `Isolate`."""

    __slots__ = (
        "_call",
        "_channel",
        "_household",
        "_log",
        "_namespace_pid",
        "_printed",
        "_reader",
        "_reuse",
        "_timer",
        "_unsent",
        "born_ms",
        "isolate_id",
        "number",
        "parked_ms",
        "request_id",
    )

    def __init__(
        self,
        household: Household,
        number: int,
        *,
        channel: int,
        log: int,
        namespace_pid: int,
        born_ms: float,
    ) -> None:
        self._household = household
        self.number = number
        self.isolate_id = f"{household.spec.snapshot_id}-{number}"
        self.born_ms = born_ms
        self.parked_ms = 0.0
        self.request_id = ""
        self._channel = channel
        self._namespace_pid = namespace_pid
        self._log = log
        self._reader = FrameReader(channel, _FRAME_MAX)
        self._reuse = household.spec.function.settings.reuse is Reuse.WARM
        self._call: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = memoryview(b"")
        self._printed = 0
        household.hub.watch(channel, self._readable)
        household.hub.watch(log, self._log_readable)

    async def invoke(self, invocation: Invocation, *, timeout_s: float) -> Answer:
        """Send the event, wait for the answer (port `Isolate.invoke`)."""
        assert self._call is None, "an isolate has one call at a time"
        household = self._household
        loop = household.loop
        call: asyncio.Future[Answer] = loop.create_future()
        self._call = call
        self.request_id = invocation.request_id
        self._printed = 0
        meta = _encode(
            {
                "id": invocation.request_id,
                "arn": invocation.invoked_arn,
                "deadline_ms": household.clock.now_ms() + timeout_s * 1000,
                "trace": invocation.trace_id,
                "client_context": invocation.client_context,
            }
        )
        self._send(frame(INVOKE, U32.pack(len(meta)), meta, invocation.payload))
        self._timer = loop.call_later(timeout_s, self._expire, timeout_s)
        household.call_began()
        try:
            return await call
        except asyncio.CancelledError:
            self._retire(kill=True)
            raise
        finally:
            household.call_ended()

    @property
    def pid(self) -> int:
        """Its process as the node sees it, 0 where it is not known (port `Isolate.pid`)."""
        return self._household.host_pid(self._namespace_pid)

    def kill(self) -> None:
        """End it (port `Isolate.kill`)."""
        self._household.send(b"K", self.number)

    def memory(self) -> MemoryUse:
        """Of its process."""
        return self._household.memory_of(self.pid)

    def buried(self, status: int) -> None:
        """The keeper says that it is gone, with this wait status."""
        self._reuse = False
        # Its answer may lie in the socket still, as far as that holds it.
        for _ in range(_DYING_READS_MAX):
            if self._call is None or self._channel < 0:
                break
            self._readable(0)
        if self._call is not None:
            kind, reason = exit_reason(status)
            self._finish(self._error(kind, f"Error: {reason}"))
        self._retire(kill=False)

    def _send(self, data: bytes) -> None:
        channel = self._channel
        try:
            sent = os.write(channel, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = -1
        if sent < 0:
            self._call = None
            self._retire(kill=True)
            raise IsolateLost(f"isolate {self.isolate_id} was gone before its event")
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._household.hub.watch_writing(channel, wanted=True)

    def _send_rest(self) -> None:
        channel = self._channel
        if channel < 0:
            return
        try:
            sent = os.write(channel, self._unsent[: 1 << 20])
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)  # It died; the end of file says the rest.
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._household.hub.watch_writing(channel, wanted=False)

    def _readable(self, events: int) -> None:
        if self._unsent and events & 4:  # EPOLLOUT
            self._send_rest()
        if not self.parked_ms:
            self._first_word()
            return
        if self._channel < 0:
            return
        try:
            got = self._reader.read()
            if got is not None:
                self._take(*got)
        except BadFrame:
            self._garbage()

    def _first_word(self) -> None:
        if self._channel < 0:
            return
        try:
            got = self._reader.read()
        except BadFrame:
            got = (0, b"")
        if got == (READY, b""):
            self.parked_ms = self._household.clock.now_ms()
            self._household.isolate_ready(self)
        elif got is not None:
            self._retire(kill=True)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == 0:
            self._closed_its_channel()
        elif self._call is None or len(body) < 4:
            self._garbage()
        elif kind == ANSWER:
            (peak_kib,) = U32.unpack_from(body)
            self._answer(body[4:], peak_kib)
        elif kind == FAILURE and len(body) >= FAILURE_HEAD.size:
            peak_kib, length = FAILURE_HEAD.unpack_from(body)
            head = FAILURE_HEAD.size
            error_type = plain_word(body[head : head + length].decode(errors="replace"))
            answer = Answer(
                body[head + length :],
                ErrorKind.UNHANDLED,
                error_type,
                memory_mib_max=self._mib(peak_kib),
            )
            self._finish(answer)
            self._end_of_life()
        else:
            self._garbage()

    def _answer(self, payload: bytes, peak_kib: int) -> None:
        if len(payload) > limits.RESPONSE_BYTES_MAX:
            self._garbage()
            return
        if self._reuse and not self._reader.holds_more:
            self._finish(Answer(payload, alive=True, memory_mib_max=self._mib(peak_kib)))
            return
        self._finish(Answer(payload, memory_mib_max=self._mib(peak_kib)))
        self._end_of_life()

    def _finish(self, answer: Answer) -> None:
        call, self._call = self._call, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._drain_log()
        if call is not None and not call.done():
            call.set_result(answer)

    def _drain_log(self) -> None:
        for _ in range(_PIPE_BYTES_MAX // _LOG_READ_BYTES):
            if not self._read_log():
                return

    def _log_readable(self, _events: int) -> None:
        if self._read_log() and self._printed > limits.LOG_BYTES_PER_CALL_MAX:
            self._household.hub.rest(self._log)

    def _read_log(self) -> bool:
        if self._log < 0:
            return False
        try:
            data = os.read(self._log, _LOG_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close_log()
            return False
        self._printed += len(data) + LOG_READ_COST_BYTES
        if self.request_id:
            self._household.nursery.isolate_output(self, data)
        return True

    def _close_log(self) -> None:
        if self._log >= 0:
            self._household.hub.forget(self._log)
            os.close(self._log)
            self._log = -1

    def _end_of_life(self) -> None:
        """It has given its one answer: let go of it, and see that it dies."""
        self._retire(kill=False)
        self._household.expect_death(self.number)

    def _retire(self, *, kill: bool) -> None:
        channel, self._channel = self._channel, -1
        if channel >= 0:
            self._household.hub.forget(channel)
            os.close(channel)
        self._close_log()
        self._unsent = memoryview(b"")
        if kill:
            self.kill()

    def _closed_its_channel(self) -> None:
        """Its end is closed: it died (the keeper says how, soon) or closed it and lives on."""
        self._household.hub.forget(self._channel)
        self._household.expect_death(self.number)

    def _garbage(self) -> None:
        if self._call is not None:
            message = "Error: the function wrote into the runtime's channel"
            self._finish(self._error("Runtime.InvalidResponse", message))
        self._retire(kill=True)

    def _expire(self, timeout_s: float) -> None:
        self._timer = None
        message = f"Error: Task timed out after {timeout_s:.2f} seconds"
        self._finish(self._error("Sandbox.Timedout", message))
        self._retire(kill=True)

    def _mib(self, kib: int) -> int:
        """What it says of its memory; it cannot have had more than there was."""
        return min(-(-kib // 1024), self._household.spec.function.settings.memory_mib)

    def _error(self, kind: str, message: str) -> Answer:
        text = f"RequestId: {self.request_id} {message}"
        document = _encode({"errorType": kind, "errorMessage": text})
        return Answer(document, ErrorKind.UNHANDLED, kind)


def plain_word(text: str) -> str:
    """What an isolate calls its error, fit for a line of the platform's own."""
    return "".join(c if c.isprintable() else "?" for c in text[:_WORD_LENGTH_MAX])


def exit_reason(status: int) -> tuple[str, str]:
    """Lambda's error type and words for a wait status (wait(2)) with the keeper's own bit."""
    if status & STATUS_OOM:
        return "Runtime.OutOfMemory", "Runtime exited with error: signal: killed (out of memory)"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = _SIGNAL_NAMES.get(signal.Signals(number), signal.Signals(number).name)
        except ValueError:
            name = str(number)
        return "Runtime.ExitError", f"Runtime exited with error: signal: {name}"
    code = os.WEXITSTATUS(status)
    if code == 0:
        return "Runtime.ExitError", "Runtime exited without providing a reason"
    return "Runtime.ExitError", f"Runtime exited with error: exit status {code}"


def _check_port(isolate: ProcessIsolate) -> Isolate:
    return isolate
