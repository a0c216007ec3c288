# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in the directory format: a folder with a table of contents and a file an entry.

The layout is that of PostgreSQL's `pg_backup_directory.c`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from ..common.messages import _
from . import archive_data, archive_toc, archive_whole
from .archive_data import DecodeResult
from .archive_entry import Entry
from .archive_toc import Toc, damaged
from .kind import Archive, Proving
from .kind_archive import ArchiveKind

CONTENTS = "toc.dat"


class DirectoryKind(ArchiveKind):
    """A folder of `pg_dump -Fd`."""

    name, suffix = "directory", ""
    is_folder = dumped_by_several = loaded_by_several = True

    def contents(self, path: str, compression: str = "none", time_limit: float = 60) -> Toc:
        """Return what an archive says that it holds; see `Kind`."""
        file = os.path.join(path, CONTENTS)
        toc = archive_toc.read(file)
        archive_whole.check_contents_end(toc, os.path.getsize(file), path)
        # The head of its table of contents calls itself a tar's (_CloseArchive in
        # pg_backup_directory.c), as both keep an entry a file.
        return dataclasses.replace(toc, format=self.name)

    def decode(self, archive: Archive, proving: Proving) -> dict[int, DecodeResult] | None:
        """Return the data of each entry; see `ArchiveKind`."""
        if archive.toc.compression not in ("none", "gzip"):
            return None
        return _decode_files(archive.ready_path, archive.toc, proving)

    def large_objects(self, archive: Archive) -> int:
        """Return how many large objects an archive has; see `ArchiveKind`."""
        return archive_whole.folder_large_objects(archive.ready_path, archive.toc)

    def read_as_root(self, archive: Archive) -> str:
        """Return what only root can look for; see `ArchiveKind`.

        pg_restore looks with access(2) which of its files exist, and that takes no account of the
        capability to read them unless the user is root: root without any other capability.
        """
        return os.path.join(archive.ready_path, CONTENTS)


def _decode_files(path: str, toc: Toc, proving: Proving) -> dict[int, DecodeResult]:
    entries = [entry for entry in toc.entries if entry.filename]
    total = sum(_size(path, name) for name in os.listdir(path))
    done = 0

    def one(entry: Entry) -> tuple[int, DecodeResult]:
        nonlocal done
        proving.stop.look()
        if entry.kind in archive_whole.CONTENTS:
            decoded = _decode_large_objects(path, entry, proving)
        else:
            pieces = _pieces(path, entry.filename or "", entry.name, proving)
            decoded = archive_data.rows(pieces, path, entry)
        done += decoded.bytes
        if proving.progress:
            proving.progress(min(done, total), total)
        return entry.dump_id, decoded

    return archive_data.in_threads(proving.workers, one, entries)


def _size(folder: str, name: str) -> int:
    try:
        return os.stat(os.path.join(folder, name)).st_size
    except OSError:
        return 0


def _decode_large_objects(folder: str, entry: Entry, proving: Proving) -> DecodeResult:
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
        len(piece)
        for name in names
        for piece in _pieces(folder, name, _("a large object"), proving)
    )
    return DecodeResult(bytes=size, large_objects=len(names))


def _pieces(folder: str, name: str, what: str, proving: Proving) -> Iterator[bytes]:
    """Yield the decompressed content of one data file, whose name ends in `.gz` when packed."""
    for suffix in ("", ".gz"):
        path = os.path.join(folder, name + suffix)
        # Only a name of the folder's own: an archive may not lead out of it.
        if os.path.basename(name) == name and os.path.isfile(path):
            with open(path, "rb") as file:
                pieces = iter(lambda: file.read(archive_data.PIECE), b"")
                if suffix:
                    pieces = archive_data.inflated(
                        _never_empty(pieces), archive_data.GZIP, name + suffix, folder, proving.stop
                    )
                yield from pieces
            return
    raise damaged(_("the data file %(file)s of %(what)s is missing", file=name, what=what), folder)


def _never_empty(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces, at least one: unlike an entry of one file, an empty file is no whole stream."""
    yield next(pieces, b"")
    yield from pieces
