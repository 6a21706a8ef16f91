"""Time to live, tags, limits and endpoints: what is set or told besides tables and items.

The time to live is an index of its own kind, so that setting it fills one and unsetting it drops
one; what ends is removed by the store's keeper.
"""

from __future__ import annotations

from collections.abc import Callable

from mayfly.api.dynamodb import declarations
from mayfly.api.dynamodb.answers import encode
from mayfly.api.dynamodb.members import (
    Members,
    flag,
    refuse_absent,
    required_structure,
    required_text,
    table_name,
    texts,
)
from mayfly.api.message import Principal
from mayfly.api.permits import require_grant, require_owner
from mayfly.model.grant import GrantKind
from mayfly.stores.tables.catalog import Numbers
from mayfly.stores.tables.definition import (
    ARN_PREFIX,
    Definition,
    Index,
    IndexKind,
    IndexStatus,
)
from mayfly.stores.tables.errors import InvalidRequest, LimitExceeded
from mayfly.stores.tables.store import TableStore

TAGS_MAX = 50
_ATTRIBUTE_LENGTH_MAX = 255
_ENDPOINT_MINUTES = 1440
_UNITS_MAX = {
    "AccountMaxReadCapacityUnits": 80_000,
    "AccountMaxWriteCapacityUnits": 80_000,
    "TableMaxReadCapacityUnits": 40_000,
    "TableMaxWriteCapacityUnits": 40_000,
}


class TableSettings:
    """The operations on settings.

    Args:
        host: Where this endpoint listens, "host:port".
    """

    def __init__(self, tables: TableStore, host: str) -> None:
        self._catalog = tables.catalog
        self._host = host

    async def describe_time_to_live(self, members: Members, principal: Principal) -> bytes:
        """DescribeTimeToLive."""
        name = table_name(members)
        require_grant(principal, GrantKind.TABLES, name, "read")
        definition = self._catalog.find(name)
        if definition.expiry is None:
            return encode({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}})
        filled = definition.expiry.status is IndexStatus.ACTIVE
        status = "ENABLED" if filled else "ENABLING"
        told = {"TimeToLiveStatus": status, "AttributeName": definition.expiry_attribute}
        return encode({"TimeToLiveDescription": told})

    async def update_time_to_live(self, members: Members, principal: Principal) -> bytes:
        """UpdateTimeToLive: it takes effect for the items that are there, too."""
        require_owner(principal, "UpdateTimeToLive")
        name = table_name(members)
        given = required_structure(members, "TimeToLiveSpecification")
        attribute = required_text(given, "AttributeName")
        if not 1 <= len(attribute) <= _ATTRIBUTE_LENGTH_MAX:
            raise InvalidRequest("TimeToLiveSpecification.AttributeName has 1 to 255 characters")
        if not isinstance(given.get("Enabled"), bool):
            refuse_absent("TimeToLiveSpecification.Enabled")
        enabled = flag(given, "Enabled")
        await self._catalog.alter(name, _expiry(attribute, enabled=enabled))
        specification = {"Enabled": enabled, "AttributeName": attribute}
        return encode({"TimeToLiveSpecification": specification})

    async def tag(self, members: Members, principal: Principal) -> bytes:
        """TagResource."""
        require_owner(principal, "TagResource")
        added = declarations.tags(members)

        def change(before: Definition, _numbers: Numbers) -> Definition:
            tags = {**before.tags, **added}
            if len(tags) > TAGS_MAX:
                raise LimitExceeded(f"A table has at most {TAGS_MAX} tags")
            return before.changed(tags=tags)

        await self._catalog.alter(_named(members), change)
        return b""

    async def untag(self, members: Members, principal: Principal) -> bytes:
        """UntagResource."""
        require_owner(principal, "UntagResource")
        gone = set(texts(members, "TagKeys") or ())

        def change(before: Definition, _numbers: Numbers) -> Definition:
            tags = {name: value for name, value in before.tags.items() if name not in gone}
            return before.changed(tags=tags)

        await self._catalog.alter(_named(members), change)
        return b""

    async def tags(self, members: Members, principal: Principal) -> bytes:
        """ListTagsOfResource."""
        require_owner(principal, "ListTagsOfResource")
        definition = self._catalog.find(_named(members))
        tags = [{"Key": name, "Value": value} for name, value in definition.tags.items()]
        return encode({"Tags": tags})

    async def limits(self, members: Members, principal: Principal) -> bytes:
        """DescribeLimits: AWS's figures; nothing is throttled here."""
        del members
        require_owner(principal, "DescribeLimits")
        return encode(_UNITS_MAX)

    async def endpoints(self, members: Members, principal: Principal) -> bytes:
        """DescribeEndpoints: this one."""
        del members
        require_owner(principal, "DescribeEndpoints")
        here = {"Address": self._host, "CachePeriodInMinutes": _ENDPOINT_MINUTES}
        return encode({"Endpoints": [here]})

    async def continuous_backups(self, members: Members, principal: Principal) -> bytes:
        """DescribeContinuousBackups: there are none; tools that describe tables ask."""
        require_owner(principal, "DescribeContinuousBackups")
        self._catalog.find(table_name(members))
        recovery = {"PointInTimeRecoveryStatus": "DISABLED"}
        told = {
            "ContinuousBackupsStatus": "DISABLED",
            "PointInTimeRecoveryDescription": recovery,
        }
        return encode({"ContinuousBackupsDescription": told})


def _expiry(attribute: str, *, enabled: bool) -> Callable[[Definition, Numbers], Definition]:
    def change(before: Definition, numbers: Numbers) -> Definition:
        if enabled == (before.expiry is not None):
            raise InvalidRequest(f"TimeToLive is already {'enabled' if enabled else 'disabled'}")
        if not enabled and attribute != before.expiry_attribute:
            raise InvalidRequest(
                f"TimeToLive is active on a different AttributeName: current AttributeName is "
                f"{before.expiry_attribute}"
            )
        if not enabled:
            return before.changed(indexes=before.shown_indexes, expiry_attribute="")
        index = Index(numbers(), "", IndexKind.EXPIRY, before.key, status=IndexStatus.CREATING)
        return before.changed(indexes=(*before.indexes, index), expiry_attribute=attribute)

    return change


def _named(members: Members) -> str:
    """The table whose ARN is given."""
    arn = required_text(members, "ResourceArn")
    if not arn.startswith(ARN_PREFIX):
        raise InvalidRequest(f"Invalid TableArn: Invalid ResourceArn provided as input {arn[:200]}")
    return arn.removeprefix(ARN_PREFIX)
