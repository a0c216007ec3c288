# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognise a file of saved roles, which stands beside a backup and has its date.

Its content decides: pg_dumpall writes a mark of its own, and a dump of a whole server goes on with
its databases. A product may be called `roles`, so a name counts only for what is no dump.
"""

from __future__ import annotations

import os
import re

from ..common.errors import ResilienceError
from ..inventory import backup_names
from . import decompress, file_kind

CLUSTER_MARK, DATABASE_MARK = b"PostgreSQL database cluster dump", b"PostgreSQL database dump"
# Bytes that are read, unpacked: the roles of a server come before its databases, and are few.
MOST_READ = 64 << 20
TIME_LIMIT = 60.0
# What a file of roles that somebody wrote begins with, behind comments and settings.
_BY_HAND = re.compile(
    rb"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|(?:SET|BEGIN|START)\b[^;]*;|\\\w[^\n]*\n)*"
    rb"(?:CREATE|ALTER)\s+(?:ROLE|USER|GROUP)\s+(?!MAPPING\b)",
    re.IGNORECASE | re.DOTALL,
)
_DATA = re.compile(rb"^\s*(?:CREATE|ALTER)\s+(?:[\w ]*\s)?TABLE\s|^COPY\s|^INSERT\s", re.I | re.M)


def holds_roles_alone(path: str) -> bool:
    """Return whether a file is what `pg_dumpall --roles-only` or `--globals-only` writes.

    Args:
        path: of a backup, or of what has the name of one.
    """
    if os.path.isdir(path):
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
        compression = file_kind.compression(head) or "none"
        with decompress.reading(path, compression, TIME_LIMIT, whole=False) as read:
            content = b""
            while len(content) < MOST_READ and (block := read(decompress.PIECE)):
                content += block
                if file_kind.is_archive(content[: file_kind.HEAD_BYTES]):
                    return False
                if DATABASE_MARK in content:
                    return False
                if len(content) > decompress.PIECE and CLUSTER_MARK not in content:
                    break
    except (OSError, ResilienceError):
        return False
    if CLUSTER_MARK in content:
        return True
    if file_kind.dump_format(content[: file_kind.HEAD_BYTES]) is not None:
        return False
    if _BY_HAND.match(content):
        return not _DATA.search(content)
    return bool(content) and backup_names.names_roles(os.path.basename(path))
