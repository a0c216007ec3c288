# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What shows that an archive has no more and no less than its table of contents says.

pg_restore passes over a large object without content, over what follows the end of a tar archive,
and over what follows the table of contents in its file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from ..common.messages import _, ngettext
from .archive_entry import Entry
from .archive_toc import Toc, damaged

# The entries that hold the content of large objects, by the version of PostgreSQL.
CONTENTS = ("BLOBS", "LARGE OBJECTS")
# Of the format (tar.h): the size of a block, and where a header has the size of its file.
_BLOCK, _SIZE = 512, slice(124, 136)
_PIECE = 1 << 20
# How pg_dump names the file of a large object (_StartLO in pg_backup_tar.c and _directory.c).
_LARGE_OBJECT = re.compile(rb"blob_\d+\.dat")


def large_objects(entries: Iterable[Entry]) -> int:
    """Return how many large objects a table of contents names."""
    # Since PostgreSQL 17 an entry has a list of them.
    return sum(
        (entry.definition.count("\n") or 1) if entry.kind == "BLOB METADATA" else 1
        for entry in entries
        if entry.kind in ("BLOB", "BLOB METADATA")
    )


def check_large_objects(toc: Toc, found: int, path: str) -> None:
    """Raise an error where an archive has the content of fewer large objects than it names.

    Args:
        toc: its table of contents. Without an entry for their content it is a part of a database.
        found: how many the archive holds the content of, be it empty.
        path: the backup, for messages.
    """
    named = large_objects(toc.entries)
    if found < named and any(entry.kind in CONTENTS for entry in toc.entries):
        text = ngettext(
            "it holds the content of %(found)d of %(count)d large object",
            "it holds the content of %(found)d of %(count)d large objects",
            named,
            found=found,
        )
        raise damaged(text, path)


def check_contents_end(toc: Toc, size: int, path: str) -> None:
    """Raise an error where something follows the table of contents in a file of its own.

    Args:
        toc: as it was read.
        size: of the file, in bytes.
        path: the backup, for messages.
    """
    if size != toc.data_offset:
        text = _(
            "what stands behind its data, at byte %(at)d, is no part of it", at=toc.data_offset
        )
        raise damaged(text, path)


def tar_large_objects(path: str) -> int:
    """Return how many files of large objects a tar archive has, once it was walked to its end.

    Raises:
        BackupError: its end mark is missing, or something follows it.
    """
    found = at = 0
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        while True:
            file.seek(at)
            header = file.read(_BLOCK)
            if len(header) < _BLOCK:
                raise damaged(_("its end mark is missing"), path)
            if not any(header):
                break
            found += _LARGE_OBJECT.match(header) is not None
            at += _BLOCK + -(-_file_size(header, path) // _BLOCK) * _BLOCK
        if total < at + 2 * _BLOCK:
            raise damaged(_("its end mark is missing"), path)
        while piece := file.read(_PIECE):
            if piece.count(0) != len(piece):
                text = _("what stands behind its data, at byte %(at)d, is no part of it", at=at)
                raise damaged(text, path)
    return found


def folder_large_objects(path: str, toc: Toc) -> int:
    """Return how many large objects the lists of a directory archive name."""
    found = 0
    for entry in toc.entries:
        if entry.kind in CONTENTS and entry.filename:
            # Only a name of the folder's own: an archive may not lead out of it.
            name = os.path.join(path, os.path.basename(entry.filename))
            try:
                with open(name, "rb") as file:
                    found += sum(b" " in line for line in file)
            except OSError as error:
                text = _("the list of large objects %(file)s is missing", file=entry.filename)
                raise damaged(text, path) from error
    return found


def _file_size(header: bytes, path: str) -> int:
    field = header[_SIZE]
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if re.fullmatch(rb"[0-7]*", digits) is None:
        raise damaged(_("its head makes no sense"), path)
    return int(digits or b"0", 8)
