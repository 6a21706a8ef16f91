"""One call's record: times, sizes and log, from its event to its isolate's death.

The record outlives the call in the ring of lives, so it holds neither the event nor the answer. Its
log goes to the log store as it comes; only the last 4 KiB are kept here, for `LogType=Tail`.
"""

from __future__ import annotations

from mayfly.engine.journal import CUT_NOTICE, end_lines, failure_line, lost_line, start_line
from mayfly.engine.log_quota import LogQuotas
from mayfly.model.function import Function
from mayfly.model.invocation import Answer, Invocation, Life
from mayfly.model.limits import LOG_BYTES_PER_CALL_MAX, LOG_TAIL_BYTES
from mayfly.ports import Clock, LogStore


class Vitals:
    """What is remembered of an isolate when it is gone. Times are Unix milliseconds."""

    __slots__ = ("born_ms", "died_ms", "isolate_id", "parked_ms")

    def __init__(self, isolate_id: str, *, born_ms: float, parked_ms: float) -> None:
        self.isolate_id = isolate_id
        self.born_ms = born_ms
        self.parked_ms = parked_ms
        self.died_ms: float | None = None


class Call:
    """One call under way, or finished."""

    __slots__ = (
        "_clock",
        "_logged",
        "_logs",
        "_lost_bytes",
        "_open_line",
        "_quotas",
        "_tail",
        "answered_ms",
        "bytes_in",
        "bytes_out",
        "error_type",
        "event_ms",
        "function",
        "init_ms",
        "request_id",
        "vitals",
        "waited_ms",
    )

    def __init__(
        self, invocation: Invocation, logs: LogStore, clock: Clock, quotas: LogQuotas
    ) -> None:
        self.request_id = invocation.request_id
        self.function = invocation.function
        self.bytes_in = len(invocation.payload)
        self.bytes_out = 0
        self.event_ms = clock.now_ms()
        self.answered_ms = 0.0
        self.error_type = ""
        # How long the import took, where this call had to wait for it; and how long it waited.
        self.init_ms: float | None = None
        self.waited_ms: float | None = None
        self.vitals: Vitals | None = None
        self._logs = logs
        self._clock = clock
        self._quotas = quotas
        self._tail = b""
        self._logged = 0
        self._lost_bytes = 0
        self._open_line = False

    def start(self, vitals: Vitals | None, init_log: bytes = b"") -> None:
        """Write START, once; the call may be tried on several isolates.

        Args:
            vitals: Of the isolate, or None when there is none.
            init_log: What the import printed, shown to those who waited for it.
        """
        self.vitals = vitals
        if self._tail:
            return
        function = self.function
        line = start_line(self.request_id, function.version)
        self._logs.append_nowait(function.name, self.request_id, self._clock.now_ms(), line)
        self._tail = init_log + line

    def output(self, data: bytes) -> None:
        """The function printed.

        Cut, with a notice, at LOG_BYTES_PER_CALL_MAX and at what the function may print over time.
        """
        left = LOG_BYTES_PER_CALL_MAX - self._logged
        if left < 0 or not data:
            return
        self._logged += len(data)
        wanted = data[:left]
        kept = self._quotas.admit(self.function.name, wanted, self._clock.monotonic_s())
        if kept:
            self._keep(kept)
        self._lost_bytes += len(wanted) - len(kept)
        if len(data) > left:
            self._keep(CUT_NOTICE, own_line=True)

    def _keep(self, data: bytes, *, own_line: bool = False) -> None:
        """Into the log and the tail, behind a line for what was lost before it."""
        if self._lost_bytes:
            data = lost_line(self._lost_bytes) + data
            self._lost_bytes, own_line = 0, True
        if own_line and self._open_line:
            data = b"\n" + data
        self._open_line = not data.endswith(b"\n")
        self._logs.append_nowait(self.function.name, self.request_id, self._clock.now_ms(), data)
        if not self.answered_ms:
            self._tail = (self._tail + data[-LOG_TAIL_BYTES:])[-LOG_TAIL_BYTES:]

    def finish(self, answer: Answer, *, duration_ms: float) -> bytes:
        """Write END and REPORT; the log's tail."""
        function = self.function
        now_ms = self._clock.now_ms()
        self.answered_ms = now_ms
        self.bytes_out = len(answer.payload)
        self.error_type = answer.error_type
        lines = end_lines(
            self.request_id,
            duration_ms=duration_ms,
            memory_mib=function.settings.memory_mib,
            memory_mib_max=answer.memory_mib_max,
            init_ms=self.init_ms,
            error_type=answer.error_type,
        )
        if answer.error_type:
            lines = failure_line(answer.error_type, answer.payload) + lines
        if self._lost_bytes:
            lines = lost_line(self._lost_bytes) + lines
            self._lost_bytes = 0
        if self._open_line:
            lines = b"\n" + lines
        self._logs.append_nowait(function.name, self.request_id, now_ms, lines)
        tail = self._tail + lines
        self._tail = b""
        return tail if len(tail) <= LOG_TAIL_BYTES else tail[-LOG_TAIL_BYTES:]

    def life(self, vitals: Vitals) -> Life:
        """The record as the API shows it."""
        function: Function = self.function
        return Life(
            request_id=self.request_id,
            function_name=function.name,
            version=function.version,
            isolate_id=vitals.isolate_id,
            born_ms=vitals.born_ms,
            parked_ms=vitals.parked_ms,
            event_ms=self.event_ms,
            answered_ms=self.answered_ms,
            died_ms=vitals.died_ms,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            cold=self.init_ms is not None,
            error_type=self.error_type,
            grants=tuple(str(grant) for grant in function.settings.grants),
        )
