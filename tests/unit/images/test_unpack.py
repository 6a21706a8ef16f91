"""Archives that strangers make: each trick is refused by name, and nothing is written outside."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.images.unpack import Archive, UnpackLimits
from mayfly.model.errors import InvalidArchive
from tests.unit.images.zips import FOLDER, LINK, Member, zip_files, zip_of

SMALL = UnpackLimits(unzipped_bytes_max=100_000, files_max=20, ratio_max=50, ratio_free_bytes=1_000)


def refused(members: list[Member], bounds: UnpackLimits = SMALL) -> str:
    with pytest.raises(InvalidArchive) as error:
        Archive(zip_of([Member("app.py"), *members]), bounds)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.py", "climbs out"),
        ("a/../../evil.py", "climbs out"),
        ("a/..", "climbs out"),
        ("/etc/passwd", "absolute path"),
        ("C:/evil.py", "drive letter"),
        ("a\\evil.py", "backslash"),
        ("..\\evil.py", "backslash"),
        ("evil.py\0.txt", "control character"),
        ("evil\n.py", "control character"),
        ("x" * 256, "more than 255 bytes"),
        ("/".join(["x" * 200] * 3), "more than 512 bytes"),
        ("é" * 130, "more than 255 bytes"),
    ],
)
def test_a_name_that_is_no_path_below_the_top_is_refused(name: str, why: str) -> None:
    assert why in refused([Member(name)])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["app.py"], "twice"),
        (["./app.py"], "twice"),
        (["App.py"], "only in case"),
        (["app.py/inner.py"], "file and also a folder"),
        (["lib/a.py", "LIB/b.py"], "only in case"),
        (["caf\u00e9.py", "cafe\u0301.py"], "accents"),
        (["straße.py", "STRASSE.py"], "only in case"),
    ],
)
def test_members_that_are_in_each_others_way_are_refused(names: list[str], why: str) -> None:
    assert why in refused([Member(name) for name in names])


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../outside", "a/../../outside", "back\\slash", "", "new\nline"],
)
def test_a_link_that_leaves_the_archive_is_refused(target: str) -> None:
    assert "leaves the archive" in refused([Member("a/b.py"), Member("out", target.encode(), LINK)])


def test_a_link_that_leaves_by_way_of_another_link_is_refused() -> None:
    # "deep" is a/b: from there one step up is "a", which a look at the text alone would not see.
    members = [
        Member("a/b/c.py"),
        Member("deep", b"a/b", LINK),
        Member("out", b"deep/../../../outside", LINK),
    ]
    assert "leaves the archive" in refused(members)


def test_links_that_go_in_circles_are_refused() -> None:
    assert "circles" in refused([Member("one", b"two", LINK), Member("two", b"one", LINK)])


def test_a_link_to_nothing_is_refused() -> None:
    assert "link to nothing" in refused([Member("dangling", b"nowhere.py", LINK)])


def test_a_file_behind_a_link_is_refused() -> None:
    members = [Member("a/b.py"), Member("link", b"a", LINK), Member("link/c.py")]
    assert "file and also a folder" in refused(members)


def test_a_link_that_stays_inside_is_made(tmp_path: Path) -> None:
    members = [Member("lib/real.py", b"y = 2\n"), Member("bin/tool.py", b"../lib/real.py", LINK)]
    Archive(zip_of(members)).extract(tmp_path)
    assert (tmp_path / "bin/tool.py").is_symlink()
    assert (tmp_path / "bin/tool.py").read_text() == "y = 2\n"


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_what_is_neither_file_nor_folder_nor_link_is_refused(kind: int) -> None:
    assert "device, pipe or socket" in refused([Member("dev", b"", kind | 0o666)])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_inflates_without_a_bound_is_refused(method: int) -> None:
    assert "not by deflate" in refused([Member("b.py", method=method)])


def test_an_encrypted_member_is_refused() -> None:
    content = bytearray(zip_files({"app.py": "x = 1"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    with pytest.raises(InvalidArchive, match="encrypted"):
        Archive(bytes(content))


def test_a_member_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    content = zip_of([Member("app.py", b"the true content", method=zipfile.ZIP_STORED)])
    changed = content.replace(b"the true", b"the fake")
    with pytest.raises(InvalidArchive, match=r"app\.py.*CRC"):
        Archive(changed).extract(tmp_path)


def test_a_name_that_is_not_utf8_is_refused() -> None:
    content = zip_files({"abc.py": "x = 1"}).replace(b"abc.py", b"ab\xff.py")
    with pytest.raises(InvalidArchive, match="UTF-8"):
        Archive(content)


def test_names_in_utf8_are_kept_whether_or_not_they_are_marked_so(tmp_path: Path) -> None:
    unmarked = zip_files({"caf12.py": "x = 1"}).replace(b"caf12", "café".encode())
    Archive(unmarked).extract(tmp_path)
    assert (tmp_path / "café.py").exists()


def test_an_archive_that_would_unzip_to_too_much_is_refused() -> None:
    large = os.urandom(60_000)
    why = refused([Member("a", large), Member("b", large)])
    assert "must be smaller than 100000 bytes" in why


def test_a_zip_bomb_is_refused_by_its_ratio() -> None:
    assert "zip bomb" in refused([Member("zeros", bytes(99_000))])


def test_an_archive_that_declares_less_than_comes_out_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_files({"zeros": bytes(50_000)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 10)
    with pytest.raises(InvalidArchive):
        Archive(bytes(content)).extract(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10


def test_an_archive_of_too_many_files_is_refused() -> None:
    assert "more than 20 files" in refused([Member(f"f{n}.py") for n in range(20)])


def test_sixty_thousand_files_are_refused_before_they_are_looked_at() -> None:
    content = zip_of(Member(f"{n}.py", b"", method=zipfile.ZIP_STORED) for n in range(60_000))
    with pytest.raises(InvalidArchive, match="more than 50000 files"):
        Archive(content)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100])
def test_what_is_no_zip_says_so(content: bytes) -> None:
    with pytest.raises(InvalidArchive, match="could not unzip uploaded file"):
        Archive(content)


def test_a_truncated_upload_says_so() -> None:
    content = zip_files({"app.py": "x = 1\n" * 1_000})
    with pytest.raises(InvalidArchive, match="could not unzip uploaded file"):
        Archive(content[: len(content) // 2])


def test_an_archive_without_files_is_refused() -> None:
    with pytest.raises(InvalidArchive, match="holds no files"):
        Archive(zip_of([Member("folder/", b"", FOLDER)]))


@pytest.mark.parametrize(
    ("mode", "written"),
    [(0o100755, 0o755), (0o100700, 0o755), (0o100644, 0o644), (0o104777, 0o755), (0o100000, 0o644)],
)
def test_of_a_files_mode_only_whether_it_can_be_run_is_kept(
    tmp_path: Path, mode: int, written: int
) -> None:
    Archive(zip_of([Member("tool", mode=mode)])).extract(tmp_path)
    assert stat.S_IMODE((tmp_path / "tool").stat().st_mode) == written


def test_a_tree_can_be_read_by_all_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Archive(zip_files({"deep/er/app.py": "x = 1"})).extract(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"deep": 0o755, "er": 0o755, "app.py": 0o644}


def test_a_member_of_another_system_has_no_unix_mode(tmp_path: Path) -> None:
    Archive(zip_of([Member("app.py", mode=LINK, system=0)])).extract(tmp_path)
    assert not (tmp_path / "app.py").is_symlink()


def test_one_small_file_is_read_without_unpacking() -> None:
    archive = Archive(zip_files({"mayfly.toml": "[function]", "big.bin": bytes(5_000)}))
    assert archive.read("mayfly.toml", bytes_max=64) == b"[function]"
    with pytest.raises(KeyError):
        archive.read("other.toml", bytes_max=64)
    with pytest.raises(InvalidArchive, match="over 64 bytes"):
        archive.read("big.bin", bytes_max=64)


_PARTS = st.sampled_from(["a", "b", "A", "..", ".", "", "c.py", "\\", "C:", "é", "x" * 300, "\0"])
_NAMES = st.builds("/".join, st.lists(_PARTS, min_size=1, max_size=4))
_MEMBERS = st.builds(
    Member,
    name=_NAMES,
    content=st.one_of(st.binary(max_size=20), _NAMES.map(str.encode)),
    mode=st.sampled_from([0o100644, 0o100755, LINK, LINK, FOLDER, 0o10644, 0]),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)


def extract_or_refuse(content: bytes, top: Path) -> None:
    """Either the tree is inside, links and all, or the archive is refused; nothing else."""
    into = top / "tree"
    into.mkdir()
    try:
        Archive(content, SMALL).extract(into)
    except InvalidArchive:
        pass
    else:
        for path in into.rglob("*"):
            assert path.resolve().is_relative_to(into.resolve())
    assert list(top.iterdir()) == [into]


@given(members=st.lists(_MEMBERS, min_size=1, max_size=6))
def test_no_choice_of_names_and_links_gets_out(
    tmp_path_factory: pytest.TempPathFactory, members: list[Member]
) -> None:
    extract_or_refuse(zip_of(members), tmp_path_factory.mktemp("t"))


_GOOD = zip_of(
    [
        Member("app.py", b"x = 1\n" * 50),
        Member("lib/b.py"),
        Member("link", b"lib/b.py", LINK),
        Member("é.txt", method=zipfile.ZIP_STORED),
    ]
)


@given(
    changes=st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, len(_GOOD)),
    tail=st.binary(max_size=10),
)
def test_no_damage_does_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, int]],
    cut: int,
    tail: bytes,
) -> None:
    content = bytearray(_GOOD)
    for at, value in changes:
        content[at] = value
    kept = bytes(content) if cut % 3 else bytes(content[:cut])
    extract_or_refuse(kept + tail, tmp_path_factory.mktemp("t"))


def test_a_zip64_archive_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w") as archive,
        archive.open("app.py", "w", force_zip64=True) as f,
    ):
        f.write(b"x = 1\n")
    Archive(buffer.getvalue()).extract(tmp_path)
    assert (tmp_path / "app.py").read_bytes() == b"x = 1\n"
