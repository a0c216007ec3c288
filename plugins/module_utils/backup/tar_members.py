# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a tar archive of pg_dump: where each begins and how long it is.

`tarfile` passes over a head that makes no sense, over what follows the end mark, and over an end
mark that is missing; pg_restore passes over what follows the last entry. The fields of a head are
those of ustar (`pax` in POSIX; `_tarWriteHeader` in pg_backup_tar.c).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from ..common.messages import _
from .archive_toc import damaged

BLOCK = 512
# Where a head has the name of its member, the member's size, and the sum of the head's own bytes.
_NAME, _SIZE, _SUM = slice(0, 100), slice(124, 136), slice(148, 156)
_PIECE = 1 << 20


class Member(NamedTuple):
    """One member.

    Attributes:
        name: of it.
        start: of its content, in bytes from the beginning of the archive.
        size: of its content, in bytes.
    """

    name: str
    start: int
    size: int


def members(path: str) -> Iterator[Member]:
    """Yield the members of an archive, in its order, and walk to its end.

    Raises:
        BackupError: a head is damaged, the end mark is missing, or something follows it.
    """
    at = 0
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        while True:
            file.seek(at)
            head = file.read(BLOCK)
            if len(head) < BLOCK:
                raise damaged(_("its end mark is missing"), path)
            if not any(head):
                break
            size = _size(head, path)
            yield Member(head[_NAME].split(b"\0")[0].decode("utf-8", "replace"), at + BLOCK, size)
            at += BLOCK + -(-size // BLOCK) * BLOCK
        if total < at + 2 * BLOCK:
            raise damaged(_("its end mark is missing"), path)
        while piece := file.read(_PIECE):
            if piece.count(0) != len(piece):
                text = _("what stands behind its data, at byte %(at)d, is no part of it", at=at)
                raise damaged(text, path)


def pieces(file: int, member: Member, size: int = _PIECE) -> Iterator[bytes]:
    """Yield the content of a member, from a file descriptor whose position stays as it is."""
    at, end = member.start, member.start + member.size
    while at < end:
        piece = os.pread(file, min(size, end - at), at)
        if not piece:
            return
        yield piece
        at += len(piece)


def _size(head: bytes, path: str) -> int:
    # The sum is that of all bytes, with blanks in its own place.
    if _number(head[_SUM], path) != sum(head) - sum(head[_SUM]) + 8 * ord(" "):
        raise damaged(_("its head makes no sense"), path)
    return _number(head[_SIZE], path)


def _number(field: bytes, path: str) -> int:
    if field[0] & 0x80:  # base 256, for 8 GiB and more
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if re.fullmatch(rb"[0-7]*", digits) is None:
        raise damaged(_("its head makes no sense"), path)
    return int(digits or b"0", 8)
