"""Buckets: versioning and CORS, by S3's API.

What a bucket holds is removed only by `remove`, every version of it; nothing else here touches an
object.
"""

from __future__ import annotations

import base64
import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from mayfly.cli.client import Client, Reply
from mayfly.cli.failure import Refused
from mayfly.cli.system.declared import Entry, Resource
from mayfly.cli.system.kind import Settings, is_absent

_NAME = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_PAGE = 1_000
# The words of system.toml, by S3's elements.
_CORS = {
    "methods": "AllowedMethod",
    "origins": "AllowedOrigin",
    "headers": "AllowedHeader",
    "expose": "ExposeHeader",
}


class Buckets:
    """Kind `bucket`."""

    def read(self, entry: Entry, folder: Path) -> Resource:
        """name, versioning, cors."""
        del folder
        name = entry.required("name", form=_NAME, must="3 to 63 of a-z 0-9 . -")
        versioning = entry.flag("versioning")
        rules = [_read_rule(one) for one in entry.entries("cors")]
        return Resource("bucket", name, {"versioning": versioning, "cors": rules})

    def look(self, client: Client, wanted: Resource) -> Settings | None:
        """What S3 says of it."""
        try:
            versioning = _tree(_ask(client, "GET", wanted.name, "versioning"))
        except Refused as error:
            if is_absent(error):
                return None
            raise
        status = versioning.findtext(f"{_NAMESPACE}Status", "")
        return {"versioning": status == "Enabled", "cors": _present_rules(client, wanted.name)}

    def create(self, client: Client, wanted: Resource) -> None:
        """CreateBucket, then what differs from a new one."""
        _ask(client, "PUT", wanted.name)
        self.change(client, wanted, {"versioning": False, "cors": []})

    def change(self, client: Client, wanted: Resource, present: Settings) -> None:
        """Set what differs."""
        if wanted.settings["versioning"] != present["versioning"]:
            status = "Enabled" if wanted.settings["versioning"] else "Suspended"
            body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
            _ask(client, "PUT", wanted.name, "versioning", body)
        rules = wanted.settings["cors"]
        if rules != present["cors"]:
            assert isinstance(rules, list)
            if rules:
                _ask(client, "PUT", wanted.name, "cors", _cors_document(rules))
            else:
                _ask(client, "DELETE", wanted.name, "cors")

    def unchangeable(self) -> frozenset[str]:
        """Nothing."""
        return frozenset()

    def holds_data(self, client: Client, name: str) -> bool:
        """Objects, versions or delete markers."""
        return next(_versions(client, name, 1), None) is not None

    def remove(self, client: Client, name: str) -> None:
        """Delete every version, then the bucket."""
        try:
            while found := list(_versions(client, name, _PAGE)):
                entries = "".join(_entry(key, version) for key, version in found)
                body = f"<Delete><Quiet>true</Quiet>{entries}</Delete>"
                _ask(client, "POST", name, "delete", body)
            _ask(client, "DELETE", name)
        except Refused as error:
            if not is_absent(error):
                raise


def _entry(key: str, version: str) -> str:
    """One version to delete, as DeleteObjects names it."""
    place = f"<Key>{escape(key)}</Key><VersionId>{escape(version)}</VersionId>"
    return f"<Object>{place}</Object>"


def _read_rule(entry: Entry) -> dict[str, object]:
    rule: dict[str, object] = {key: entry.texts(key) for key in _CORS}
    rule["max_age"] = entry.seconds("max_age", high=86_400, default=0)
    if not rule["methods"] or not rule["origins"]:
        entry.problem('needs origins and methods: origins = ["*"], methods = ["GET"]')
    entry.finish()
    return rule


def _present_rules(client: Client, name: str) -> list[dict[str, object]]:
    try:
        tree = _tree(_ask(client, "GET", name, "cors"))
    except Refused as error:
        if error.code == "NoSuchCORSConfiguration":
            return []
        raise
    return [
        {
            **{
                key: [one.text or "" for one in rule.findall(_NAMESPACE + element)]
                for key, element in _CORS.items()
            },
            "max_age": int(rule.findtext(f"{_NAMESPACE}MaxAgeSeconds", "0")),
        }
        for rule in tree.findall(f"{_NAMESPACE}CORSRule")
    ]


def _cors_document(rules: list[Mapping[str, object]]) -> str:
    parts = []
    for rule in rules:
        lists = {element: rule[key] for key, element in _CORS.items()}
        inner = "".join(
            f"<{element}>{escape(str(one))}</{element}>"
            for element, values in lists.items()
            if isinstance(values, list)
            for one in values
        )
        age = f"<MaxAgeSeconds>{rule['max_age']}</MaxAgeSeconds>" if rule["max_age"] else ""
        parts.append(f"<CORSRule>{inner}{age}</CORSRule>")
    return f"<CORSConfiguration>{''.join(parts)}</CORSConfiguration>"


def _versions(client: Client, name: str, count_max: int) -> Iterator[tuple[str, str]]:
    """The first keys and version ids of a bucket, delete markers too."""
    query = {"versions": "", "max-keys": str(count_max)}
    tree = _tree(client.call("GET", f"/{name}", query=query, service="s3"))
    for element in ("Version", "DeleteMarker"):
        for one in tree.findall(_NAMESPACE + element):
            yield (
                one.findtext(f"{_NAMESPACE}Key", ""),
                one.findtext(f"{_NAMESPACE}VersionId", ""),
            )


def _ask(client: Client, method: str, name: str, what: str = "", body: str = "") -> Reply:
    content = body.encode()
    headers = {}
    if content:
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        headers = {"content-md5": base64.b64encode(digest).decode()}
    query = {what: ""} if what else {}
    return client.call(method, f"/{name}", query=query, headers=headers, body=content, service="s3")


def _tree(reply: Reply) -> ElementTree.Element:
    return ElementTree.fromstring(reply.body)  # noqa: S314  our own platform's answer
