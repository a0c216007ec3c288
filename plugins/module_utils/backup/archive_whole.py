# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What shows that an archive has no more and no less than its table of contents says.

pg_restore passes over a large object without content, and over what follows the table of contents
in its file. `tar_members` has what it passes over in a tar archive.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..common.messages import _, ngettext
from .archive_entry import Entry
from .archive_toc import Toc, damaged

# The entries that hold the content of large objects, by the version of PostgreSQL.
CONTENTS = ("BLOBS", "LARGE OBJECTS")


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
