"""The control API's audit: the whole attack surface of a function, from what holds it.

GET v1/audit          the rules that an audit can be failed on
GET v1/audit/{name}   {"facts": ..., "rows": [...], "findings": [...]}, see `audit_form`

The driver is asked what its seal leaves, the room of grants what a snapshot would be given; nothing
is made or started, and no value of a key, a secret or a variable is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mayfly.api.control.audit_facts import audit_facts
from mayfly.api.control.audit_form import audit_rows
from mayfly.api.control.audit_rules import RULES, findings
from mayfly.api.control.routes import Call, Routes
from mayfly.engine.bounds import pids_of
from mayfly.model import granting
from mayfly.model.function import Function
from mayfly.model.webhook import Webhook
from mayfly.ports import Driver, SnapshotSpec, Surroundings

FORMAT = 1


class AuditControl:
    """Routes over the driver's word.

    Args:
        preview: What a snapshot of the function would be given, without values of secrets.
        webhooks: All that there are, by whomever they were made.
        pids_max: As the engine has it.
    """

    def __init__(
        self,
        driver: Driver,
        preview: Callable[[Function], Surroundings],
        webhooks: Callable[[], Sequence[Webhook]],
        *,
        pids_max: int,
    ) -> None:
        self._driver = driver
        self._preview = preview
        self._webhooks = webhooks
        self._pids_max = pids_max

    @property
    def routes(self) -> Routes:
        """For the control API."""
        return {("audit", False): {"GET": _rules}, ("audit", True): {"GET": self._audit}}

    async def _audit(self, call: Call) -> None:
        function = call.function()
        given = self._preview(function)
        surface = await self._driver.surface(self._spec(call, function, given))
        url = call.platform.registry.url_nowait(function.name)
        triggers = self._triggers(call, function.name)
        facts = audit_facts(function, surface, given, url=url, triggers=triggers)
        await call.reply(
            {
                "format": FORMAT,
                "function": function.name,
                "version": function.version,
                "revision_id": function.revision_id,
                "modified_ms": function.modified_ms,
                "facts": facts,
                "rows": audit_rows(function, surface, facts),
                "findings": findings(function, facts),
                "syscall_reasons": {one.name: one.why for one in surface.calls},
                "grant_origins": {
                    granting.written(one): granting.origin(function.settings, one).value
                    for one in function.settings.grants
                },
            }
        )

    def _triggers(self, call: Call, name: str) -> Sequence[Mapping[str, object]]:
        """Those of the manifest, and the webhooks that were made by hand: they call it as well."""
        own = call.platform.triggers.shown_nowait(name)
        known = {one.get("name", name) for one in own if one["type"] == "webhook"}
        others = [
            one for one in self._webhooks() if one.function_name == name and one.name not in known
        ]
        return [
            *own,
            *(
                {"type": "webhook", "scheme": one.scheme.value, "name": one.name}
                | ({"secret": one.secret_name} if one.secret_name else {})
                for one in others
            ),
        ]

    def _spec(self, call: Call, function: Function, given: Surroundings) -> SnapshotSpec:
        code, store = function.code, call.platform.code
        dependencies = code.dependencies
        return SnapshotSpec(
            snapshot_id="audit000",
            function=function,
            code_path=store.tree_path(code.digest),
            dependencies_path=None
            if dependencies is None
            else store.dependencies_path(dependencies),
            environment=given.environment,
            init_timeout_s=0,
            pids_max=pids_of(function.settings.memory_mib, self._pids_max),
            doors=given.doors,
        )


async def _rules(call: Call) -> None:
    await call.reply({"rules": {rule.name: rule.meaning for rule in RULES}})
