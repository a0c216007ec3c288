# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a PostgreSQL archive's own table of contents, and decodes its data, without `pg_restore`.

`pg_restore --list` prints names separated by spaces, which a name with a space makes ambiguous, and
succeeds on a truncated file. The archive itself holds every field apart. Its layout is that of
PostgreSQL's `pg_backup_archiver.c` (ReadHead, ReadToc) and `pg_backup_custom.c` (data blocks),
archive versions 1.12 (PostgreSQL 9.0) to 1.16 (PostgreSQL 17 and 18).
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from .errors import BackupError, ResilienceError

MAGIC = b"PGDMP"
OLDEST, NEWEST = (1, 12), (1, 16)
# First PostgreSQL whose pg_restore reads an archive version (K_VERS_* in pg_backup_archiver.h).
CLIENT_FOR = {(1, 12): 9, (1, 13): 10, (1, 14): 12, (1, 15): 16, (1, 16): 17}
FORMATS = {1: "custom", 3: "tar", 5: "directory"}
COMPRESSIONS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
BLOCK_DATA, BLOCK_LARGE_OBJECTS = 1, 3
# How pg_dump ends the rows of a table (dumpTableData_copy in pg_dump.c).
END_OF_ROWS = b"\\.\n\n\n"
PIECE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of a table of contents.

    Attributes:
        dump_id: its number within the archive.
        kind: what it is, as PostgreSQL names it: `TABLE`, `FK CONSTRAINT`, `TABLE DATA`…
        name: its name; for what belongs to a table, the table's name, a space, its own.
        schema: empty for what lies in none.
        owner: the role that owns it.
        definition: the SQL that makes it.
        copy_statement: the COPY command before a table's rows; None where there is none.
        has_data: whether data belongs to it in the archive.
        filename: of its data in a directory or tar archive.
    """

    dump_id: int
    kind: str
    name: str
    schema: str
    owner: str
    definition: str
    copy_statement: str | None
    has_data: bool
    filename: str | None = None


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
    """

    version: tuple[int, int]
    format: str
    compression: str
    database: str
    server_version: str
    dump_version: str
    entries: list[Entry]
    data_offset: int
    int_size: int


def damaged(what: str, path: str) -> BackupError:
    """The error for an archive that contradicts its own layout."""
    return BackupError(
        f"the archive is damaged or cut off: {what}",
        option="backup",
        value=path,
        remedy="take another backup: this one cannot be restored whole",
    )


class _Reader:
    """The archive's integers and strings, never past the end."""

    def __init__(self, data: bytes | mmap.mmap, path: str) -> None:
        self.data, self.path, self.at = data, path, 0
        self.int_size = 4

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if count < 0 or len(piece) != count:
            raise damaged(f"it ends within an entry, at byte {len(self.data)}", self.path)
        self.at += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        negative = self.byte()
        if negative > 1:
            raise damaged(f"no integer at byte {self.at - 1}", self.path)
        value = int.from_bytes(self.take(self.int_size), "little")
        return -value if negative else value

    def raw(self) -> bytes | None:
        length = self.integer()
        return None if length < 0 else self.take(length)

    def text(self) -> str | None:
        value = self.raw()
        return None if value is None else value.decode("utf-8", "surrogateescape")


def read(path: str) -> Toc:
    """The table of contents of a custom archive, or of a directory archive's `toc.dat`.

    Args:
        path: the file.

    Raises:
        ResilienceError: it is damaged, or of a version that this does not know.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file, _mapped(file, path) as data:
        return _read(_Reader(data, path))


def _mapped(file: BinaryIO, path: str) -> mmap.mmap:
    if os.fstat(file.fileno()).st_size == 0:
        raise damaged("it is empty", path)
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _read(reader: _Reader) -> Toc:
    if reader.take(5) != MAGIC:
        raise damaged("it does not begin as a PostgreSQL archive", reader.path)
    version = (reader.byte(), reader.byte())
    reader.byte()  # revision
    if not OLDEST <= version <= NEWEST:
        newer = version > NEWEST
        raise ResilienceError(
            f"the archive has version {version[0]}.{version[1]}; known are"
            f" {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}",
            option="backup",
            value=reader.path,
            remedy="it needs a newer client than this project knows"
            if newer
            else "restore it with the PostgreSQL that made it, and dump it again",
        )
    reader.int_size = reader.byte()
    offset_size, format_number = reader.byte(), reader.byte()
    if reader.int_size not in (4, 8) or offset_size not in (4, 8) or format_number not in FORMATS:
        raise damaged("its head makes no sense", reader.path)
    compression = _compression(reader, version)
    for _field in range(7):  # the time of the dump, a C `struct tm`
        reader.integer()
    database, server_version, dump_version = (reader.text() or "" for _field in range(3))
    count = reader.integer()
    if count < 0:
        raise damaged(f"it claims {count} entries", reader.path)
    archive_format = FORMATS[format_number]
    entries = [_entry(reader, version, archive_format, offset_size) for _number in range(count)]
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


def _compression(reader: _Reader, version: tuple[int, int]) -> str:
    if version < (1, 15):
        return "gzip" if reader.integer() else "none"
    number = reader.byte()
    if number not in COMPRESSIONS:
        raise damaged(f"it names compression {number}", reader.path)
    return COMPRESSIONS[number]


def _entry(
    reader: _Reader, version: tuple[int, int], archive_format: str, offset_size: int
) -> Entry:
    dump_id = reader.integer()
    has_data = bool(reader.integer())
    reader.raw()  # oid of the catalogue
    reader.raw()  # oid of the object
    name, kind = reader.text(), reader.text()
    reader.integer()  # section
    definition = reader.text()
    reader.raw()  # the statement that drops it
    copy_statement = reader.text()
    schema = reader.text()
    reader.raw()  # tablespace
    if version >= (1, 14):
        reader.raw()  # table access method
    if version >= (1, 16):
        reader.integer()  # kind of relation
    owner = reader.text()
    reader.raw()  # WITH OIDS, long gone
    while reader.raw() is not None:
        pass  # dependencies
    filename = None
    if archive_format == "custom":
        reader.take(1 + offset_size)  # where its data lies, if pg_dump could seek
    else:
        filename = reader.text() or None
    if dump_id <= 0 or not kind:
        raise damaged(f"an entry before byte {reader.at} has no number or kind", reader.path)
    return Entry(
        dump_id,
        kind,
        name or "",
        schema or "",
        owner or "",
        definition or "",
        copy_statement or None,
        has_data,
        filename,
    )


@dataclasses.dataclass
class _Block:
    """The data of one entry: where its pieces lie in the file."""

    dump_id: int
    pieces: list[tuple[int, int]]  # offset, length
    large_objects: int = 0


def decode(
    path: str, toc: Toc, *, progress: Callable[[int, int], None] | None = None
) -> dict[int, int | None]:
    """Decodes all data of a custom archive, which is the proof that it is whole.

    Every compressed stream carries a checksum (Adler-32, RFC 1950), and every table's rows end in
    a mark; both are verified. Uncompressed data has no checksum: only the marks are verified.

    Args:
        path: the archive.
        toc: what `read` gave for it.
        progress: called with bytes done and bytes in all.

    Returns:
        For each entry that has data, by number: the rows that it holds; for large objects how many
        there are; None where rows cannot be told (a dump made of INSERT commands).

    Raises:
        ResilienceError: something is damaged or missing, or the compression is not one that this
            reads (lz4, zstd); `supports` tells beforehand.
    """
    if not supports(toc):
        raise ResilienceError(
            f"{toc.compression}-compressed {toc.format} archives are not decoded here",
            option="backup",
            value=path,
            remedy="let pg_restore decode it",
        )
    by_id = {entry.dump_id: entry for entry in toc.entries}
    with open(path, "rb") as file, _mapped(file, path) as data:
        blocks = list(_blocks(data, path, toc))
        missing = [
            entry
            for entry in toc.entries
            if entry.has_data and entry.dump_id not in {block.dump_id for block in blocks}
        ]
        if missing:
            names = ", ".join(f"{entry.schema}.{entry.name}" for entry in missing[:3])
            raise damaged(f"it lacks the data of {len(missing)} entries: {names}", path)
        total = len(data)
        done = toc.data_offset

        def one(block: _Block) -> tuple[int, int | None]:
            nonlocal done
            entry = by_id.get(block.dump_id)
            if entry is None:
                raise damaged(f"data for an unknown entry {block.dump_id}", path)
            rows = _decode_block(data, path, block, entry, toc.compression == "gzip")
            done += sum(length for _offset, length in block.pieces)
            if progress:
                progress(min(done, total), total)
            return block.dump_id, rows

        # zlib lets go of the interpreter lock, so threads use every core.
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            return dict(pool.map(one, blocks))


def supports(toc: Toc) -> bool:
    """Whether `decode` reads this archive's data."""
    return toc.format == "custom" and toc.compression in ("none", "gzip")


def _blocks(data: mmap.mmap, path: str, toc: Toc) -> Iterator[_Block]:
    reader = _Reader(data, path)
    reader.at, reader.int_size = toc.data_offset, toc.int_size
    while reader.at < len(data):
        kind = reader.byte()
        block = _Block(reader.integer(), [])
        if kind == BLOCK_DATA:
            _pieces(reader, block)
        elif kind == BLOCK_LARGE_OBJECTS:
            while reader.integer():  # the object's oid; 0 after the last
                block.large_objects += 1
                _pieces(reader, block)
        else:
            raise damaged(f"no data block begins at byte {reader.at}", path)
        yield block


def _pieces(reader: _Reader, block: _Block) -> None:
    while length := reader.integer():
        if length < 0 or reader.at + length > len(reader.data):
            raise damaged(f"it ends within the data of entry {block.dump_id}", reader.path)
        block.pieces.append((reader.at, length))
        reader.at += length


def _decode_block(
    data: mmap.mmap, path: str, block: _Block, entry: Entry, compressed: bool
) -> int | None:
    newlines, tail = 0, b""
    if block.large_objects:
        # Each object is a stream of its own; restoring them proves them, the count is known here.
        return block.large_objects
    for plain in _plain(data, path, block, entry, compressed):
        newlines += plain.count(b"\n")
        tail = (tail + plain)[-len(END_OF_ROWS) :]
    if entry.copy_statement is None:
        return None
    if tail != END_OF_ROWS:
        raise damaged(f"the rows of {entry.schema}.{entry.name} do not end as they should", path)
    return newlines - END_OF_ROWS.count(b"\n")


def _plain(
    data: mmap.mmap, path: str, block: _Block, entry: Entry, compressed: bool
) -> Iterator[bytes]:
    """The block's data in plain pieces of bounded size."""
    name = f"{entry.schema}.{entry.name}"
    stream = zlib.decompressobj()
    for piece in _joined(data, block.pieces):
        if not compressed:
            yield piece
            continue
        try:
            plain = stream.decompress(piece, PIECE)
            while plain:
                yield plain
                plain = stream.decompress(stream.unconsumed_tail, PIECE)
        except zlib.error as error:
            raise damaged(f"the data of {name} does not decompress ({error})", path) from error
    if compressed and (not stream.eof or stream.unused_data):
        raise damaged(f"the compressed data of {name} is not whole", path)


def _joined(data: mmap.mmap, pieces: list[tuple[int, int]]) -> Iterator[bytes]:
    """pg_dump writes pieces of 4 KiB; larger ones spare most of the calls."""
    batch: list[bytes] = []
    size = 0
    for offset, length in pieces:
        batch.append(data[offset : offset + length])
        size += length
        if size >= PIECE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)
