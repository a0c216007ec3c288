# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of the backups of a tree: this reads all of it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ..common.messages import _
from .inventory import BackupFile, Inventory, bounded_ns, readable, reading_problem

BLOCK = 1 << 20
_LEAST_BLOCK = 1 << 15


def sha256(path: str, report_progress: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a regular file's content, hexadecimal.

    Args:
        path: the file; a link or a special file is refused, not followed or opened.
        report_progress: called with the number of bytes after each block.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """

    # O_NONBLOCK: a named pipe put in the file's place since it was listed must not hang us.
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file", path)
        return opened_sha256(number, status.st_size, report_progress)
    finally:
        os.close(number)


def opened_sha256(
    number: int, size: int, report_progress: Callable[[int], None] | None = None
) -> str:
    """Return the SHA-256 of what a descriptor, opened to read, has before it.

    Args:
        number: the descriptor.
        size: of the file; a small one needs no large block.
        report_progress: called with the number of bytes after each block.

    Raises:
        OSError: it cannot be read.
    """
    block_size = min(BLOCK, max(size + 1, _LEAST_BLOCK))
    digest = hashlib.sha256()
    while block := os.read(number, block_size):
        digest.update(block)
        if report_progress:
            report_progress(len(block))
    return digest.hexdigest()


def with_digests(
    tree: Inventory,
    known: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Return the same tree with the SHA-256 of every backup.

    Args:
        tree: as `inventory.scan` returned it, without digests.
        known: digests by path that need not be taken again.
        progress: called with bytes read and bytes to read in all.
    """
    found = dataclasses.replace(
        tree,
        files=list(tree.files),
        in_progress=list(tree.in_progress),
        problems=list(tree.problems),
    )
    _digest_all(found, progress, known)
    return found


def _with_digest(file: BackupFile, sha256: str) -> BackupFile:
    # `_replace` takes four times as long.
    return BackupFile(file.path, file.tier, file.bytes, file.mtime_ns, sha256, file.taken_at)


def _shares(files: list[BackupFile], known: Mapping[str, str]) -> list[list[BackupFile]]:
    """Return the files in shares, each of some work for one thread, in their order."""
    shares: list[list[BackupFile]] = []
    room = 0
    for file in files:
        if room <= 0:
            shares.append([])
            room = BLOCK
        shares[-1].append(file)
        # Opening a file costs as much as reading some kilobytes of it.
        room -= 64 if file.path in known else file.bytes + 4096
    return shares


def _digest_all(
    found: Inventory,
    progress: Callable[[int, int], None] | None,
    known: Mapping[str, str] | None = None,
) -> None:
    held = known or {}
    if all(file.path in held for file in found.files):
        found.files[:] = [_with_digest(file, held[file.path]) for file in found.files]
        return
    total = sum(file.bytes for file in found.files if file.path not in held)
    done = 0

    def report_progress(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    def one(file: BackupFile) -> BackupFile | str | None:
        if digest := held.get(file.path):
            return _with_digest(file, digest)
        path = os.path.join(found.root, file.path)
        try:
            content = sha256(path, report_progress)
            after = os.lstat(path)
        except FileNotFoundError:
            return _(
                "%(file)s: vanished while it was read (rotated away?)", file=readable(file.path)
            )
        except OSError as error:
            return reading_problem(file.path, error)
        if (after.st_size, bounded_ns(after.st_mtime_ns)) != (file.bytes, file.mtime_ns):
            found.in_progress.append(readable(file.path))
            return None
        return file._replace(sha256=content)

    def all_of(files: list[BackupFile]) -> list[BackupFile | str | None]:
        return [one(file) for file in files]

    # hashlib releases the interpreter lock, so threads use every core.
    # With small files they would mostly wait for that lock.
    large = total > _LEAST_BLOCK * len(found.files)
    workers = min(8, os.cpu_count() or 1) if large else 1
    with ThreadPoolExecutor(max_workers=workers) as pool:
        shares = _shares(found.files, held)
        results = [result for share in pool.map(all_of, shares) for result in share]
    found.problems.extend(result for result in results if isinstance(result, str))
    found.files[:] = [result for result in results if isinstance(result, BackupFile)]
