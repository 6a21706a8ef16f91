"""Functions, each a folder with its mayfly.toml, and the secrets that must be there.

What a deploy would change is the platform's to say: it is asked with `dry_run`, so that the plan
and the deploy can never judge a manifest differently.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from mayfly.cli import document
from mayfly.cli.client import Client, segment
from mayfly.cli.deploying import send_archive
from mayfly.cli.failure import Failed, Refused
from mayfly.cli.packing import pack
from mayfly.cli.ready import prebuilt_folder
from mayfly.cli.system.declared import MANIFEST, Entry, Resource
from mayfly.cli.system.kind import Settings, is_absent

_FOLDER, _MANIFEST = "folder", "manifest"


class Functions:
    """Kind `function`. Its settings are those that a deploy would change, before and after."""

    def read(self, entry: Entry, folder: Path) -> Resource:
        """The keys path, or ready for a ready function; manifest, in the place of its own."""
        path, ready = entry.text("path"), entry.text("ready", form=r"[a-z0-9-]{1,64}")
        if bool(path) is bool(ready):
            entry.problem('needs one of path = "folder" and ready = "image-convert"')
        place = (prebuilt_folder() / ready if ready else folder / path).resolve()
        own = entry.text("manifest")
        manifest = (folder / own).resolve() if own else place / MANIFEST
        name = place.name
        try:
            name = str(tomllib.loads(manifest.read_text(encoding="utf-8"))["function"]["name"])
        except OSError as error:
            entry.problem(f"{manifest} cannot be read: {error.strerror}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            entry.problem(f"{manifest} names no function: {error}")
        return Resource("function", name, {_FOLDER: place, _MANIFEST: manifest})

    def look(self, client: Client, wanted: Resource) -> Settings | None:
        """What a deploy would change, as it is now; None: the function would be new."""
        told = compared(client, wanted)
        if told.get("create") is True:
            return None
        found: dict[str, object] = dict(wanted.settings)
        for one in document.parts(told, "changes"):
            found[document.text(one, "what")] = one.get("old")
        return found

    def create(self, client: Client, wanted: Resource) -> None:
        """Deploy the folder."""
        last = send_archive(client, _packed(wanted), quiet=True)
        if not document.part(last, "function"):
            raise Failed(f'the deployment of "{wanted.name}" broke off; `mayfly ls` shows it')

    def change(self, client: Client, wanted: Resource, present: Settings) -> None:
        """Deploy the folder."""
        del present
        self.create(client, wanted)

    def unchangeable(self) -> frozenset[str]:
        """Nothing."""
        return frozenset()

    def holds_data(self, client: Client, name: str) -> bool:
        """Nothing: code and settings are in the folder."""
        del client, name
        return False

    def remove(self, client: Client, name: str) -> None:
        """Remove it with its triggers."""
        try:
            client.call("DELETE", f"/_mayfly/v1/functions/{segment(name)}")
        except Refused as error:
            if not is_absent(error):
                raise


def compared(client: Client, wanted: Resource) -> document.Document:
    """What the platform says that a deploy would change. Raises Failed for a wrong manifest."""
    last: document.Document = {}
    lines = client.stream("PUT", "/_mayfly/v1/deploy", query={"dry_run": "1"}, body=_packed(wanted))
    for line in lines:
        last = line
    return last


def _packed(wanted: Resource) -> bytes:
    folder, manifest = wanted.settings[_FOLDER], wanted.settings[_MANIFEST]
    assert isinstance(folder, Path)
    assert isinstance(manifest, Path)
    return pack(folder, manifest)


def read_secret(entry: Entry, folder: Path) -> Resource:
    """The name of a secret that must be there: it is never written into a file."""
    del folder
    return Resource("secret", entry.required("name", form=r"[A-Za-z0-9_-]{1,64}"))


def missing_secrets(client: Client, wanted: Mapping[str, Resource]) -> list[str]:
    """Those that are not there."""
    if not wanted:
        return []
    listed = client.call("GET", "/_mayfly/v1/secrets").document()
    there = {document.text(one, "name") for one in document.parts(listed, "secrets")}
    return [name for name in wanted if name not in there]
