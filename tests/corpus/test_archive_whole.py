"""Backups that lack a piece, or have one too many, where neither a mark nor a checksum is hurt."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import backup_digest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import archive_check

from corpus.lab import FORMS, Dump, Lab

SQL = """
CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one VALUES (1, 'a'), (2, 'b');
CREATE TABLE two (id int, w text); INSERT INTO two VALUES (1, 'c'); CREATE TABLE empty_one ();
CREATE INDEX of_two ON two (w);
SELECT lo_from_bytea(5001, 'one'), lo_from_bytea(5002, 'two'), lo_create(5003);
"""


@pytest.fixture(scope="module")
def dumps(old: Lab) -> Iterator[dict[str, Path]]:
    """One database in every format."""
    old.create("whole", SQL)
    yield {name: old.dump("whole", form) for name, form in FORMS.items()}


def _spoilt(dumps: dict[str, Path], form: str, spoil: Callable[[Path], object]) -> Path:
    path = dumps[form].with_name(f"spoilt {form}")
    if path.is_dir():
        shutil.rmtree(path)
    (shutil.copytree if form == "directory" else shutil.copy)(dumps[form], path)
    spoil(path)
    return path


def _append(more: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes() + more)


def _without(pattern: str, by: str = "") -> Callable[[Path], object]:
    """Remove a text from a plain dump, which must be there."""

    def spoil(path: Path) -> None:
        text, count = re.subn(pattern, by, path.read_text(), flags=re.DOTALL)
        assert count == 1
        path.write_text(text)

    return spoil


def _tar(
    change: Callable[[list[tarfile.TarInfo]], list[tarfile.TarInfo]],
) -> Callable[[Path], None]:
    """Write a tar archive anew with other members, or in another order."""

    def spoil(path: Path) -> None:
        made = io.BytesIO()
        form = tarfile.USTAR_FORMAT
        with tarfile.open(path) as held, tarfile.open(fileobj=made, mode="w", format=form) as new:
            for member in change(held.getmembers()):
                new.addfile(member, held.extractfile(member))
        path.write_bytes(made.getvalue())

    return spoil


def _rows_of(members: list[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    return [one for one in members if re.fullmatch(r"\d+\.dat", one.name)]


def _in_head(path: Path) -> None:
    """Change the name in the head of a table's rows, so that the sum of the head is another."""
    content = path.read_bytes()
    with tarfile.open(path) as held:
        at = _rows_of(held.getmembers())[0].offset
    path.write_bytes(content[:at] + b"9" + content[at + 1 :])


def _row_end(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"\\.\n")
    path.write_bytes(content[:at] + b"--" + content[at + 2 :])


def _first_line_gone(path: Path) -> None:
    (listed,) = path.glob("blobs*.toc")
    listed.write_text("".join(listed.read_text().splitlines(keepends=True)[1:]))


def _contents_twice(path: Path) -> None:
    _append((path / "toc.dat").read_bytes())(path / "toc.dat")


# The form, what is done to it, and what the error names.
SPOILT: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a tar behind a tar": (
        *("tar", lambda path: _append(path.read_bytes())(path)),
        "is no part of it",
    ),
    "bytes behind a tar": ("tar", _append(b"x"), "is no part of it"),
    "a tar without its end": (
        *("tar", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        "its end mark is missing",
    ),
    "a large object's file is missing in a tar": (
        *("tar", _tar(lambda held: [one for one in held if one.name != "blob_5002.dat"])),
        "the content of 2 of 3 large objects",
    ),
    "the list of large objects is missing in a tar": (
        *("tar", _tar(lambda held: [one for one in held if not one.name.startswith("blobs")])),
        "it lacks the data of 1 entry: .BLOBS",
    ),
    "the rows of a table are missing in a tar": (
        *("tar", _tar(lambda held: [one for one in held if one != _rows_of(held)[0]])),
        "it lacks the data of 1 entry: public.empty_one",
    ),
    "rows stand in another order in a tar": (
        *("tar", _tar(lambda held: sorted(held, key=lambda one: one.name, reverse=True))),
        "does not stand where pg_restore reads it",
    ),
    "rows stand twice in a tar": (
        *("tar", _tar(lambda held: [*held, _rows_of(held)[-1]])),
        "does not stand where pg_restore reads it",
    ),
    "the head of a member of a tar": ("tar", _in_head, "its head makes no sense"),
    "the end of a table's rows in a tar": ("tar", _row_end, "do not end as they should"),
    "a large object is missing in the list": (
        *("directory", _first_line_gone),
        "the content of 2 of 3 large objects",
    ),
    "contents behind the contents": ("directory", _contents_twice, "is no part of it"),
    "a COPY is missing, with its rows": (
        *("plain", _without(r"COPY public\.two .*?\n\\\.\n")),
        "it lacks the rows of 1 table: public.two",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_it_is_damaged(old: Lab, dumps: dict[str, Path], case: str) -> None:
    form, spoil, named = SPOILT[case]
    with pytest.raises(BackupError, match=named):
        old.prepare(_spoilt(dumps, form, spoil))


@pytest.mark.parametrize("form", FORMS)
def test_the_whole_one_is_not(old: Lab, dumps: dict[str, Path], form: str) -> None:
    assert _findings(old.prepare(dumps[form])) == []


def test_zeros_behind_a_tar_are_its_padding(old: Lab, dumps: dict[str, Path]) -> None:
    assert _findings(old.prepare(_spoilt(dumps, "tar", _append(bytes(9000))))) == []


def test_inserts_in_a_tar_are_counted(old: Lab) -> None:
    archive = old.prepare(old.dump("whole", "-Ft", "--inserts"))
    rows = archive.ready.rows
    assert (rows["public", "one"], rows["public", "two"]) == (2, 1)


def test_inserts_of_an_empty_table_are_none(old: Lab, dumps: dict[str, Path]) -> None:
    assert _findings(old.prepare(old.dump("whole", "-Fp", "--inserts"))) == []


@pytest.mark.parametrize(
    ("lost", "kind", "name"),
    [
        (r"CREATE INDEX of_two [^;]*;\n", "indexes", ("public", "of_two")),
        (
            r"ALTER TABLE ONLY public\.one\s+ADD [^;]*;\n",
            "exclusions",
            ("public", "one", "one_pkey"),
        ),
        (r"CREATE TABLE public\.empty_one [^;]*;\n", "tables", ("public", "empty_one")),
    ],
)
def test_a_comment_without_its_statement_is_expected(
    old: Lab, dumps: dict[str, Path], lost: str, kind: str, name: tuple[str, ...]
) -> None:
    """So the check of its kind misses it; a comment that only looks so is none."""
    ghost = "-- Name: ghost; Type: TABLE; Schema: public; Owner: x\n"
    dump = old.prepare(_spoilt(dumps, "plain", _without(lost, ghost)))
    assert name in getattr(dump.expected, kind)
    assert ("public", "ghost") not in dump.expected.tables


def test_large_objects_without_content_are_a_part(old: Lab) -> None:
    old.create("only large", "SELECT lo_from_bytea(5001, 'one')")
    for form in ("-Fc", "-Fp"):
        dump = old.prepare(old.dump("only large", form, "--section=pre-data"))
        assert _findings(dump) == ["the dump leaves out the content of its large objects"]
    old.drop("only large")


def _findings(dump: Dump) -> list[str]:
    digest = backup_digest.Digest("", "")
    return [
        str(one.text)
        for one in archive_check.evidence(dump.ready, digest, dump.expected, [], "f").findings
    ]
