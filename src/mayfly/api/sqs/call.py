"""One request on its way to an operation: who asks, and about which queue.

Each operation names its queue by one of the `may_` methods, so that none forgets to ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mayfly.api.message import Principal
from mayfly.api.permits import require_grant, require_owner
from mayfly.api.sqs.refusals import MissingParameter
from mayfly.model.function import ACCOUNT_ID
from mayfly.model.grant import GrantKind


@dataclass(frozen=True, slots=True)
class Call:
    """What an operation knows of its request.

    Args:
        operation: Its name.
        endpoint: "http://HOST:PORT" as the caller reaches us; queue URLs begin with it.
        disconnected: Returns when the caller has gone away, or None: nobody can tell.
    """

    operation: str
    principal: Principal
    endpoint: str
    disconnected: Callable[[], Awaitable[None]] | None = None

    @property
    def sender(self) -> str:
        """Who sends, as receivers see it."""
        return self.principal.function_name or self.principal.account_id

    def url(self, name: str) -> str:
        """A queue's URL."""
        return f"{self.endpoint}/{ACCOUNT_ID}/{name}"

    def may_send(self, queue_url: str) -> str:
        """The queue's name, if the caller may send to it."""
        return self._granted(queue_url, "send")

    def may_receive(self, queue_url: str) -> str:
        """The queue's name, if the caller may receive from it."""
        return self._granted(queue_url, "receive")

    def may_know(self, queue_url: str) -> str:
        """The queue's name, if the caller may do anything with it."""
        name = name_in_url(queue_url)
        if not self.principal.may(GrantKind.QUEUES, name, "send"):
            require_grant(self.principal, GrantKind.QUEUES, name, "receive")
        return name

    def is_owner(self, queue_url: str) -> str:
        """The queue's name, if the caller is the owner."""
        require_owner(self.principal, f"sqs:{self.operation}")
        return name_in_url(queue_url)

    def _granted(self, queue_url: str, verb: str) -> str:
        name = name_in_url(queue_url)
        require_grant(self.principal, GrantKind.QUEUES, name, verb)
        return name


def name_in_url(queue_url: str) -> str:
    """A queue's name: the last part of its URL, whatever host and account it names.

    Raises:
        MissingParameter: There is none.
    """
    name = queue_url.rstrip("/").rpartition("/")[2]
    if not name:
        raise MissingParameter("QueueUrl")
    return name
