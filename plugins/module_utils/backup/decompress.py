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
import queue
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

from ..common import program_output
from ..common.errors import ResilienceError
from ..common.messages import Message, _
from ..common.system_errors import reason
from . import archive_toc, file_kind, restore_errors
from .unreadable import unreadable_error

PIECE = 1 << 20
# Left free on the filesystem that a backup is unpacked to, bytes.
HEADROOM = 256 << 20
# Blocks that are unpacked ahead of whoever reads.
AHEAD = 4
# A window of the largest size is allowed: zstd --long=31 makes such.
PROGRAMS = {"zstd": ("zstd", "-dcq", "--long=31"), "lz4": ("lz4", "-dcq")}


class _WithoutPadding:
    """A file without the zero bytes at its end, which xz allows (Stream Padding in its format)."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        end = file.seek(0, os.SEEK_END)
        self._left = end
        while self._left and self._left % 4 == 0:
            start = max(0, self._left - PIECE)
            file.seek(start)
            block = file.read(self._left - start)
            kept = len(block.rstrip(b"\0"))
            self._left = start + kept
            if kept:
                break
        # Padding is whole groups of four bytes, as the stream before it is.
        self._left = min(end, -(-self._left // 4) * 4)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        size_now = self._left if size < 0 else min(size, self._left)
        block = self._file.read(size_now)
        self._left -= len(block)
        return block


class _EnoughReadError(BaseException):
    """Leaves a stream that is not read to its end; no error, so that nobody looks for its cause."""


@contextlib.contextmanager
def _opened(path: str, compression: str, time_limit: float) -> Iterator[IO[bytes]]:
    if compression == "none":
        with open(path, "rb", buffering=0) as bare:
            yield bare
    elif compression == "gzip":
        with gzip.open(path, "rb") as stream:
            yield stream  # type: ignore[misc]
    elif compression == "xz":
        with (
            open(path, "rb") as source,
            lzma.open(cast(IO[bytes], _WithoutPadding(source))) as stream,
        ):
            yield stream
    else:
        with (
            open(path, "rb") as source,
            program_output.program_output(
                PROGRAMS[compression], time_limit=time_limit, stdin=source
            ) as stream,
        ):
            yield stream


def head(path: str, compression: str, size: int, time_limit: float) -> bytes:
    """Return the first bytes of a file, unpacked.

    Args:
        path: the file.
        compression: as of `reading`.
        size: how many; fewer only where the file ends.
        time_limit: as of `reading`.

    Raises:
        ResilienceError: as of `reading`.
    """
    found = b""
    with reading(path, compression, time_limit, whole=False) as read:
        while len(found) < size and (block := read(size - len(found))):
            found += block
    return found


@contextlib.contextmanager
def reading(
    path: str, compression: str, time_limit: float, *, whole: bool = True
) -> Iterator[Callable[[int], bytes]]:
    """Yield a function that returns the next unpacked bytes of a file, up to a number.

    Args:
        path: the file.
        compression: as `file_kind.compression` names it, or `none`.
        time_limit: seconds for the program that unpacks, where one does.
        whole: whether it is read to its end. Then unpacking goes on beside the reader, and a
            program that fails behind the last byte is an error, too.

    Raises:
        BackupError: it is damaged; also from the function.
        ResilienceError: it cannot be read.
    """
    try:
        with contextlib.suppress(_EnoughReadError), contextlib.ExitStack() as stack:
            try:
                stream = stack.enter_context(_opened(path, compression, time_limit))
            except OSError as error:
                raise unreadable_error(path, error) from error

            def read(size: int) -> bytes:
                try:
                    return stream.read(size)
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                    raise _read_error(path, compression, error) from error

            beside = whole and compression != "none"
            yield stack.enter_context(_ahead(read)) if beside else read
            if not whole:
                # A program that still unpacks is ended then, and not waited for.
                raise _EnoughReadError
    except program_output.ProgramFailedError as error:
        if error.cut_off:
            raise restore_errors.cut_off(str(error)) from error
        raise archive_toc.damaged(_not_unpacked(compression, error), path) from error


def _read_error(path: str, compression: str, error: Exception) -> ResilienceError:
    # A read error of the disk has a number, an error of the decompressor has none.
    if isinstance(error, OSError) and error.errno:
        return unreadable_error(path, error)
    return archive_toc.damaged(_not_unpacked(compression, error), path)


@contextlib.contextmanager
def _ahead(read: Callable[[int], bytes]) -> Iterator[Callable[[int], bytes]]:
    """Yield a function that reads the same, while a thread reads some blocks ahead of it."""
    blocks: queue.Queue[bytes | Exception] = queue.Queue(AHEAD)
    ended = threading.Event()

    def fill() -> None:
        block: bytes | Exception = b"-"
        while block and not isinstance(block, Exception) and not ended.is_set():
            try:
                block = read(PIECE)
            except Exception as error:  # raised where it is read
                block = error
            while not ended.is_set():
                with contextlib.suppress(queue.Full):
                    blocks.put(block, timeout=0.1)
                    break

    thread = threading.Thread(target=fill, name="unpack-ahead", daemon=True)
    thread.start()
    held = b""
    last = False

    def next_bytes(size: int) -> bytes:
        nonlocal held, last
        if not held and not last:
            block = blocks.get()
            if isinstance(block, Exception):
                last = True
                raise block
            held, last = block, not block
        taken, held = held[:size], held[size:]
        return taken

    try:
        yield next_bytes
    finally:
        ended.set()
        thread.join()


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
        with reading(path, compression, limit) as read, open(to, "wb") as out:
            while piece := read(PIECE):
                size += len(piece)
                if size > allowed:
                    raise _too_large(path, allowed)
                head += piece[: max(0, file_kind.HEAD_BYTES - len(head))]
                out.write(piece)
    except OSError as error:
        raise ResilienceError(
            _("the backup cannot be unpacked: %(why)s", why=reason(error)),
            option="work_dir",
            value=os.path.dirname(to),
            remedy=_("make room there, or look at the disk"),
        ) from error
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
