# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of the backups of a tree: this reads all of it."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from ..common.messages import _
from .digest_column import DigestColumn
from .inventory import (
    BackupFile,
    BackupFiles,
    Inventory,
    bounded_ns,
    readable,
    reading_problem,
)
from .path_table import PathTable

BLOCK = 1 << 20
_LEAST_BLOCK = 1 << 15
# Shares that wait for a thread at one time, and the files of one: each is an object meanwhile.
_MOST_SHARES = 256
_MOST_SHARE_FILES = 64


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
        tree, in_progress=list(tree.in_progress), problems=list(tree.problems)
    )
    files = _digest_all(found, progress, known or {})
    return dataclasses.replace(found, files=files)


def _shares(files: Iterable[BackupFile], known: Mapping[str, str]) -> Iterator[list[BackupFile]]:
    """Yield the files in shares, each of some work for one thread, in their order."""
    share: list[BackupFile] = []
    room = BLOCK
    for file in files:
        share.append(file)
        # Opening a file costs as much as reading some kilobytes of it.
        room -= 64 if file.path in known else file.bytes + 4096
        if room <= 0 or len(share) >= _MOST_SHARE_FILES:
            yield share
            share, room = [], BLOCK
    if share:
        yield share


def _digest_all(
    found: Inventory, progress: Callable[[int, int], None] | None, held: Mapping[str, str]
) -> BackupFiles:
    """Return the files with digests; what has none is left out, and noted in `found`."""
    files = found.rows
    if isinstance(held, PathTable) and held.same_paths(files.table):
        return files.with_digests(held.column(0))
    total = sum(size for path, size in files.sizes.items() if path not in held)
    done = 0

    def report_progress(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    def one(file: BackupFile) -> str | None:
        """Return the digest, or None where there is none."""
        if digest := held.get(file.path):
            return digest
        path = os.path.join(found.root, found.stored.get(file.path, file.path))
        try:
            content = sha256(path, report_progress)
            after = os.lstat(path)
        except FileNotFoundError:
            problem = _(
                "%(file)s: vanished while it was read (rotated away?)", file=readable(file.path)
            )
            found.problems.append(problem)
            return None
        except OSError as error:
            found.problems.append(reading_problem(file.path, error))
            return None
        if (after.st_size, bounded_ns(after.st_mtime_ns)) != (file.bytes, file.mtime_ns):
            found.in_progress.append(readable(file.path))
            return None
        return content

    def all_of(share: list[BackupFile]) -> list[str | None]:
        return [one(file) for file in share]

    # hashlib releases the interpreter lock, so threads use every core.
    # With small files they would mostly wait for that lock.
    large = total > _LEAST_BLOCK * len(files)
    workers = min(8, os.cpu_count() or 1) if large else 1
    digests, without = DigestColumn(), []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        shares = _shares(files, held)
        while some := list(itertools.islice(shares, _MOST_SHARES)):
            for share, results in zip(some, pool.map(all_of, some)):
                for file, digest in zip(share, results):
                    digests.append(digest or "")
                    if digest is None:
                        without.append(file.path)
    digested = files.with_digests(digests)
    for path in without:
        del digested.table[path]
    return digested
