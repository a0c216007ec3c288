# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are replaced whole: a reader sees the old content or the new, never a half."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import IO, Any

from .mask import mask

# Of names that no pattern of a backup or of a textfile collector fits.
TEMPORARY_PREFIX = ".new-"


def replace_file(
    path: str,
    content: str | bytes | Iterable[str],
    *,
    mode: int = 0o600,
    durable: bool = True,
    sole_writer: bool = False,
) -> None:
    """Replace a file, or make it, whole.

    The new content is written beside the file under a unique name, so that writers at the same time
    cannot mix, and is on the disk before it takes the file's name.

    Args:
        path: the file; its folder exists.
        content: bytes, or text, also in parts, which is written as UTF-8; what is no Unicode (half
            a surrogate pair, of a file name) is written as an escape.
        mode: its permissions, whatever the umask.
        durable: whether to write it to the disk at once, so that a power failure leaves the old
            content or the new; not needed for what can be installed again.
        sole_writer: whether the caller holds a lock: the name beside the file is always the same
            then, so that what a killed writer left is replaced by the next one.

    Raises:
        OSError: it cannot be written; the old file is as it was, and nothing is left beside it.
    """
    parts: Iterable[str | bytes] = [content] if isinstance(content, (str, bytes)) else content
    with replaced_file(path, mode=mode, durable=durable, sole_writer=sole_writer) as file:
        for part in parts:
            file.write(
                part if isinstance(part, bytes) else part.encode("utf-8", "backslashreplace")
            )


@contextlib.contextmanager
def replaced_file(
    path: str, *, mode: int = 0o600, durable: bool = True, sole_writer: bool = False
) -> Iterator[IO[bytes]]:
    """Replace a file by what is written within the context; the arguments are `replace_file`'s.

    Raises:
        OSError: as `replace_file`; an error within the context leaves the old file as it was, too.
    """
    folder = os.path.dirname(path) or "."
    own = os.path.basename(path) if sole_writer else os.urandom(8).hex()
    temporary = os.path.join(folder, f"{TEMPORARY_PREFIX}{own}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    flags |= os.O_TRUNC if sole_writer else os.O_EXCL
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_folder(folder)


def replace_json(path: str, value: Any, *, mode: int = 0o600, sole_writer: bool = False) -> None:
    """Replace a file with a value as JSON, secrets masked; see `replace_file`.

    Raises:
        OSError: it cannot be written.
        TypeError: JSON has no form for the value.
    """
    replace_file(path, mask(json.dumps(value)), mode=mode, sole_writer=sole_writer)


@contextlib.contextmanager
def usual_umask() -> Iterator[None]:
    """Let others enter the folders that are made within the block, whatever umask the caller has.

    It is the whole process's, so it is for programs of one thread.
    """
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def sync_folder(folder: str) -> None:
    """Write the folder's new entry to the disk, where its filesystem can."""
    # The content is in place already: a filesystem that cannot sync a folder refuses nothing.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
