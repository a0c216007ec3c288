# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in the tar format: a tar file with a table of contents and a member an entry.

The layout is that of PostgreSQL's `pg_backup_tar.c`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..common.messages import _
from ..common.stop import Stop
from . import archive_data, archive_toc, archive_whole, tar_members
from .archive_data import DecodeResult
from .archive_entry import Entry
from .archive_toc import Toc, damaged
from .kind import Archive, Proving
from .kind_archive import ArchiveKind
from .kind_directory import CONTENTS
from .tar_members import Member

# How pg_dump names the member of a large object (`_StartLO` in pg_backup_tar.c).
_LARGE_OBJECT = re.compile(r"blob_\d+\.dat")


class TarKind(ArchiveKind):
    """A file of `pg_dump -Ft`."""

    name, suffix = "tar", ".tar"
    compressed = "never"

    def contents(self, path: str, compression: str = "none", time_limit: float = 60) -> Toc:
        """Return what an archive says that it holds; see `Kind`."""
        toc_path = path + ".toc"
        try:
            with tarfile.open(path) as tar, open(toc_path, "wb") as file:
                member = tar.extractfile(CONTENTS)
                if member is None:
                    raise damaged(_("its toc.dat is no file"), path)
                shutil.copyfileobj(member, file)
            toc = archive_toc.read(toc_path)
            archive_whole.check_contents_end(toc, os.path.getsize(toc_path), path)
            return toc
        except (tarfile.TarError, KeyError) as error:
            raise damaged(str(error), path) from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(toc_path)

    def decode(self, archive: Archive, proving: Proving) -> dict[int, DecodeResult] | None:
        """Return the data of each entry; see `ArchiveKind`.

        pg_restore counts the rows where they are INSERT commands.
        """
        if not all(entry.copy_statement for entry in archive.toc.entries if _has_rows(entry)):
            return None
        return _decode_members(archive.ready_path, archive.toc, proving)

    def large_objects(self, archive: Archive) -> int:
        """Return how many large objects an archive has; see `ArchiveKind`."""
        return sum(
            _LARGE_OBJECT.fullmatch(member.name) is not None
            for member in tar_members.members(archive.ready_path)
        )


def _has_rows(entry: Entry) -> bool:
    return entry.kind == "TABLE DATA" and bool(entry.filename)


class _Part(NamedTuple):
    """The data of one entry: a member, or those of its large objects."""

    entry: Entry
    members: list[Member]


def _decode_members(path: str, toc: Toc, proving: Proving) -> dict[int, DecodeResult]:
    parts = _parts(path, toc)
    total, done = sum(member.size for part in parts for member in part.members), 0
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def one(part: _Part) -> tuple[int, DecodeResult]:
        nonlocal done
        plain = _pieces(file, part.members, proving.stop)
        if part.entry.kind in archive_whole.CONTENTS:
            decoded = DecodeResult(bytes=sum(map(len, plain)), large_objects=len(part.members))
        else:
            decoded = archive_data.rows(plain, path, part.entry)
        done += decoded.bytes
        if proving.progress:
            proving.progress(min(done, total), total)
        return part.entry.dump_id, decoded

    try:
        return archive_data.in_threads(proving.workers, one, parts)
    finally:
        os.close(file)


def _parts(path: str, toc: Toc) -> list[_Part]:
    """Return what each entry has, in the order of the contents, which is that of the members.

    pg_restore reads an archive from its beginning to its end (`_tarPositionTo` in
    pg_backup_tar.c). The list of large objects stands behind the last of them (`_EndLOs`).
    """
    entries = [entry for entry in toc.entries if entry.filename]
    by_name = {name: place for place, entry in enumerate(entries) for name in _names(entry)}
    parts: list[_Part] = []
    objects: list[Member] = []
    last = -1
    for member in tar_members.members(path):
        place = by_name.get(member.name)
        if _LARGE_OBJECT.fullmatch(member.name):
            objects.append(member)
        if place is None:
            continue
        if place <= last:
            text = _("%(file)s does not stand where pg_restore reads it", file=member.name)
            raise damaged(text, path)
        last, entry = place, entries[place]
        if entry.kind in archive_whole.CONTENTS:
            parts.append(_Part(entry, objects))
            objects = []
        else:
            parts.append(_Part(entry, [member]))
    there = {part.entry.dump_id for part in parts}
    archive_data.complain_of_missing([one for one in entries if one.dump_id not in there], path)
    return parts


def _names(entry: Entry) -> tuple[str, ...]:
    """Return how the member of an entry may be named: that of large objects is their list.

    The entry itself then names a file that there is not (`_ArchiveEntry`, `_StartLOs`).
    """
    if entry.kind not in archive_whole.CONTENTS:
        return (entry.filename or "",)
    return (f"blobs_{entry.dump_id}.toc", "blobs.toc")  # since PostgreSQL 17, and before


def _pieces(file: int, members: Iterable[Member], stop: Stop) -> Iterator[bytes]:
    for member in members:
        for piece in tar_members.pieces(file, member):
            stop.look()
            yield piece
