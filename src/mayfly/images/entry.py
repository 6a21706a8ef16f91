"""Whether the file that a handler names is in the folder, told before anything runs. Pure.

Only the file is looked for: what is in it is known when it is imported, inside the seal.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from mayfly.model.errors import InvalidManifest

# What a module may be: source, a package, bytecode alone, an extension (its tag may be longer).
_SUFFIXES = (".py", "/__init__.py", ".pyc", ".so")
_COMPARED_MAX = 500
_SHOWN_MAX = 8


def check_entry(
    handler: str,
    runtime: str,
    files: Collection[str],
    *,
    place: str,
    may_be_installed: bool,
) -> None:
    """Look for the handler's file.

    Args:
        handler: "file.function"; the file may lie in folders, written with "/" or ".".
        files: Paths in the folder.
        place: File and line of the handler, for the message.
        may_be_installed: There are requirements, and the module may be one of theirs.

    Raises:
        InvalidManifest: It is not there; the message has the nearest that is.
    """
    if runtime.startswith("provided"):
        if "bootstrap" not in files:
            raise InvalidManifest(
                f'{place}: runtime "{runtime}" starts a file "bootstrap" at the top of the folder, '
                "and there is none"
            )
        return
    if not runtime.startswith("python"):
        return
    module, _, function = handler.rpartition(".")
    path = module.replace(".", "/")
    if _is_there(path, files) or may_be_installed:
        return
    sources = sorted((file for file in files if file.endswith(".py")), key=_depth)
    modules = {_module(file): file for file in sources[:_COMPARED_MAX]}
    near = get_close_matches(path, modules, n=1)
    if near:
        hint = f'did you mean "{near[0].replace("/", ".")}.{function}" ({modules[near[0]]})?'
    else:
        shown = ", ".join(sorted(files)[:_SHOWN_MAX])
        shown += ", ..." if len(files) > _SHOWN_MAX else ""
        hint = f"the folder has {shown}"
    raise InvalidManifest(f'{place}: handler "{handler}" needs a file {path}.py; {hint}')


def _is_there(path: str, files: Collection[str]) -> bool:
    if any(f"{path}{suffix}" in files for suffix in _SUFFIXES):
        return True
    extension = f"{path}."
    return any(file.startswith(extension) and file.endswith(".so") for file in files)


def _depth(file: str) -> tuple[int, str]:
    return file.count("/"), file


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__")
