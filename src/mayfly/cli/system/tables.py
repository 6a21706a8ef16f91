"""Tables: keys, indexes, stream and time to live, by DynamoDB's API.

A key is written "name" or "name:TYPE", with S (text, the default), N (number) or B (bytes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mayfly.cli import clock, document
from mayfly.cli.client import Client
from mayfly.cli.failure import Failed, Refused
from mayfly.cli.system.declared import Entry, Resource
from mayfly.cli.system.kind import Settings, ask_json, is_absent

_NAME = r"[A-Za-z0-9_.-]{3,255}"
_KEY = r"[^:\n]{1,255}(:[SNB])?"
_STREAMS = {
    "new-and-old": "NEW_AND_OLD_IMAGES",
    "new": "NEW_IMAGE",
    "old": "OLD_IMAGE",
    "keys": "KEYS_ONLY",
}
_READY_S = 120.0
_POLL_S = 0.1


class Tables:
    """Kind `table`."""

    def read(self, entry: Entry, folder: Path) -> Resource:
        """name, hash, range, index, stream, ttl."""
        del folder
        name = entry.required("name", form=_NAME, must="3 to 255 letters, digits, _ . -")
        hash_ = entry.required("hash", form=_KEY, must='"name" or "name:S", N or B')
        stream = entry.text("stream", default="")
        if stream and stream not in _STREAMS:
            entry.problem(f"stream must be one of {', '.join(_STREAMS)}, not {stream!r}")
        indexes = [_read_index(one) for one in entry.entries("index")]
        settings: dict[str, object] = {
            "hash": _typed(hash_),
            "range": _typed(entry.text("range", form=_KEY, must='"name" or "name:S", N or B')),
            "index": sorted(indexes, key=lambda one: str(one["name"])),
            "stream": stream,
            "ttl": entry.text("ttl", form=r"[^\n]{1,255}"),
        }
        return Resource("table", name, settings)

    def look(self, client: Client, wanted: Resource) -> Settings | None:
        """What DynamoDB says of it."""
        try:
            table = _described(client, wanted.name)
        except Refused as error:
            if is_absent(error):
                return None
            raise
        types = {
            document.text(one, "AttributeName"): document.text(one, "AttributeType")
            for one in document.parts(table, "AttributeDefinitions")
        }
        view = document.part(table, "StreamSpecification")
        views = {value: key for key, value in _STREAMS.items()}
        on = view.get("StreamEnabled") is True
        return {
            **_key(table, types),
            "index": _present_indexes(table, types),
            "stream": views.get(document.text(view, "StreamViewType"), "") if on else "",
            "ttl": _present_ttl(client, wanted.name),
        }

    def create(self, client: Client, wanted: Resource) -> None:
        """CreateTable; wait for ACTIVE; the time to live."""
        settings = wanted.settings
        members: dict[str, object] = {
            "TableName": wanted.name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": _attributes(settings),
            "KeySchema": _schema(settings),
        }
        for local, key in ((False, "GlobalSecondaryIndexes"), (True, "LocalSecondaryIndexes")):
            made = [_index_members(one) for one in _indexes(settings) if one["local"] is local]
            members |= {key: made} if made else {}
        if settings["stream"]:
            members["StreamSpecification"] = _stream(settings)
        _dynamodb(client, "CreateTable", members)
        _wait(client, wanted.name)
        if settings["ttl"]:
            _set_ttl(client, wanted.name, str(settings["ttl"]), enabled=True)

    def change(self, client: Client, wanted: Resource, present: Settings) -> None:
        """UpdateTable, one change at a time as DynamoDB has it; the time to live."""
        settings = wanted.settings
        if settings["stream"] != present["stream"]:
            # A stream's view is a new stream's: the old one ends first.
            for one in ("", settings["stream"]) if present["stream"] else (settings["stream"],):
                if one or present["stream"]:
                    specification = _stream({"stream": one})
                    _update(client, wanted.name, {"StreamSpecification": specification})
        self._change_indexes(client, wanted, present)
        if settings["ttl"] != present["ttl"]:
            if present["ttl"]:
                _set_ttl(client, wanted.name, str(present["ttl"]), enabled=False)
            if settings["ttl"]:
                _set_ttl(client, wanted.name, str(settings["ttl"]), enabled=True)

    def _change_indexes(self, client: Client, wanted: Resource, present: Settings) -> None:
        before = {str(one["name"]): one for one in _indexes(present)}
        after = {str(one["name"]): one for one in _indexes(wanted.settings)}
        differing = [name for name in {*before, *after} if before.get(name) != after.get(name)]
        if any(one.get(n, {}).get("local") for n in differing for one in (before, after)):
            raise Failed(
                f'the local indexes of the table "{wanted.name}" are made with it and stay; make '
                "another table, or a global index"
            )
        for name in sorted(differing):
            if name in before:
                gone = {"Delete": {"IndexName": name}}
                _update(client, wanted.name, {"GlobalSecondaryIndexUpdates": [gone]})
            if name in after:
                made = {"Create": _index_members(after[name])}
                members = {
                    "GlobalSecondaryIndexUpdates": [made],
                    "AttributeDefinitions": _attributes(wanted.settings),
                }
                _update(client, wanted.name, members)

    def unchangeable(self) -> frozenset[str]:
        """The table's own key."""
        return frozenset({"hash", "range"})

    def holds_data(self, client: Client, name: str) -> bool:
        """Items."""
        found = _dynamodb(client, "Scan", {"TableName": name, "Limit": 1, "Select": "COUNT"})
        return document.number(found, "Count") > 0

    def remove(self, client: Client, name: str) -> None:
        """DeleteTable; wait until it is gone, for its name may be wanted again."""
        try:
            _dynamodb(client, "DeleteTable", {"TableName": name})
            _wait(client, name, gone=True)
        except Refused as error:
            if not is_absent(error):
                raise


def _read_index(entry: Entry) -> dict[str, object]:
    show = entry.value("show")
    names = isinstance(show, list) and all(isinstance(one, str) for one in show)
    if show not in (None, "all", "keys") and not names:
        entry.problem(f'show must be "all", "keys" or a list of names, not {show!r}')
    read: dict[str, object] = {
        "name": entry.required("name", form=_NAME, must="3 to 255 letters, digits, _ . -"),
        "hash": _typed(entry.required("hash", form=_KEY)),
        "range": _typed(entry.text("range", form=_KEY)),
        "show": sorted(show) if isinstance(show, list) else show or "all",
        "local": entry.flag("local"),
    }
    entry.finish()
    return read


def _typed(written: str) -> str:
    """A key as "name:TYPE"."""
    return written if not written or ":" in written else f"{written}:S"


def _key(table: Mapping[str, object], types: Mapping[str, str]) -> dict[str, str]:
    found = {"hash": "", "range": ""}
    for one in document.parts(table, "KeySchema"):
        name = document.text(one, "AttributeName")
        found[document.text(one, "KeyType").lower()] = f"{name}:{types.get(name, 'S')}"
    return found


def _present_indexes(table: document.Document, types: Mapping[str, str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for local, key in ((False, "GlobalSecondaryIndexes"), (True, "LocalSecondaryIndexes")):
        for one in document.parts(table, key):
            projection = document.part(one, "Projection")
            kind = document.text(projection, "ProjectionType", "ALL")
            listed = sorted(document.texts(projection, "NonKeyAttributes"))
            shown: object = {"ALL": "all", "KEYS_ONLY": "keys"}.get(kind, listed)
            name = document.text(one, "IndexName")
            found.append({"name": name, **_key(one, types), "show": shown, "local": local})
    return sorted(found, key=lambda one: str(one["name"]))


def _indexes(settings: Settings) -> Sequence[Mapping[str, object]]:
    found = settings["index"]
    assert isinstance(found, list)
    return found


def _attributes(settings: Settings) -> list[dict[str, str]]:
    keyed = [settings, *_indexes(settings)]
    written = dict.fromkeys(str(one[key]) for one in keyed for key in ("hash", "range"))
    pairs = [one.rpartition(":") for one in written if one]
    return [{"AttributeName": name, "AttributeType": kind} for name, _, kind in pairs]


def _schema(settings: Settings) -> list[dict[str, str]]:
    return [
        {"AttributeName": str(settings[key]).rpartition(":")[0], "KeyType": key.upper()}
        for key in ("hash", "range")
        if settings[key]
    ]


def _index_members(index: Mapping[str, object]) -> dict[str, object]:
    shown = index["show"]
    projection: dict[str, object] = {"ProjectionType": "INCLUDE", "NonKeyAttributes": shown}
    if isinstance(shown, str):
        projection = {"ProjectionType": "ALL" if shown == "all" else "KEYS_ONLY"}
    return {"IndexName": index["name"], "KeySchema": _schema(index), "Projection": projection}


def _stream(settings: Settings) -> dict[str, object]:
    view = settings["stream"]
    if not view:
        return {"StreamEnabled": False}
    return {"StreamEnabled": True, "StreamViewType": _STREAMS[str(view)]}


def _present_ttl(client: Client, name: str) -> str:
    told = _dynamodb(client, "DescribeTimeToLive", {"TableName": name})
    found = document.part(told, "TimeToLiveDescription")
    on = document.text(found, "TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return document.text(found, "AttributeName") if on else ""


def _set_ttl(client: Client, name: str, attribute: str, *, enabled: bool) -> None:
    specification = {"AttributeName": attribute, "Enabled": enabled}
    members = {"TableName": name, "TimeToLiveSpecification": specification}
    _dynamodb(client, "UpdateTimeToLive", members)


def _update(client: Client, name: str, members: Mapping[str, object]) -> None:
    _dynamodb(client, "UpdateTable", {"TableName": name, **members})
    _wait(client, name)


def _described(client: Client, name: str) -> document.Document:
    return document.part(_dynamodb(client, "DescribeTable", {"TableName": name}), "Table")


def _wait(client: Client, name: str, *, gone: bool = False) -> None:
    """Until the table and its indexes are ACTIVE, or until it is `gone`."""
    until_s = clock.monotonic_s() + _READY_S
    while clock.monotonic_s() < until_s:
        table = _described(client, name)
        parts = [table, *document.parts(table, "GlobalSecondaryIndexes")]
        states = {one.get("TableStatus") or one.get("IndexStatus") for one in parts}
        if states == {"ACTIVE"} and not gone:
            return
        clock.sleep(_POLL_S)
    raise Failed(f'the table "{name}" is still being changed after {_READY_S:.0f} s; try again')


def _dynamodb(client: Client, operation: str, members: Mapping[str, object]) -> document.Document:
    return ask_json(client, "dynamodb", f"DynamoDB_20120810.{operation}", members)
