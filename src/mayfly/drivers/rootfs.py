"""The file tree that isolates see as `/`: an interpreter and exactly what it needs, copied once.

    <data>/runtimes/<name>-<digest>/
      bin, lib, lib64, usr/...     the interpreter, its standard library, the shared libraries
      that these load etc/                         passwd, group, hosts, nsswitch.conf,
      certificates dev proc tmp var/task var/deps  empty, to be mounted on

There is no shell, no package manager and no other executable. The digest covers the interpreter's
file and version, so that an upgrade of the node makes a new tree. A tree appears whole (written
beside, then renamed) or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from mayfly.model.errors import SnapshotFailed, StorageFailed
from mayfly.ports import RuntimeInfo

_FORMAT = 4
_PARTIAL = re.compile(r"\..+-[0-9a-f]{16}\.\d+")
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
_LEFT_OUT = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo"}
    | {"ensurepip", "lib2to3", "pydoc_data", "config-3"}
)
_EXTENSIONS_LEFT_OUT = ("_tkinter", "_test", "_ctypes_test", "nis.", "xxlimited")
# What wheels built for manylinux expect of any machine (PEP 600's list, as far as it matters).
_EXPECTED = (
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libexpat.so.1", "libm.so.6", "libdl.so.2"),
    *("libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
    *("libnss_files.so.2", "libnss_dns.so.2"),
)
_ETC = {
    "passwd": "root:x:0:0:root:/:/nonexistent\nmayfly:x:1000:1000:function:/tmp:/nonexistent\n",
    "group": "root:x:0:\nmayfly:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "resolv.conf": "",
}
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# Where OpenSSL looks as Debian, Fedora and its own makers build it.
_CERTIFICATE_LINKS = ("usr/lib/ssl/cert.pem", "etc/pki/tls/cert.pem", "etc/ssl/cert.pem")
_QUESTION = (
    "import json,os,sys,sysconfig;p=sysconfig.get_paths();"
    "print(json.dumps({'version':sys.version,'executable':os.path.realpath("
    "getattr(sys,'_base_executable',sys.executable)),'stdlib':p['stdlib'],"
    "'platstdlib':p['platstdlib'],'prefix':sys.base_prefix}))"
)


def build(runtime: RuntimeInfo, runtimes: Path) -> Path:
    """Make the tree of `runtime` below the folder `runtimes`, or find it there.

    Blocking: a second or so when the tree is new. Returns its path.

    Raises:
        SnapshotFailed: The interpreter or the loader does not run, or not in time.
        StorageFailed: The disk refused.
    """
    facts = _ask(runtime.executable)
    executable = Path(facts["executable"])
    status = executable.stat()
    key = f"{_FORMAT} {facts['version']} {executable} {status.st_size} {status.st_mtime_ns}"
    target = runtimes / f"{runtime.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if target.is_dir():
        return target
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _fill(partial, facts, executable)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except subprocess.SubprocessError as error:
        raise SnapshotFailed(f"the tree of {runtime.name} cannot be made: {error}") from error
    except OSError as error:
        raise StorageFailed(
            site="RUNTIME:BUILD", errno=error.errno or 0, detail=str(error)
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def sweep(runtimes: Path) -> None:
    """At start: delete the half-made trees of a daemon that was killed while it built."""
    for partial in runtimes.glob(".*.*"):
        pid = partial.name.rpartition(".")[2]
        alive = pid != str(os.getpid()) and Path("/proc", pid).exists()
        if _PARTIAL.fullmatch(partial.name) and not alive:
            shutil.rmtree(partial, ignore_errors=True)


def _ask(executable: Path) -> dict[str, str]:
    try:
        answer = subprocess.run(  # noqa: S603 - an interpreter that the node's owner named
            [executable, "-I", "-S", "-c", _QUESTION],
            capture_output=True,
            check=True,
            timeout=20,
        )
        facts: dict[str, str] = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SnapshotFailed(f"the interpreter {executable} does not run: {error}") from error
    return facts


def _fill(tree: Path, facts: dict[str, str], executable: Path) -> None:
    for name in ("dev", "proc", "tmp", "var/task", "var/deps", "etc/ssl/certs", "usr/lib"):
        (tree / name).mkdir(parents=True)
    for link in ("bin", "lib", "lib64", "sbin"):
        host = Path("/", link)
        if host.is_symlink():
            (tree / "usr" / link).mkdir(exist_ok=True)
            (tree / link).symlink_to(f"usr/{link}")
    _copy(executable, tree)
    (tree / executable.parent.relative_to("/") / "python3").symlink_to(executable.name)
    libraries = {facts["stdlib"], facts["platstdlib"]}
    for folder in libraries:
        _copy_library(Path(folder), tree)
    extensions = [
        path
        for folder in libraries
        for path in Path(folder, "lib-dynload").glob("*.so")
        if not path.name.startswith(_EXTENSIONS_LEFT_OUT)
    ]
    for library in _closure([executable, *extensions]):
        _copy(library, tree)
    _copy_expected(tree)
    _write_etc(tree)
    zones = Path("/usr/share/zoneinfo")
    if zones.is_dir():
        ignore = shutil.ignore_patterns("right", "posix", "tzdata.zi", "leap*")
        shutil.copytree(zones, tree / "usr/share/zoneinfo", symlinks=True, ignore=ignore)


def _copy(path: Path, tree: Path) -> None:
    """Copy a file to where its real folder lies in the tree, under the name that was asked."""
    target = tree / path.parent.resolve().relative_to("/") / path.name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _copy_library(folder: Path, tree: Path) -> None:
    target = tree / folder.resolve().relative_to("/")
    if target.exists():
        return

    def left_out(_folder: str, names: list[str]) -> Iterable[str]:
        return [
            name
            for name in names
            if name in _LEFT_OUT
            or name.startswith("config-3")
            or name.endswith(".a")
            or (name.endswith(".so") and name.startswith(_EXTENSIONS_LEFT_OUT))
        ]

    shutil.copytree(folder, target, symlinks=False, ignore=left_out, ignore_dangling_symlinks=True)


def _loader() -> str:
    for path in _LOADERS:
        if Path(path).exists():
            return path
    raise SnapshotFailed(f"no dynamic loader found at {' or '.join(_LOADERS)}")


def _closure(files: Iterable[Path]) -> Iterator[Path]:
    """Every shared library that the loader brings in for `files`, and the loader (ld.so(8))."""
    loader = _loader()
    yield Path(loader)
    for file in files:
        listing = subprocess.run(  # noqa: S603 - the system's own loader
            [loader, "--list", str(file)], capture_output=True, text=True, check=False, timeout=20
        ).stdout
        for line in listing.splitlines():
            _name, arrow, found = line.partition(" => ")
            path = Path(found.split(" (")[0].strip())
            if arrow and path.is_absolute() and path.exists():
                yield path


def _copy_expected(tree: Path) -> None:
    folders = {p.parent for p in tree.glob("usr/lib/**/libc.so.6")}
    folders |= {p.parent for p in tree.glob("lib/**/libc.so.6")}
    for folder in folders:
        host = Path("/") / folder.relative_to(tree)
        for name in _EXPECTED:
            if (host / name).exists():
                _copy(host / name, tree)


def _write_etc(tree: Path) -> None:
    for name, text in _ETC.items():
        (tree / "etc" / name).write_text(text)
    for bundle in _CERTIFICATES:
        if Path(bundle).is_file():
            shutil.copyfile(bundle, tree / "etc/ssl/certs/ca-certificates.crt")
            for link in _CERTIFICATE_LINKS:
                (tree / link).parent.mkdir(parents=True, exist_ok=True)
                (tree / link).symlink_to("/etc/ssl/certs/ca-certificates.crt")
            return
