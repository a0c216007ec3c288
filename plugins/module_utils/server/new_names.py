# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files get their names: by renames that never replace another file, after one write to disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

# linux/fcntl.h and linux/fs.h.
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_SYNC_FILE_RANGE_WRITE = 2


def is_impossible(error: OSError) -> bool:
    """Return whether this filesystem can hold no file of that name, whatever another one can."""
    return error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def rename_new(source: str, target: str) -> None:
    """Rename a file, but never over another one.

    Raises:
        FileExistsError: there is something at the target; both are as they were.
        OSError: it cannot be renamed.
    """
    code = _rename(_AT_FDCWD, source, _AT_FDCWD, target)
    if code == errno.ENOENT:  # most often the folder is there
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        code = _rename(_AT_FDCWD, source, _AT_FDCWD, target)
    if code == 0:
        return
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), target)
    # A filesystem without it: a link never replaces anything either.
    os.link(source, target, follow_symlinks=False)
    os.unlink(source)


def _rename(source_folder: int, source: str, target_folder: int, target: str) -> int:
    # renameat2(2)
    done = _libc.renameat2(
        source_folder, os.fsencode(source), target_folder, os.fsencode(target), _RENAME_NOREPLACE
    )
    return 0 if done == 0 else ctypes.get_errno()


class FolderMove:
    """Moves many files from one tree to another, each under its path; never over another file.

    The folder of the last file is kept open on both sides, so that the kernel does not walk to it
    for each file. Use it as a context.

    Args:
        source, target: the trees, on one filesystem.
    """

    def __init__(self, source: str, target: str) -> None:
        self._source, self._target = source, target
        self._folder: str | None = None
        self._descriptors = (-1, -1)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> FolderMove:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open.close()

    def move(self, path: str) -> None:
        """Move one file.

        Raises:
            OSError: as `rename_new`.
        """
        folder, _slash, name = path.rpartition("/")
        if folder != self._folder:
            self._enter(folder)
        source, target = self._descriptors
        if source < 0:
            rename_new(f"{self._source}/{path}", f"{self._target}/{path}")
            self._folder = None  # it is there now
        elif _rename(source, name, target, name):
            # Whatever is in the way, it is met again, and named.
            rename_new(f"{self._source}/{path}", f"{self._target}/{path}")

    def _enter(self, folder: str) -> None:
        self._open.close()
        self._folder, self._descriptors = folder, (-1, -1)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            found = []
            for tree in (self._source, self._target):
                found.append(os.open(f"{tree}/{folder}", flags))
                stack.callback(os.close, found[-1])
            self._descriptors = (found[0], found[1])
            self._open = stack.pop_all()


def sync_filesystem(folder: str) -> None:
    """Write everything on a folder's filesystem through to its disk: one call for all files.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    finally:
        os.close(descriptor)


def start_writing(path: str) -> None:
    """Let the kernel begin to write a file through to its disk; `sync_filesystem` waits for it.

    Where the kernel or the filesystem does not take the hint, that call has more to write.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # sync_file_range(2) of the whole file: 0 bytes means up to its end.
            _libc.sync_file_range(
                descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE
            )
        finally:
            os.close(descriptor)


_libc = ctypes.CDLL(None, use_errno=True)
