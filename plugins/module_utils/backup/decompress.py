# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack a compressed backup within a limit of size, so that a bomb does not fill the disk."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import shutil
import zlib
from collections.abc import Iterator
from typing import IO

from ..common import program_output
from ..common.errors import ResilienceError
from ..common.messages import Message, _
from . import archive_toc, file_kind, restore_errors

PIECE = 1 << 20
# Left free on the filesystem that a backup is unpacked to, bytes.
HEADROOM = 256 << 20
PROGRAMS = {"zstd": ("zstd", "-dcq"), "lz4": ("lz4", "-dcq")}


@contextlib.contextmanager
def _opened(path: str, compression: str, time_limit: float) -> Iterator[IO[bytes]]:
    if compression == "gzip":
        with gzip.open(path, "rb") as stream:
            yield stream  # type: ignore[misc]
    elif compression == "xz":
        with lzma.open(path, "rb") as stream:
            yield stream
    else:
        with (
            open(path, "rb") as source,
            program_output.program_output(
                PROGRAMS[compression], time_limit=time_limit, stdin=source
            ) as stream,
        ):
            yield stream


def unpack(path: str, to: str, compression: str, largest: int | None, limit: float) -> bytes:
    """Unpack a file.

    Args:
        path: the compressed file.
        to: where to.
        compression: as `file_kind.compression` names it.
        largest: bytes that it may have unpacked; what the filesystem has room for when None.
        limit: seconds for the program that unpacks, where one does.

    Returns:
        The first bytes of what was inside.

    Raises:
        BackupError: it is damaged, or larger than it may be.
        ResilienceError: the place where it is unpacked to is at fault.
    """
    room = max(0, shutil.disk_usage(os.path.dirname(to)).free - HEADROOM)
    allowed = room if largest is None else min(room, largest)
    head, size = b"", 0
    try:
        with _opened(path, compression, limit) as stream, open(to, "wb") as out:
            while piece := stream.read(PIECE):
                size += len(piece)
                if size > allowed:
                    raise _too_large(path, allowed)
                head = head or piece[: file_kind.HEAD_BYTES]
                out.write(piece)
    except program_output.ProgramFailedError as error:
        if error.cut_off:
            raise restore_errors.cut_off(str(error)) from error
        raise archive_toc.damaged(_not_unpacked(compression, error), path) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        # A full disk or a read error has a number, an error of the decompressor has none.
        number = getattr(error, "errno", None)
        if number:
            raise ResilienceError(
                _("the backup cannot be unpacked: %(why)s", why=os.strerror(number)),
                option="work_dir",
                value=os.path.dirname(to),
                remedy=_("make room there, or look at the disk"),
            ) from error
        raise archive_toc.damaged(_not_unpacked(compression, error), path) from error
    return head


def _not_unpacked(compression: str, error: Exception) -> Message:
    return _("its %(packing)s does not unpack (%(why)s)", packing=compression, why=str(error))


def _too_large(path: str, allowed: int) -> ResilienceError:
    return ResilienceError(
        _("unpacked, the backup is larger than the %(bytes)d bytes it may have", bytes=allowed),
        option="backup",
        value=path,
        remedy=_("give staging more room, or look whether this is a real backup"),
    )
