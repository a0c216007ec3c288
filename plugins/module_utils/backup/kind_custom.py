# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in the custom format: one file, with the table of contents first.

The layout is that of PostgreSQL's `pg_backup_custom.c`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple

from ..common.messages import _
from . import archive_data, archive_toc, archive_whole
from .archive_data import DecodeResult
from .archive_entry import Entry
from .archive_toc import Reader, Toc, damaged, give_back, mapped, same_again
from .kind import Archive, Proving
from .kind_archive import ArchiveKind

BLOCK_DATA, BLOCK_LARGE_OBJECTS = 1, 3


class CustomKind(ArchiveKind):
    """A file of `pg_dump -Fc`."""

    name, suffix = "custom", ".dump"
    any_suffix = in_pipe = loaded_by_several = True

    def contents(self, path: str, compression: str = "none", time_limit: float = 60) -> Toc:
        """Return what an archive says that it holds; see `Kind`."""
        return archive_toc.read(path)

    def decode(self, archive: Archive, proving: Proving) -> dict[int, DecodeResult] | None:
        """Return the data of each entry; see `ArchiveKind`."""
        if archive.toc.compression not in ("none", "gzip"):
            return None
        path = archive.ready_path
        with open(path, "rb") as file, mapped(file, path) as data:
            return _decode_blocks(data, path, archive.toc, proving)


class _Block(NamedTuple):
    """The data of one entry: from where to where it lies in the file."""

    dump_id: int
    start: int
    end: int
    large_objects: int = 0


def _decode_blocks(
    data: mmap.mmap, path: str, toc: Toc, proving: Proving
) -> dict[int, DecodeResult]:
    blocks = list(_blocks(data, path, toc))
    there = {block.dump_id for block in blocks}
    place_of = {entry.dump_id: at for at, entry in enumerate(toc.entries) if entry.dump_id in there}
    missing = [entry for entry in toc.entries if entry.has_data and entry.dump_id not in there]
    archive_data.complain_of_missing(missing, path)
    total, done = len(data), toc.data_offset

    def one(block: _Block) -> tuple[int, DecodeResult]:
        nonlocal done
        proving.stop.look()
        at = place_of.get(block.dump_id)
        if at is None:
            raise damaged(_("data for an unknown entry %(entry)d", entry=block.dump_id), path)
        entry = toc.entries[at]
        decoded = _decode_block(data, path, toc, block, entry, proving)
        give_back(data, block.start, block.end)
        done += block.end - block.start
        if proving.progress:
            proving.progress(min(done, total), total)
        return block.dump_id, decoded

    return archive_data.in_threads(proving.workers, one, blocks)


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
    data: mmap.mmap, path: str, toc: Toc, block: _Block, entry: Entry, proving: Proving
) -> DecodeResult:
    reader = Reader(data, path)
    reader.at, reader.int_size = block.start, toc.int_size
    if not block.large_objects and entry.kind not in archive_whole.CONTENTS:
        name = f"{entry.schema}.{entry.name}"
        return archive_data.rows(_plain(reader, toc, block, name, proving), path, entry)
    size = 0
    while reader.integer():
        size += sum(map(len, _plain(reader, toc, block, _("a large object"), proving)))
    return DecodeResult(bytes=size, large_objects=block.large_objects)


def _plain(reader: Reader, toc: Toc, block: _Block, name: str, proving: Proving) -> Iterator[bytes]:
    pieces = _joined_pieces(reader, block.dump_id)
    if toc.compression == "gzip":
        return archive_data.inflated(pieces, archive_data.ZLIB, name, reader.path, proving.stop)
    return pieces


def _joined_pieces(reader: Reader, dump_id: int) -> Iterator[bytes]:
    """Yield the pieces of a block, joined: pg_dump writes 4 KiB each, which costs many calls."""
    batch: list[bytes] = []
    size = 0
    for offset, length in _pieces(reader, dump_id):
        batch.append(reader.data[offset : offset + length])
        size += length
        if size >= archive_data.PIECE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)
