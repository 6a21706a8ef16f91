"""Every bound that the engine keeps, with its default.

Nothing in the engine grows without one. The configuration hands each on under the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.model import limits

_PIDS_MIN, _MIB_A_PID = 64, 2


def pids_of(memory_mib: int, pids_max: int) -> int:
    """How many processes and threads an isolate of so much memory may have.

    Each costs its neighbours something, as all forks of a node share the kernel's locks: a small
    isolate, which could not use hundreds, gets `_PIDS_MIN`, and more only with more memory.
    """
    return min(pids_max, max(_PIDS_MIN, memory_mib // _MIB_A_PID))


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The engine's bounds. Each is a key of the configuration.

    Args:
        node_concurrency_max: Calls that run at once on this node.
        function_concurrency_max: Calls of one function without reserved concurrency that run at
            once; below the node's bound, so that a flood of one function leaves room for others.
        memory_busy_mib_max: Sum of `memory` over running calls, each at its full allowance; 0 is
            no bound, as isolates mostly use a small part of what they may.
        waiters_max: Calls on this node that wait for their turn.
        function_waiters_max: Calls of one function that wait for their turn.
        wait_s_max: How long a synchronous call waits for its turn before it is refused.
        delivery_wait_s_max: The same for an asynchronous one, which goes back to the backlog.
        parked_min: Isolates parked for a function that was called lately.
        parked_max: Isolates parked ahead for one function.
        node_parked_max: Isolates parked ahead on this node; about 1 MB each.
        snapshots_max: Snapshots on this node; beyond, the one that was idle longest is closed.
        demand_window_s: How far back "lately" reaches when the number to park is estimated.
        idle_isolates_s: A function's parked isolates go after so long without a call; so does a
            warm isolate that nobody used.
        idle_snapshot_s: A function's snapshot goes after so long without a call.
        init_timeout_s: How long an import may take; the function's own timeout where longer.
        birth_timeout_s: A snapshot that makes no isolate for so long is taken for dead.
        death_timeout_s: An isolate that is not gone so long after its answer or its deadline is
            killed (again).
        retry_s_min: First pause after a second failure in a row to make a snapshot; doubles.
        retry_s_max: Longest such pause.
        lost_tries_max: Isolates that a call is tried on when they are lost before reading it.
        pids_max: Processes and threads in one isolate; `pids_of` says how many for its memory.
        log_bytes_per_s_max: What one function may print over time; what is beyond is dropped, and
            its log says how much.
        log_lines_per_s_max: The same in lines, each of which costs the log beside its bytes.
        log_burst_s: So many seconds' worth of both may come at once.
        lives_max: Finished calls that are remembered for timelines.
        delivery_concurrency_max: Asynchronous events under way at once; one function alone takes
            half of them.
        delivery_lease_s: How long an event is this node's; longer than the longest call.
        delivery_retry_s_min: First pause after a throttle or a platform error.
        delivery_retry_s_max: Longest such pause.
        delivery_age_s_max: An event that is older is not tried again but kept as failed.
        failed_events_max: Failed events that are kept; beyond, the oldest go.
        failed_events_age_s: A failed event goes after so long.
    """

    node_concurrency_max: int = 1_000
    function_concurrency_max: int = 900
    memory_busy_mib_max: int = 0
    waiters_max: int = 4_000
    function_waiters_max: int = 1_000
    wait_s_max: float = 10.0
    delivery_wait_s_max: float = 1.0
    parked_min: int = 1
    parked_max: int = 128
    node_parked_max: int = 4_096
    snapshots_max: int = 256
    demand_window_s: float = 10.0
    idle_isolates_s: float = 60.0
    idle_snapshot_s: float = 600.0
    init_timeout_s: float = float(limits.INIT_TIMEOUT_S)
    birth_timeout_s: float = 10.0
    death_timeout_s: float = 10.0
    retry_s_min: float = 0.1
    retry_s_max: float = 5.0
    lost_tries_max: int = 3
    pids_max: int = limits.PIDS_MAX
    log_bytes_per_s_max: int = limits.MIB
    log_lines_per_s_max: int = 10_000
    log_burst_s: float = 8.0
    lives_max: int = 1_024
    delivery_concurrency_max: int = 200
    delivery_lease_s: float = 1_200.0
    delivery_retry_s_min: float = 1.0
    delivery_retry_s_max: float = 300.0
    delivery_age_s_max: float = float(limits.ASYNC_AGE_S_MAX)
    failed_events_max: int = 10_000
    failed_events_age_s: float = 1_209_600.0

    def __post_init__(self) -> None:
        assert self.node_concurrency_max > 0, "node_concurrency_max must be positive"
        assert self.function_concurrency_max > 0, "function_concurrency_max must be positive"
        assert 0 <= self.parked_min <= self.parked_max, "parked_min must not exceed parked_max"
        assert self.lost_tries_max > 0, "lost_tries_max must be positive"
