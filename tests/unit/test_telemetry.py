from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mayfly import telemetry
from mayfly.telemetry import Distribution, LogEvent, Metrics, event_log, open_event_log


def _samples(metrics: Metrics) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_outcomes_and_error_types_are_counted_by_function() -> None:
    metrics = Metrics()
    numbers = metrics.function("f")
    numbers.count_success(1.0)
    numbers.count_failure(2.0, "KeyError")
    numbers.count_platform_error("SnapshotFailed")
    numbers.throttles += 1
    numbers.cold_starts += 1
    samples = _samples(metrics)
    assert samples["mayfly_invocations_total{function=f,outcome=success}"] == 1
    assert samples["mayfly_invocations_total{function=f,outcome=function_error}"] == 1
    assert samples["mayfly_invocations_total{function=f,outcome=platform_error}"] == 1
    assert samples["mayfly_invocations_total{function=f,outcome=throttled}"] == 1
    assert samples["mayfly_errors_total{function=f,type=KeyError}"] == 1
    assert samples["mayfly_errors_total{function=f,type=SnapshotFailed}"] == 1
    assert samples["mayfly_throttles_total{function=f}"] == 1
    assert samples["mayfly_cold_starts_total{function=f}"] == 1
    assert samples["mayfly_duration_seconds_count{function=f}"] == 2
    assert samples["mayfly_duration_seconds_sum{function=f}"] == pytest.approx(0.003)


def test_every_promised_family_is_there_from_the_start() -> None:
    text = Metrics().render().decode()
    for name in (
        "mayfly_invocations_total",
        "mayfly_errors_total",
        "mayfly_throttles_total",
        "mayfly_duration_seconds",
        "mayfly_cold_starts_total",
        "mayfly_snapshot_seconds",
        "mayfly_birth_seconds",
        "mayfly_isolates",
        "mayfly_snapshots",
        "mayfly_memory_bytes",
        "mayfly_backlog_events",
    ):
        assert f"# TYPE {name} " in text


def test_a_function_cannot_make_labels_without_end() -> None:
    numbers = Metrics().function("f")
    for number in range(1_000):
        numbers.count_failure(1.0, f"Error{number}")
    assert len(numbers.error_types) <= 65
    assert numbers.error_types["other"] == 1_000 - 64


def test_a_forgotten_function_has_no_series() -> None:
    metrics = Metrics()
    metrics.function("f").count_success(1.0)
    metrics.forget("f")
    assert b'"f"' not in metrics.render()


def test_quantiles_are_of_the_newest_calls() -> None:
    numbers = Metrics().function("f")
    assert numbers.quantiles_ms() == (0.0, 0.0)
    for _ in range(1_000):
        numbers.count_success(1_000.0)
    for value in range(1, 513):
        numbers.count_success(float(value))
    p50_ms, p99_ms = numbers.quantiles_ms()
    assert p50_ms == pytest.approx(256, abs=1)
    assert p99_ms == pytest.approx(507, abs=1)


@given(st.lists(st.floats(0, 100)))
def test_a_distributions_buckets_only_rise_and_hold_everything(values: list[float]) -> None:
    distribution = Distribution((0.1, 1.0, 10.0))
    for value in values:
        distribution.observe(value)
    rows = distribution.cumulated()
    counts = [count for _, count in rows]
    assert counts == sorted(counts)
    assert counts[-1] == len(values)
    for bound, count in rows[:-1]:
        assert count == sum(value <= float(bound) for value in values)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    log = logging.getLogger("mayfly")
    before = (log.handlers, log.propagate, log.level)
    out = io.StringIO()
    open_event_log(out)
    yield out
    log.handlers, log.propagate = before[0], before[1]
    log.setLevel(before[2])


def test_a_log_line_is_an_event_and_fields(stream: io.StringIO) -> None:
    event_log(LogEvent.SNAPSHOT_MADE, function="f", init_ms=11.4, cold=True, snapshot=None)
    line = stream.getvalue()
    assert line.startswith("at=20")
    assert line.endswith("Z level=info event=snapshot_made function=f init_ms=11.4 cold=true\n")


def test_a_value_cannot_forge_a_line_or_a_field(stream: io.StringIO) -> None:
    event_log(LogEvent.CALL_FAILED, error='a "b"\nevent=forged x=1')
    assert stream.getvalue().count("\n") == 1
    assert r'error="a \"b\"\nevent=forged x=1"' in stream.getvalue()


@given(st.text())
def test_any_text_is_one_field(text: str) -> None:
    shown = telemetry._field(text)
    assert "\n" not in shown
    assert shown.isprintable()
    assert shown.startswith('"') or " " not in shown


def test_long_text_is_cut(stream: io.StringIO) -> None:
    event_log(LogEvent.CALL_FAILED, error="x" * 10_000)
    assert len(stream.getvalue()) < 700


def test_levels_below_the_chosen_one_are_not_written(stream: io.StringIO) -> None:
    event_log(LogEvent.CALL_FAILED, level=logging.DEBUG)
    assert stream.getvalue() == ""
