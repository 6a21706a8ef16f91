"""What the platform says about itself: every metric name and every log event, declared once.

Counting must cost a call next to nothing, so a function's numbers are plain integers in a
`FunctionMetrics`, which the engine holds on to; Prometheus's classes are met only when `/metrics`
is read, by a collector on a registry of our own. The same integers are what `mayfly stats` shows.

A log line is an event name and fields (logfmt, on stderr), never prose, and never what a user's
function printed: that belongs to the function's log.

    at=2026-01-02T03:04:05.678Z level=info event=snapshot_made function=thumbnail init_ms=11.4
"""

from __future__ import annotations

import logging
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

DURATION_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0),
)
SNAPSHOT_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24)
BIRTH_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 1.024)

_RECENT_MAX = 512
_ERROR_TYPES_MAX = 64
_MISSING_GRANTS_MAX = 32
_FIELD_LENGTH_MAX = 512


class LogEvent(StrEnum):
    """Every event that the platform's own log may hold."""

    DAEMON_STARTED = "daemon_started"
    DAEMON_STOPPED = "daemon_stopped"
    DAEMON_IS_ROOT = "daemon_is_root"
    ENGINE_STARTED = "engine_started"
    ENGINE_STOPPED = "engine_stopped"
    REQUEST_FAILED = "request_failed"
    CALL_FAILED = "call_failed"
    FUNCTION_CHANGED = "function_changed"
    SNAPSHOT_MADE = "snapshot_made"
    CODE_COLLECTED = "code_collected"
    SNAPSHOT_FAILED = "snapshot_failed"
    SNAPSHOT_DIED = "snapshot_died"
    SNAPSHOT_CLOSED = "snapshot_closed"
    IMPORT_FAILED = "import_failed"
    ISOLATE_LOST = "isolate_lost"
    ISOLATE_OVERDUE = "isolate_overdue"
    BIRTHS_OVERDUE = "births_overdue"
    BACKLOG_RELEASED = "backlog_released"
    PARCEL_LOST = "parcel_lost"
    GRANT_MISSING = "grant_missing"
    OBJECTS_NOT_COLLECTED = "objects_not_collected"
    EGRESS_FAILED = "egress_failed"
    DOOR_FAILED = "door_failed"
    CERTIFICATE_CHANGED = "certificate_changed"
    CERTIFICATE_FAILED = "certificate_failed"
    BACKLOG_UNREACHABLE = "backlog_unreachable"
    QUEUES_UNREACHABLE = "queues_unreachable"
    TABLES_UNREACHABLE = "tables_unreachable"
    EVENT_RETRIED = "event_retried"
    EVENT_FAILED = "event_failed"
    EVENTS_DROPPED = "events_dropped"
    SCHEDULE_FAILED = "schedule_failed"
    SCHEDULE_STOPPED = "schedule_stopped"
    CLOCK_PUT_BACK = "clock_put_back"
    WEBHOOK_REFUSED = "webhook_refused"
    MAPPING_STARTED = "mapping_started"
    MAPPING_STOPPED = "mapping_stopped"
    MAPPING_FAILED = "mapping_failed"
    BATCH_FAILED = "batch_failed"
    BATCH_GIVEN_UP = "batch_given_up"
    RECORDS_TRIMMED = "records_trimmed"


class OutcomeLabel(StrEnum):
    """The values of `mayfly_invocations_total`'s label `outcome`."""

    SUCCESS = "success"
    FUNCTION_ERROR = "function_error"
    THROTTLED = "throttled"
    PLATFORM_ERROR = "platform_error"


class Distribution:
    """A histogram in plain integers: one bisection and two additions per value."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count `value` in the first bucket whose bound is not below it."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus wants them: upper bound as text, how many at or below it."""
        rows: list[tuple[str, float]] = []
        count = 0
        for bound, here in zip((*self.bounds, float("inf")), self._counts, strict=True):
            count += here
            rows.append(("+Inf" if bound == float("inf") else repr(bound), count))
        return rows


class FunctionMetrics:
    """One function's numbers since the platform started.

    The engine keeps a reference and adds to it; nothing is looked up by label on a call's path.
    """

    __slots__ = (
        "answered",
        "cold_starts",
        "duration",
        "error_types",
        "failed",
        "platform_errors",
        "recent_ms",
        "throttles",
    )

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.throttles = 0
        self.platform_errors = 0
        self.cold_starts = 0
        self.error_types: dict[str, int] = {}
        self.duration = Distribution(DURATION_BUCKETS_S)
        self.recent_ms: deque[float] = deque(maxlen=_RECENT_MAX)

    def count_success(self, duration_ms: float) -> None:
        """A call was answered by its handler."""
        self.answered += 1
        self.recent_ms.append(duration_ms)
        self.duration.observe(duration_ms / 1000)

    def count_failure(self, duration_ms: float, error_type: str) -> None:
        """A call ended in the function's own error, of whatever kind."""
        self.failed += 1
        self.recent_ms.append(duration_ms)
        self.duration.observe(duration_ms / 1000)
        self._count_type(error_type)

    def count_platform_error(self, error_type: str) -> None:
        """A call could not be run, by the platform's fault."""
        self.platform_errors += 1
        self._count_type(error_type)

    @property
    def calls(self) -> int:
        """Calls that were let in, whatever became of them."""
        return self.answered + self.failed + self.platform_errors

    def quantiles_ms(self) -> tuple[float, float]:
        """p50 and p99 of the newest calls' durations; zeros when there were none."""
        if not self.recent_ms:
            return 0.0, 0.0
        ordered = sorted(self.recent_ms)
        last = len(ordered) - 1
        return ordered[last // 2], ordered[min(last, round(last * 0.99))]

    def outcomes(self) -> Mapping[OutcomeLabel, int]:
        """The counts behind `mayfly_invocations_total`."""
        return {
            OutcomeLabel.SUCCESS: self.answered,
            OutcomeLabel.FUNCTION_ERROR: self.failed,
            OutcomeLabel.THROTTLED: self.throttles,
            OutcomeLabel.PLATFORM_ERROR: self.platform_errors,
        }

    def _count_type(self, error_type: str) -> None:
        # A function names its own exceptions, so the number of label values needs a bound.
        types = self.error_types
        if error_type not in types and len(types) >= _ERROR_TYPES_MAX:
            error_type = "other"
        types[error_type] = types.get(error_type, 0) + 1


class EgressMetrics:
    """What went through one function's doors to the network, and how long it was held back."""

    __slots__ = ("connections", "failures", "held_s", "received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.connections = 0
        self.failures = 0
        self.held_s = 0.0
        self.sent_bytes = 0
        self.received_bytes = 0


@dataclass(slots=True)
class MappingMetrics:
    """What one event source mapping has done since the platform started.

    Args:
        batches: Calls that were answered, whatever the answer.
        records: In those calls; `failed` of them the function failed with.
        filtered: Records that no filter let pass.
        refused: Calls that were not run: no room, or the platform's fault.
        given_up: Records of a stream that will not be tried again.
        age_ms: Of the last record of the newest call, when it was made.
    """

    function_name: str
    batches: int = 0
    records: int = 0
    failed: int = 0
    filtered: int = 0
    refused: int = 0
    given_up: int = 0
    age_ms: float = 0.0


class Metrics:
    """All metrics of one platform, on a Prometheus registry of its own.

    Counters are added to directly; gauges (`isolates`, `snapshots`, `memory_bytes`,
    `backlog_events`) hold what `Engine.measure` last saw.
    """

    def __init__(self) -> None:
        self.snapshot_seconds = Distribution(SNAPSHOT_BUCKETS_S)
        self.birth_seconds = Distribution(BIRTH_BUCKETS_S)
        self.isolates: dict[str, int] = {"parked": 0, "busy": 0}
        self.snapshots = 0
        self.memory_bytes: dict[str, int] = {}
        self.backlog_events: dict[str, int] = {}
        # By the condition in which they ended, Lambda's words; and failed ones that were let go.
        self.events_ended: dict[str, int] = {}
        self.events_dropped = 0
        # By what became of them: accepted, duplicate, ping, refused, failed.
        self.webhook_deliveries: dict[str, int] = {}
        self.registry = CollectorRegistry(auto_describe=False)
        self._functions: dict[str, FunctionMetrics] = {}
        self._egress: dict[str, EgressMetrics] = {}
        self._missing_grants: dict[str, dict[str, int]] = {}
        # By the mapping's id.
        self.mappings: dict[str, MappingMetrics] = {}
        self.registry.register(_Collector(self))

    def function(self, name: str) -> FunctionMetrics:
        """The numbers of one function; made at first use, kept until `forget`."""
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = FunctionMetrics()
        return found

    def functions(self) -> Mapping[str, FunctionMetrics]:
        """The numbers of all functions, by name."""
        return self._functions

    def egress(self, name: str) -> EgressMetrics:
        """What went through one function's doors; made at first use, kept until `forget`."""
        return self._egress.setdefault(name, EgressMetrics())

    def egresses(self) -> Mapping[str, EgressMetrics]:
        """The same of all functions that have doors, by name."""
        return self._egress

    def mapping(self, mapping_id: str, function_name: str) -> MappingMetrics:
        """What one mapping has done; made at first use."""
        return self.mappings.setdefault(mapping_id, MappingMetrics(function_name))

    def forget(self, name: str) -> None:
        """Drop a deleted function's series."""
        self._functions.pop(name, None)
        self._egress.pop(name, None)
        self._missing_grants.pop(name, None)

    def count_missing_grant(self, function_name: str, grant: str) -> None:
        """A function was refused something; `grant` would have allowed it."""
        counts = self._missing_grants.setdefault(function_name, {})
        # A function says what it tries, so the number of label values needs a bound.
        if grant not in counts and len(counts) >= _MISSING_GRANTS_MAX:
            grant = "other"
        counts[grant] = counts.get(grant, 0) + 1

    def missing_grants(self) -> Mapping[str, Mapping[str, int]]:
        """How often functions lacked a grant: by function, by grant."""
        return self._missing_grants

    def count_event(self, condition: str) -> None:
        """An asynchronous event came to its end."""
        self.events_ended[condition] = self.events_ended.get(condition, 0) + 1

    def render(self) -> bytes:
        """The text of `/metrics`; its type is `METRICS_CONTENT_TYPE`."""
        return generate_latest(self.registry)


class _Collector(Collector):
    """Turns the plain numbers into Prometheus's families when somebody asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._function_families()
        yield from self._egress_families()
        yield from self._mapping_families()
        metrics = self._metrics
        yield _histogram(
            "mayfly_snapshot_seconds",
            "Making a snapshot, import included",
            metrics.snapshot_seconds,
        )
        yield _histogram(
            "mayfly_birth_seconds", "An isolate, from asked for to parked", metrics.birth_seconds
        )
        yield _gauge("mayfly_isolates", "Isolates alive", "state", metrics.isolates)
        yield GaugeMetricFamily("mayfly_snapshots", "Snapshots alive", value=metrics.snapshots)
        yield _gauge("mayfly_memory_bytes", "Memory by share", "kind", metrics.memory_bytes)
        yield _gauge(
            "mayfly_backlog_events", "Asynchronous events kept", "state", metrics.backlog_events
        )
        ended = CounterMetricFamily(
            "mayfly_events_ended", "Asynchronous events by how they ended", labels=["condition"]
        )
        for condition, count in sorted(metrics.events_ended.items()):
            ended.add_metric([condition], count)
        yield ended
        yield CounterMetricFamily(
            "mayfly_events_dropped", "Failed events that were let go", value=metrics.events_dropped
        )
        deliveries = CounterMetricFamily(
            "mayfly_webhook_deliveries", "Deliveries to webhooks", labels=["outcome"]
        )
        for outcome, count in sorted(metrics.webhook_deliveries.items()):
            deliveries.add_metric([outcome], count)
        yield deliveries

    def _function_families(self) -> Iterator[Metric]:
        invocations = CounterMetricFamily(
            "mayfly_invocations", "Calls by what became of them", labels=["function", "outcome"]
        )
        errors = CounterMetricFamily(
            "mayfly_errors", "Calls that failed, by error type", labels=["function", "type"]
        )
        throttles = CounterMetricFamily(
            "mayfly_throttles", "Calls that were refused", labels=["function"]
        )
        colds = CounterMetricFamily(
            "mayfly_cold_starts", "Calls that waited for a snapshot", labels=["function"]
        )
        durations = HistogramMetricFamily(
            "mayfly_duration_seconds", "Time from event sent to answer", labels=["function"]
        )
        for name, numbers in sorted(self._metrics.functions().items()):
            for outcome, count in numbers.outcomes().items():
                invocations.add_metric([name, outcome.value], count)
            for error_type, count in sorted(numbers.error_types.items()):
                errors.add_metric([name, error_type], count)
            throttles.add_metric([name], numbers.throttles)
            colds.add_metric([name], numbers.cold_starts)
            duration = numbers.duration
            durations.add_metric([name], duration.cumulated(), duration.total)
        yield from (invocations, errors, throttles, colds, durations)

    def _mapping_families(self) -> Iterator[Metric]:
        labels = ["mapping", "function"]
        batches = CounterMetricFamily("mayfly_mapping_batches", "Batches answered", labels=labels)
        records = CounterMetricFamily(
            "mayfly_mapping_records", "Records by their outcome", labels=[*labels, "outcome"]
        )
        refused = CounterMetricFamily("mayfly_mapping_refused", "Batches not run", labels=labels)
        age = GaugeMetricFamily(
            "mayfly_mapping_age_seconds", "Of a stream's record when it was called", labels=labels
        )
        for mapping_id, numbers in sorted(self._metrics.mappings.items()):
            who = [mapping_id, numbers.function_name]
            batches.add_metric(who, numbers.batches)
            refused.add_metric(who, numbers.refused)
            age.add_metric(who, numbers.age_ms / 1000)
            records.add_metric([*who, "done"], numbers.records - numbers.failed)
            records.add_metric([*who, "failed"], numbers.failed)
            records.add_metric([*who, "filtered"], numbers.filtered)
            records.add_metric([*who, "given_up"], numbers.given_up)
        yield from (batches, records, refused, age)

    def _egress_families(self) -> Iterator[Metric]:
        connections = CounterMetricFamily(
            "mayfly_egress_connections",
            "Connections out of isolates, by what became of them",
            labels=["function", "outcome"],
        )
        moved = CounterMetricFamily(
            "mayfly_egress_bytes", "Bytes through doors", labels=["function", "direction"]
        )
        held = CounterMetricFamily(
            "mayfly_egress_held_seconds", "Waits for a rate's limit", labels=["function"]
        )
        for name, numbers in sorted(self._metrics.egresses().items()):
            connections.add_metric([name, "made"], numbers.connections)
            connections.add_metric([name, "failed"], numbers.failures)
            moved.add_metric([name, "sent"], numbers.sent_bytes)
            moved.add_metric([name, "received"], numbers.received_bytes)
            held.add_metric([name], numbers.held_s)
        missing = CounterMetricFamily(
            "mayfly_grants_missing",
            "What was refused to functions, by the grant that would have allowed it",
            labels=["function", "grant"],
        )
        for name, counts in sorted(self._metrics.missing_grants().items()):
            for grant, count in sorted(counts.items()):
                missing.add_metric([name, grant], count)
        yield from (connections, moved, held, missing)


def _histogram(name: str, text: str, values: Distribution) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, buckets=values.cumulated(), sum_value=values.total)


def _gauge(name: str, text: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


_LOG = logging.getLogger("mayfly")


def event_log(
    name: LogEvent, *, level: int = logging.INFO, **fields: str | float | bool | None
) -> None:
    """Write one event to the platform's log.

    Args:
        name: A member of `LogEvent`.
        level: One of `logging`'s levels.
        fields: What is known, ids above all; a None is left out, long text is cut.
    """
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "%s", _logfmt(name, fields))


def open_event_log(stream: TextIO = sys.stderr, *, level: int = logging.INFO) -> None:
    """Send the log to `stream`. Called once, by the daemon; until then only warnings show."""
    out = logging.StreamHandler(stream)
    out.setFormatter(_LineFormatter())
    _LOG.handlers = [out]
    _LOG.propagate = False
    _LOG.setLevel(level)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        at = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(record.msecs):03d}Z"
        return f"at={at} level={record.levelname.lower()} {record.getMessage()}"


def _logfmt(name: str, fields: Mapping[str, str | float | bool | None]) -> str:
    shown = (f"{key}={_field(value)}" for key, value in fields.items() if value is not None)
    return " ".join((f"event={name}", *shown))


def _field(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    if len(text) > _FIELD_LENGTH_MAX:
        text = text[:_FIELD_LENGTH_MAX] + "..."
    if text and all(c.isprintable() and c not in ' "=\\' for c in text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
