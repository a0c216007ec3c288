# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the data of an archive, entry by entry, which proves that it is complete.

Every compressed stream carries a checksum (Adler-32 in RFC 1950, CRC-32 in RFC 1952), and every
table's rows end in a mark; both are verified. Data that is not compressed has no checksum: only the
marks are. Memory is bounded by the number of entries, not by their size.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from ..common.messages import _, ngettext
from ..common.stop import Stop
from .archive_entry import Entry
from .archive_toc import damaged

# How pg_dump ends the rows of a table (dumpTableData_copy in pg_dump.c).
END_OF_ROWS = b"\\.\n\n\n"
PIECE = 1 << 20
# What the compressed data of an entry begins with: the heads of RFC 1950 and of RFC 1952, as
# zlib's inflateInit2 has them.
ZLIB, GZIP = zlib.MAX_WBITS, zlib.MAX_WBITS + 16
# Parts of the data that wait for a thread.
WAITING = 1000
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


def inflated(
    pieces: Iterable[bytes], head: int, what: str, path: str, stop: Stop
) -> Iterator[bytes]:
    """Yield decompressed pieces of bounded size.

    Args:
        pieces: of one compressed stream; where there is none at all, nothing is in it.
        head: `ZLIB` or `GZIP`.
        what: is compressed, for messages.
        path: of the backup, for messages.
        stop: ends this early.

    Raises:
        BackupError: it does not decompress, is cut off, or something follows it.
    """
    stream = zlib.decompressobj(head)
    empty = True
    try:
        for piece in pieces:
            empty = False
            plain = stream.decompress(piece, PIECE)
            while plain:
                stop.look()
                yield plain
                plain = stream.decompress(stream.unconsumed_tail, PIECE)
    except zlib.error as error:
        raise damaged(
            _("the data of %(what)s does not decompress (%(why)s)", what=what, why=str(error)), path
        ) from error
    if not empty and (not stream.eof or stream.unused_data):
        raise damaged(_("the compressed data of %(what)s is incomplete", what=what), path)


def rows(plain: Iterable[bytes], path: str, entry: Entry) -> DecodeResult:
    """Count the rows of an entry.

    Args:
        plain: its data, decompressed.
        path: of the backup, for messages.
        entry: whose data it is.

    Raises:
        BackupError: their end mark is missing.
    """
    newlines, tail, size = 0, b"", 0
    for piece in plain:
        newlines += piece.count(b"\n")
        size += len(piece)
        tail = (tail + piece)[-len(END_OF_ROWS) :]
    if entry.copy_statement is None:
        return DecodeResult(bytes=size)
    if tail != END_OF_ROWS:
        table = f"{entry.schema}.{entry.name}"
        raise damaged(_("the rows of %(table)s do not end as they should", table=table), path)
    return DecodeResult(newlines - END_OF_ROWS.count(b"\n"), size - len(END_OF_ROWS))


def in_threads(
    workers: int, decode_one: Callable[[Part], tuple[int, DecodeResult]], parts: Sequence[Part]
) -> dict[int, DecodeResult]:
    """Return what each part holds; some wait for a thread at a time, as each takes 2 KB there.

    Args:
        workers: threads.
        decode_one: returns the number of a part's entry, and what it holds.
        parts: all of them.
    """
    held: dict[int, DecodeResult] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for start in range(0, len(parts), WAITING):
            held.update(pool.map(decode_one, parts[start : start + WAITING]))
    return held


def complain_of_missing(entries: list[Entry], path: str) -> None:
    """Refuse an archive without the data of entries that have some.

    Raises:
        BackupError: there are such entries.
    """
    if entries:
        names = ", ".join(f"{entry.schema}.{entry.name}" for entry in entries[:3])
        text = ngettext(
            "it lacks the data of %(count)d entry: %(names)s",
            "it lacks the data of %(count)d entries: %(names)s",
            len(entries),
            names=names,
        )
        raise damaged(text, path)
