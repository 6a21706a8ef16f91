"""Functions as the engine knows them: each one's lane, numbers, and pools by version.

A pool belongs to a snapshot key, so a change of tags or concurrency keeps the isolates and a change
of code or environment leaves them. When a function changes, pools of other keys retire: calls that
chose them finish on them, and the next call is on the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from mayfly.engine.admission import Lane
from mayfly.engine.node import Node
from mayfly.engine.pool import Pool
from mayfly.engine.turns import Turns
from mayfly.model.errors import ShuttingDown
from mayfly.model.function import LATEST, Function
from mayfly.ports import Registry
from mayfly.telemetry import FunctionMetrics, LogEvent, event_log


class Tenant:
    """One function."""

    __slots__ = ("by_revision", "lane", "metrics", "pools")

    def __init__(self, lane: Lane, metrics: FunctionMetrics) -> None:
        self.lane = lane
        self.metrics = metrics
        self.pools: dict[tuple[object, ...], Pool] = {}
        # The same pools by (revision, version): making a snapshot key is too slow for each call.
        self.by_revision: dict[tuple[str, str], Pool] = {}


class Tenants:
    """All functions that were called or prepared since they were made."""

    def __init__(self, node: Node, registry: Registry, turns: Turns) -> None:
        self._node = node
        self._registry = registry
        self._turns = turns
        self._tenants: dict[str, Tenant] = {}
        # `mayfly run`: scripts share one lane, as they belong to no function.
        self.script_lane = Lane(
            "(script)", reserved=None, shared_max=node.limits.function_concurrency_max
        )

    def tenant(self, function: Function) -> Tenant:
        """The function's entry; made at first use."""
        found = self._tenants.get(function.name)
        if found is None:
            lane = Lane(
                function.name,
                reserved=function.settings.concurrency,
                shared_max=self._node.limits.function_concurrency_max,
            )
            found = Tenant(lane, self._node.ports.metrics.function(function.name))
            self._tenants[function.name] = found
        return found

    def pool(self, tenant: Tenant, function: Function) -> Pool:
        """The pool that serves this very value of the function."""
        pool = tenant.by_revision.get((function.revision_id, function.version))
        if pool is None:
            pool = self._find_pool(tenant, function, retired=not self._is_current(function))
        return pool

    def prepared_pool(self, function: Function) -> Pool:
        """The pool of a function that is about to become current."""
        return self._find_pool(self.tenant(function), function, retired=False)

    def function_changed(self, name: str) -> None:
        """Retire what is not current any more."""
        tenant = self._tenants.get(name)
        if tenant is None:
            return
        event_log(LogEvent.FUNCTION_CHANGED, function=name)
        tenant.by_revision.clear()
        current = self._registry.function_nowait(name)
        if current is None:
            self._node.ports.metrics.forget(name)
        else:
            tenant.metrics = self._node.ports.metrics.function(name)
            self._turns.reserve(tenant.lane, current.settings.concurrency)
        key = None if current is None else current.snapshot_key
        for pool_key, pool in list(tenant.pools.items()):
            if key is not None and pool.function.version != LATEST:
                continue
            if pool_key == key:
                pool.retired = False
            else:
                pool.retire()
        self._drop_if_gone(name)

    def renew(self, name: str) -> None:
        """What the function was granted has changed: the next call is on a new snapshot."""
        tenant = self._tenants.get(name)
        if tenant is None:
            return
        event_log(LogEvent.FUNCTION_CHANGED, function=name, why="grants")
        tenant.by_revision.clear()
        # Under keys that nobody asks for, so that no later call revives them.
        tenant.pools = {(pool.function.revision_id, pool): pool for pool in tenant.pools.values()}
        for pool in list(tenant.pools.values()):
            pool.retire()
        self._drop_if_gone(name)

    def tend(self, now_s: float) -> float:
        """Look after every pool. Returns when to look again, monotonic seconds."""
        return min((pool.tend(now_s) for pool in self.pools()), default=inf)

    def stop(self) -> None:
        """The engine stops: nobody who waits will be served."""
        error = ShuttingDown("the platform is stopping; call again when it is back")
        for pool in self.pools():
            pool.stop(error)

    def pools(self) -> Iterator[Pool]:
        """Every pool; safe against changes while one looks."""
        for tenant in list(self._tenants.values()):
            yield from list(tenant.pools.values())

    def tenants(self) -> Mapping[str, Tenant]:
        """Every function's entry, by name."""
        return self._tenants

    def _find_pool(self, tenant: Tenant, function: Function, *, retired: bool) -> Pool:
        key = function.snapshot_key
        pool = tenant.pools.get(key)
        if pool is None:
            pool = Pool(function, self._node, self._forget, retired=retired)
            tenant.pools[key] = pool
        elif not retired:
            pool.retired = False
        tenant.by_revision[(function.revision_id, function.version)] = pool
        return pool

    def _is_current(self, function: Function) -> bool:
        if function.version != LATEST:
            return True
        current = self._registry.function_nowait(function.name)
        return current is not None and current.snapshot_key == function.snapshot_key

    def _forget(self, pool: Pool) -> None:
        """A retired pool has served its last call."""
        name = pool.function.name
        tenant = self._tenants.get(name)
        if tenant is None:
            return
        tenant.pools = {key: one for key, one in tenant.pools.items() if one is not pool}
        tenant.by_revision = {
            revision: one for revision, one in tenant.by_revision.items() if one is not pool
        }
        self._drop_if_gone(name)

    def _drop_if_gone(self, name: str) -> None:
        tenant = self._tenants.get(name)
        if tenant is None:
            return
        busy = tenant.lane.busy or tenant.lane.waiting
        if not tenant.pools and not busy and self._registry.function_nowait(name) is None:
            del self._tenants[name]
