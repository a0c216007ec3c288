# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a PostgreSQL archive's own table of contents without `pg_restore`.

`pg_restore --list` prints names separated by spaces, which a name with a space makes ambiguous, and
succeeds on a truncated file. The archive itself holds every field apart. Its layout is that of
PostgreSQL's `pg_backup_archiver.c` (ReadHead, ReadToc), archive versions 1.12 (PostgreSQL 9.0) to
1.16 (PostgreSQL 17 and 18).
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from ..common.errors import BackupError, ResilienceError
from ..common.messages import _
from . import sql_encoding
from .archive_entry import Entries, Entry, EntryMaker

MAGIC = b"PGDMP"
OLDEST, NEWEST = (1, 12), (1, 16)
# First PostgreSQL whose pg_restore reads an archive version (K_VERS_* in pg_backup_archiver.h).
CLIENT_FOR = {(1, 12): 9, (1, 13): 10, (1, 14): 12, (1, 15): 16, (1, 16): 17}
FORMATS = {1: "custom", 3: "tar", 5: "directory"}
COMPRESSIONS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
# Kinds that are known by their arguments, too.
WITH_ARGUMENTS = (
    *("FUNCTION", "PROCEDURE", "AGGREGATE", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY"),
)


@dataclasses.dataclass(frozen=True)
class Toc:
    """An archive's head and table of contents.

    Attributes:
        version: of the archive layout.
        format: `custom`, `tar` or `directory`.
        compression: of the data: `none`, `gzip`, `lz4` or `zstd`.
        database: the database that was dumped.
        server_version, dump_version: of the server, and of pg_dump, as they named themselves.
        entries: in the archive's order.
        data_offset: where the data begins in a custom archive, bytes.
        int_size: bytes in the archive's integers.
        row_security: whether it was dumped with row-level security on; only a plain dump
            contains that.
        encoding: of a plain dump's text, as PostgreSQL names it; other archives have an entry.
    """

    version: tuple[int, int]
    format: str
    compression: str
    database: str
    server_version: str
    dump_version: str
    entries: Sequence[Entry]
    data_offset: int
    int_size: int
    row_security: bool = False
    encoding: str = ""


# After so many bytes the pages that were read are given back.
WINDOW = 16 << 20
_ENCODING = re.compile(r"client_encoding = '([^']+)'")


def damaged(what: str, path: str) -> BackupError:
    """Return the error for an archive that contradicts its own layout."""
    return BackupError(
        _("the archive is damaged or cut off: %(what)s", what=what),
        option="backup",
        value=path,
        remedy=_("take another backup: this one cannot be restored completely"),
    )


class Reader:
    """The archive's integers and strings, never past the end."""

    def __init__(self, data: bytes | mmap.mmap, path: str) -> None:
        self.data, self.path, self.at = data, path, 0
        self.int_size = 4

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if count < 0 or len(piece) != count:
            raise damaged(
                _("it ends within an entry, at byte %(at)d", at=len(self.data)), self.path
            )
        self.at += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        content = self.data[self.at : self.at + 1 + self.int_size]
        if not content or content[0] > 1:
            self.byte()
            raise damaged(_("no integer at byte %(at)d", at=self.at - 1), self.path)
        if len(content) <= self.int_size:
            self.take(1 + self.int_size)
        self.at += len(content)
        value = int.from_bytes(content[1:], "little")
        return -value if content[0] else value

    def raw(self) -> bytes | None:
        length = self.integer()
        return None if length < 0 else self.take(length)

    def text(self) -> str | None:
        value = self.raw()
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def give_back(self, since: int) -> int:
        """Give back the pages that were read, if they are many; return from where on some are held.

        Args:
            since: from where on pages are held.
        """
        if self.at - since <= WINDOW:
            return since
        give_back(self.data, since, self.at)
        return self.at


def major(version: str) -> int:
    """Return the major version of a server or program, from its text; 0 where none is in it."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def read(path: str) -> Toc:
    """Return the table of contents of a custom archive, or of a directory archive's `toc.dat`.

    Args:
        path: the file.

    Raises:
        ResilienceError: it is damaged, or of a version that this does not know.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file, mapped(file, path) as data:
        return _read_toc(Reader(data, path))


def mapped(file: BinaryIO, path: str) -> mmap.mmap:
    if os.fstat(file.fileno()).st_size == 0:
        raise damaged(_("it is empty"), path)
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def give_back(data: bytes | mmap.mmap, start: int, end: int) -> None:
    """Release pages that were read, so that a large archive does not fill the memory."""
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    length = end // mmap.PAGESIZE * mmap.PAGESIZE - first
    if isinstance(data, mmap.mmap) and length > 0:
        data.madvise(mmap.MADV_DONTNEED, first, length)


def _read_toc(reader: Reader) -> Toc:
    if reader.take(5) != MAGIC:
        raise damaged(_("it does not begin as a PostgreSQL archive"), reader.path)
    version = (reader.byte(), reader.byte())
    reader.byte()  # revision
    if not OLDEST <= version <= NEWEST:
        newer = version > NEWEST
        raise ResilienceError(
            _(
                "the archive has version %(version)s; known are %(oldest)s to %(newest)s",
                version=f"{version[0]}.{version[1]}",
                oldest=f"{OLDEST[0]}.{OLDEST[1]}",
                newest=f"{NEWEST[0]}.{NEWEST[1]}",
            ),
            option="backup",
            value=reader.path,
            remedy=_("it needs a newer client than this project knows")
            if newer
            else _("restore it with the PostgreSQL that made it, and dump it again"),
        )
    reader.int_size = reader.byte()
    offset_size, format_number = reader.byte(), reader.byte()
    if reader.int_size not in (4, 8) or offset_size not in (4, 8) or format_number not in FORMATS:
        raise damaged(_("its head makes no sense"), reader.path)
    compression = _compression(reader, version)
    for _field in range(7):  # the time of the dump, a C `struct tm`
        reader.integer()
    database, server_version, dump_version = (reader.text() or "" for _field in range(3))
    count = reader.integer()
    if count < 0:
        raise damaged(_("its header names %(count)d entries", count=count), reader.path)
    archive_format = FORMATS[format_number]
    maker, entries, seen = EntryMaker(), Entries(), reader.at
    for _number in range(count):
        _add(entries, _entry(reader, version, archive_format, offset_size, maker), reader)
        seen = reader.give_back(seen)
    encoding = _encoding(entries)
    if encoding not in ("UTF8", "SQL_ASCII"):
        entries = Entries(_decoded(entry, encoding, maker) for entry in entries)
    return Toc(
        version,
        archive_format,
        compression,
        database,
        server_version,
        dump_version,
        entries,
        reader.at,
        reader.int_size,
    )


def _add(entries: Entries, entry: Entry, reader: Reader) -> None:
    try:
        entries.append(entry)
    except OverflowError as error:
        text = _("an entry before byte %(at)d has no number or kind", at=reader.at)
        raise damaged(text, reader.path) from error


def same_again(reader: Reader, toc: Toc) -> bool:
    """Return whether another table of contents that begins where the reader stands is the same.

    `pg_dump -Fc > file` of PostgreSQL 16 leaves one behind the data: it opens its standard output
    for appending, and when it then goes back to enter where the data lies, what it writes lands at
    the end (`SetOutput` and `_CloseArchive` in its sources). What stands at the beginning is whole.

    Args:
        reader: behind the last block of data; afterwards behind that table of contents.
        toc: the archive's.

    Raises:
        ResilienceError: none is there, or it is cut off.
    """
    count = reader.integer()
    if count != len(toc.entries):
        raise damaged(_("no data block begins at byte %(at)d", at=reader.at), reader.path)
    encoding, maker = _encoding(toc.entries), EntryMaker()
    # pg_dump writes offsets of eight bytes on every system of today.
    return all(
        _decoded(_entry(reader, toc.version, toc.format, 8, maker), encoding, maker) == entry
        for entry in toc.entries
    )


def _encoding(entries: Iterable[Entry]) -> str:
    """Return the archive's own encoding, which one of its entries names."""
    named = (_ENCODING.search(entry.definition) for entry in entries if entry.kind == "ENCODING")
    return next((found[1] for found in named if found), "UTF8")


def _decoded(entry: Entry, encoding: str, maker: EntryMaker) -> Entry:
    """Return an entry with its texts in the archive's encoding.

    They were read as UTF-8; other bytes are half surrogate pairs.
    """
    if encoding in ("UTF8", "SQL_ASCII"):
        return entry

    def decode(text: str) -> str:
        content = text.encode("utf-8", "surrogateescape")
        return text if text.isascii() else sql_encoding.decoded(content, encoding)

    return maker.make(
        entry.dump_id,
        entry.kind,
        decode(entry.name),
        decode(entry.schema),
        decode(entry.owner),
        decode(entry.definition),
        entry.copy_statement and decode(entry.copy_statement),
        entry.has_data,
        entry.filename,
        entry.needs,
        entry.oid,
        decode(entry.removal),
    )


def _compression(reader: Reader, version: tuple[int, int]) -> str:
    if version < (1, 15):
        return "gzip" if reader.integer() else "none"
    number = reader.byte()
    if number not in COMPRESSIONS:
        raise damaged(_("it names compression %(number)d", number=number), reader.path)
    return COMPRESSIONS[number]


def _entry(
    reader: Reader,
    version: tuple[int, int],
    archive_format: str,
    offset_size: int,
    maker: EntryMaker,
) -> Entry:
    dump_id = reader.integer()
    has_data = bool(reader.integer())
    reader.raw()  # oid of the catalogue
    oid = reader.raw() or b""
    name, kind = reader.text(), reader.text()
    reader.integer()  # section
    definition = reader.text()
    removal = reader.text() if kind in WITH_ARGUMENTS else reader.raw() and ""
    copy_statement = reader.text()
    schema = reader.text()
    reader.raw()  # tablespace
    if version >= (1, 14):
        reader.raw()  # table access method
    if version >= (1, 16):
        reader.integer()  # kind of relation
    owner = reader.text()
    reader.raw()  # WITH OIDS, long gone
    needs = []
    while (number := reader.raw()) is not None:
        if number.isdigit():
            needs.append(number)
    filename = None
    if archive_format == "custom":
        reader.take(1 + offset_size)  # where its data lies, if pg_dump could seek
    else:
        filename = reader.text() or None
    if dump_id <= 0 or not kind:
        raise damaged(
            _("an entry before byte %(at)d has no number or kind", at=reader.at), reader.path
        )
    return maker.make(
        dump_id,
        kind,
        name or "",
        schema or "",
        owner or "",
        definition or "",
        copy_statement or None,
        has_data,
        filename,
        b" ".join(needs),
        int(oid) if oid.isdigit() else 0,
        removal or "",
    )
