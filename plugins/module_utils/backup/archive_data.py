# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode the data of a PostgreSQL archive, which proves that it is complete.

The layout is that of PostgreSQL's `pg_backup_custom.c` (data blocks) and `pg_backup_directory.c`
(one file an entry). Every compressed stream carries a checksum (Adler-32 in RFC 1950, CRC-32 in RFC
1952), and every table's rows end in a mark; both are verified. Data that is not compressed has no
checksum: only the marks are. Memory is bounded by the number of entries, not by their size.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from ..common.errors import ResilienceError
from ..common.messages import _, ngettext
from . import archive_whole
from .archive_entry import Entry
from .archive_toc import Reader, Toc, damaged, give_back, mapped, same_again

BLOCK_DATA, BLOCK_LARGE_OBJECTS = 1, 3
# How pg_dump ends the rows of a table (dumpTableData_copy in pg_dump.c).
END_OF_ROWS = b"\\.\n\n\n"
PIECE = 1 << 20
# Blocks of data that wait for a thread.
WAITING = 1000

Progress = Callable[[int, int], None]
Part = TypeVar("Part")


class DecodeResult(NamedTuple):
    """The figures of one entry's data.

    Attributes:
        rows: of a table; None where they cannot be counted (a dump of INSERT commands).
        bytes: of the data, decompressed.
        large_objects: how many there are, for the entry that holds them.
    """

    rows: int | None = None
    bytes: int = 0
    large_objects: int = 0


def supports(toc: Toc) -> bool:
    """Return whether `decode` reads this archive's data."""
    return toc.format in ("custom", "directory") and toc.compression in ("none", "gzip")


def decode(path: str, toc: Toc, *, progress: Progress | None = None) -> dict[int, DecodeResult]:
    """Decode all data of a custom or directory archive.

    Args:
        path: the archive; for a directory archive the folder.
        toc: what `archive_toc.read` gave for it.
        progress: called with bytes done and bytes in all.

    Returns:
        For each entry that has data, by number.

    Raises:
        ResilienceError: something is damaged or missing, or the compression is not one that this
            reads (lz4, zstd); see `supports`.
    """
    if not supports(toc):
        raise ResilienceError(
            _(
                "archives of this kind are not decoded here: %(kind)s",
                kind=f"{toc.format}+{toc.compression}",
            ),
            option="backup",
            value=path,
            remedy=_("let pg_restore decode it"),
        )
    if toc.format == "directory":
        return _decode_folder(path, toc, progress)
    with open(path, "rb") as file, mapped(file, path) as data:
        return _decode_file(data, path, toc, progress)


def _workers() -> int:
    # zlib lets go of the interpreter lock, so threads use every core.
    return min(8, os.cpu_count() or 1)


def _in_threads(
    decode_one: Callable[[Part], tuple[int, DecodeResult]], parts: Sequence[Part]
) -> dict[int, DecodeResult]:
    """Return what each part holds; some wait for a thread at a time, as each takes 2 KB there."""
    held: dict[int, DecodeResult] = {}
    with ThreadPoolExecutor(max_workers=_workers()) as pool:
        for start in range(0, len(parts), WAITING):
            held.update(pool.map(decode_one, parts[start : start + WAITING]))
    return held


# --- one file -------------------------------------------------------------------------------------


class _Block(NamedTuple):
    """The data of one entry: from where to where it lies in the file."""

    dump_id: int
    start: int
    end: int
    large_objects: int = 0


def _decode_file(
    data: mmap.mmap, path: str, toc: Toc, progress: Progress | None
) -> dict[int, DecodeResult]:
    blocks = list(_blocks(data, path, toc))
    there = {block.dump_id for block in blocks}
    by_id = {entry.dump_id: entry for entry in toc.entries if entry.dump_id in there}
    _complain_of_missing(
        [entry for entry in toc.entries if entry.has_data and entry.dump_id not in there], path
    )
    total, done = len(data), toc.data_offset

    def one(block: _Block) -> tuple[int, DecodeResult]:
        nonlocal done
        entry = by_id.get(block.dump_id)
        if entry is None:
            raise damaged(_("data for an unknown entry %(entry)d", entry=block.dump_id), path)
        decoded = _decode_block(data, path, toc, block, entry)
        give_back(data, block.start, block.end)
        done += block.end - block.start
        if progress:
            progress(min(done, total), total)
        return block.dump_id, decoded

    return _in_threads(one, blocks)


def _complain_of_missing(entries: list[Entry], path: str) -> None:
    if entries:
        names = ", ".join(f"{entry.schema}.{entry.name}" for entry in entries[:3])
        text = ngettext(
            "it lacks the data of %(count)d entry: %(names)s",
            "it lacks the data of %(count)d entries: %(names)s",
            len(entries),
            names=names,
        )
        raise damaged(text, path)


def _blocks(data: mmap.mmap, path: str, toc: Toc) -> Iterator[_Block]:
    reader = Reader(data, path)
    reader.at, reader.int_size = toc.data_offset, toc.int_size
    seen = reader.at
    while reader.at < len(data):
        seen = reader.give_back(seen)
        if data[reader.at] == 0:
            # No block is of kind 0, and a number that is not negative begins with this byte.
            _pass_contents(reader, toc)
            return
        kind, dump_id = reader.byte(), reader.integer()
        start, objects = reader.at, 0
        if kind == BLOCK_DATA:
            for _piece in _pieces(reader, dump_id):
                pass
        elif kind == BLOCK_LARGE_OBJECTS:
            while reader.integer():  # the object's oid; 0 after the last
                objects += 1
                for _piece in _pieces(reader, dump_id):
                    pass
        else:
            raise damaged(_("no data block begins at byte %(at)d", at=reader.at), path)
        yield _Block(dump_id, start, reader.at, objects)


def _pass_contents(reader: Reader, toc: Toc) -> None:
    """Skip the table of contents that may follow the data, which must be the same."""
    begins = reader.at
    if not same_again(reader, toc) or reader.at != len(reader.data):
        text = _("what stands behind its data, at byte %(at)d, is no part of it", at=begins)
        raise damaged(text, reader.path)


def _pieces(reader: Reader, dump_id: int) -> Iterator[tuple[int, int]]:
    """Yield offset and length of each piece; the reader then stands behind the last one."""
    seen = reader.at
    while length := reader.integer():
        if length < 0 or reader.at + length > len(reader.data):
            raise damaged(
                _("it ends within the data of entry %(entry)d", entry=dump_id), reader.path
            )
        yield reader.at, length
        reader.at += length
        seen = reader.give_back(seen)


def _decode_block(
    data: mmap.mmap, path: str, toc: Toc, block: _Block, entry: Entry
) -> DecodeResult:
    reader = Reader(data, path)
    reader.at, reader.int_size = block.start, toc.int_size
    packed = toc.compression == "gzip"
    name: str = f"{entry.schema}.{entry.name}"
    if block.large_objects or entry.kind in archive_whole.CONTENTS:
        size = 0
        while reader.integer():
            pieces = _joined_pieces(reader, block.dump_id)
            size += sum(map(len, _plain(pieces, path, _("a large object"), packed)))
        return DecodeResult(bytes=size, large_objects=block.large_objects)
    return _rows(_plain(_joined_pieces(reader, block.dump_id), path, name, packed), path, entry)


def _joined_pieces(reader: Reader, dump_id: int) -> Iterator[bytes]:
    """Yield the pieces of a block, joined: pg_dump writes 4 KiB each, which costs many calls."""
    batch: list[bytes] = []
    size = 0
    for offset, length in _pieces(reader, dump_id):
        batch.append(reader.data[offset : offset + length])
        size += length
        if size >= PIECE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _plain(pieces: Iterator[bytes], path: str, name: str, packed: bool) -> Iterator[bytes]:
    """Yield decompressed pieces of bounded size."""
    stream = zlib.decompressobj()
    empty = True
    for piece in pieces:
        empty = False
        if not packed:
            yield piece
            continue
        try:
            plain = stream.decompress(piece, PIECE)
            while plain:
                yield plain
                plain = stream.decompress(stream.unconsumed_tail, PIECE)
        except zlib.error as error:
            raise damaged(
                _("the data of %(what)s does not decompress (%(why)s)", what=name, why=str(error)),
                path,
            ) from error
    if packed and not empty and (not stream.eof or stream.unused_data):
        raise damaged(_("the compressed data of %(what)s is incomplete", what=name), path)


def _rows(plain: Iterator[bytes], path: str, entry: Entry) -> DecodeResult:
    newlines, tail, size = 0, b"", 0
    for piece in plain:
        newlines += piece.count(b"\n")
        size += len(piece)
        tail = (tail + piece)[-len(END_OF_ROWS) :]
    if entry.copy_statement is None:
        return DecodeResult(bytes=size)
    if tail != END_OF_ROWS:
        raise damaged(
            _(
                "the rows of %(table)s do not end as they should",
                table=f"{entry.schema}.{entry.name}",
            ),
            path,
        )
    return DecodeResult(newlines - END_OF_ROWS.count(b"\n"), size - len(END_OF_ROWS))


# --- a folder -------------------------------------------------------------------------------------


def _decode_folder(path: str, toc: Toc, progress: Progress | None) -> dict[int, DecodeResult]:
    entries = [entry for entry in toc.entries if entry.filename]
    total = sum(_size(path, name) for name in os.listdir(path))
    done = 0

    def one(entry: Entry) -> tuple[int, DecodeResult]:
        nonlocal done
        if entry.kind in archive_whole.CONTENTS:
            decoded = _decode_large_objects(path, entry)
        else:
            pieces = _file_pieces(path, entry.filename or "", entry.name)
            decoded = _rows(pieces, path, entry)
        done += decoded.bytes
        if progress:
            progress(min(done, total), total)
        return entry.dump_id, decoded

    return _in_threads(one, entries)


def _size(folder: str, name: str) -> int:
    try:
        return os.stat(os.path.join(folder, name)).st_size
    except OSError:
        return 0


def _decode_large_objects(folder: str, entry: Entry) -> DecodeResult:
    """Their list names an object and its file a line (`_EndLO` in pg_backup_directory.c)."""
    try:
        with open(os.path.join(folder, entry.filename or ""), "rb") as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        raise damaged(
            _("the list of large objects %(file)s is missing", file=entry.filename), folder
        ) from error
    names = [line.split(b" ", 1)[1].decode("utf-8", "replace") for line in lines if b" " in line]
    if not names:
        raise damaged(_("the list of large objects %(file)s is empty", file=entry.filename), folder)
    size = sum(
        len(piece) for name in names for piece in _file_pieces(folder, name, _("a large object"))
    )
    return DecodeResult(bytes=size, large_objects=len(names))


def _file_pieces(folder: str, name: str, what: str) -> Iterator[bytes]:
    """Yield the decompressed content of one data file, whose name ends in `.gz` when packed."""
    for suffix in ("", ".gz"):
        path = os.path.join(folder, name + suffix)
        # Only a name of the folder's own: an archive may not lead out of it.
        if os.path.basename(name) == name and os.path.isfile(path):
            with open(path, "rb") as file:
                pieces = iter(lambda: file.read(PIECE), b"")
                yield from _gunzipped(pieces, folder, name + suffix) if suffix else pieces
            return
    raise damaged(_("the data file %(file)s of %(what)s is missing", file=name, what=what), folder)


def _gunzipped(pieces: Iterator[bytes], folder: str, name: str) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            plain = stream.decompress(piece, PIECE)
            while plain:
                yield plain
                plain = stream.decompress(stream.unconsumed_tail, PIECE)
    except zlib.error as error:
        raise damaged(
            _("%(file)s does not decompress (%(why)s)", file=name, why=str(error)), folder
        ) from error
    if not stream.eof or stream.unused_data:
        raise damaged(_("%(file)s is incomplete", file=name), folder)
