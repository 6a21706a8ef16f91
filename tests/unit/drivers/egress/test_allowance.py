"""A function's share of the network: a second's worth at once, then at its rate."""

from __future__ import annotations

import pytest

from mayfly.drivers.egress.allowance import Allowance, Bucket, NetLimits
from mayfly.drivers.egress.resolve import AddressRefused
from mayfly.telemetry import EgressMetrics
from mayfly.testing.clock import VirtualClock, in_virtual_time


def test_a_bucket_is_a_second_deep_and_fills_at_its_rate() -> None:
    clock = VirtualClock()
    bucket = Bucket(100, clock)
    assert bucket.take(100) == 0
    assert bucket.take(50) == pytest.approx(0.5)
    assert bucket.take(50) == pytest.approx(1.0)
    clock.step(1)
    assert bucket.take(10) == pytest.approx(0.1)
    clock.step(3600)
    assert bucket.take(100) == 0
    assert bucket.take(1) > 0


def test_no_rate_is_no_bound() -> None:
    assert Bucket(0, VirtualClock()).take(1e12) == 0


@in_virtual_time
async def test_connections_beyond_the_rate_wait_and_are_counted(clock: VirtualClock) -> None:
    metrics = EgressMetrics()
    allowance = Allowance(NetLimits(connections_per_s_max=10), metrics, clock)
    begin_s = clock.monotonic_s()
    for _ in range(30):
        await allowance.admit()
    assert clock.monotonic_s() - begin_s == pytest.approx(2.0)
    assert metrics.held_s == pytest.approx(2.0)


@in_virtual_time
async def test_bytes_pass_at_their_rate(clock: VirtualClock) -> None:
    allowance = Allowance(NetLimits(bytes_per_s_max=1_000_000), EgressMetrics(), clock)
    begin_s = clock.monotonic_s()
    for _ in range(100):
        await allowance.pass_bytes(65_536)
    assert clock.monotonic_s() - begin_s == pytest.approx(5.5536)


def test_connections_at_once_are_refused_beyond_their_bound_and_free_again() -> None:
    allowance = Allowance(NetLimits(connections_max=1), EgressMetrics(), VirtualClock())
    refused = pytest.raises(AddressRefused, match="net_connections_max")
    with allowance.connection(), refused, allowance.connection():
        pass
    with allowance.connection():
        pass


def test_failures_are_logged_a_few_at_a_time() -> None:
    clock = VirtualClock()
    allowance = Allowance(NetLimits(), EgressMetrics(), clock)
    assert sum(allowance.may_log() for _ in range(100)) == 10
    clock.step(5)
    assert sum(allowance.may_log() for _ in range(100)) == 1
