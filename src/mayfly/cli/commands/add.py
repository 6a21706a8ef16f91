"""`mayfly add`: copies a ready function's folder out, to be deployed as it is or changed.

It says which grants the function's manifest asks for, before anything is deployed. It never
overwrites a file and needs no platform: a ready function is a folder like any other.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import click

from mayfly.cli.failure import USAGE, Failed
from mayfly.cli.ready import prebuilt_folder

_LITTER = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache")


@click.command()
@click.argument("name", required=False)
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
def command(name: str | None, folder: Path | None) -> None:
    """Copy the ready function NAME into DIR (by default ./NAME).

    Without a name, list the ready functions.
    """
    ready = {path.name: path for path in sorted(prebuilt_folder().iterdir()) if _is_function(path)}
    if name is None:
        for one, path in ready.items():
            print(f"{one:20} {_summary(path)}")
        return
    if name not in ready:
        raise Failed(
            f'there is no ready function "{name}"; there are: {", ".join(ready)}', exit_code=USAGE
        )
    target = folder or Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Failed(f"{target} is there already and not empty; name another folder")
    try:
        shutil.copytree(ready[name], target, ignore=_LITTER, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise Failed(f"{target} cannot be written: {error}") from error
    print(f"copied {name} to {target}; {target / 'README.md'} says how it is called")
    for line in _grants(target / "mayfly.toml"):
        print(f"  asks for:  {line}")
    print(f"  next:  mayfly deploy {target}")


def _is_function(path: Path) -> bool:
    return (path / "mayfly.toml").is_file()


def _summary(path: Path) -> str:
    """The first line of the README below its title."""
    try:
        lines = (path / "README.md").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line and not line.startswith("#")), "")


def _grants(manifest: Path) -> list[str]:
    """What the function's manifest asks for, one kind a line; a person should know before."""
    asked = tomllib.loads(manifest.read_text(encoding="utf-8")).get("grants", {})
    return [f"{kind} = {', '.join(map(str, entries))}" for kind, entries in asked.items()]
