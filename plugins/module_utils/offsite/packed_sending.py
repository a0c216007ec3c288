# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send many small files to the gate in one stream, before its commit gets the inventory.

The gate is the program on the backup server that limits what the client's key can do; its command
`commit` takes an inventory and makes the files that have arrived part of the copy.

rsync reads its list of names byte by byte and runs three processes for each file; with 100,000
small files that is most of the time of a sync.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..inventory import packed_stream
from ..inventory.digest_cache import TakenDigest, taken_rows
from ..inventory.inventory import bounded_ns
from ..inventory.packed_stream import MOST_BYTES, Header
from ..inventory.path_list import PathList
from ..inventory.path_table import SIZES, PathTable, TableBuilder
from . import ssh
from .rsync import Item, SentFiles, Transfer
from .ssh_command import CUT, SshCommand
from .transport import Delivery

# With fewer files, a session of rsync takes no longer.
LEAST_FILES = 256
_BLOCK_BYTES = 1 << 17
# About what the header of a file takes in the stream.
_HEADER_BYTES = 64


def send(
    command: SshCommand, names: Sequence[str], delivery: Delivery, kilobytes: int | None
) -> tuple[Transfer, list[str]]:
    """Send files to a commit that waits for them.

    Args:
        command: the commit, which goes on to wait for the inventory.
        names: of the files.
        delivery: as for `Transport.send`.
        kilobytes: most KiB a second; None for no limit.

    Returns:
        The transfer, and the names that are left for rsync: large files, and what cannot be read.
    """
    rows = taken_rows(names.table if isinstance(names, PathList) else None)
    left: list[str] = []
    written = 0
    began = time.monotonic()
    try:
        for block in _blocks(delivery.source, names, rows, left):
            command.feed(block)
            written += len(block)
            if delivery.progress:
                delivery.progress(written)
            if kilobytes:
                ahead = written / (kilobytes * 1024) - (time.monotonic() - began)
                time.sleep(max(0.0, ahead))
        # The server confirms when it has everything; until then, data may still be in transit.
        if not command.read_until(packed_stream.RECEIVED).endswith(packed_stream.RECEIVED):
            raise ssh.ServerError(CUT, "", command.destination)
    except ssh.ServerError as error:
        failure = error.failure
        why = (error.problem, failure.kind, failure.remedy, failure.retryable)
        return Transfer(1, *why, bytes_sent=written), []
    taken = rows.table()
    return Transfer(0, sent=SentFiles(taken), bytes_sent=written, taken=taken), left


def sizes(sent: Sequence[Item], like: PathTable[Any] | None = None) -> PathTable[int]:
    """Return the bytes of what was sent, by path.

    Args:
        sent: of a transfer.
        like: a table with probably the same paths.
    """
    if isinstance(sent, SentFiles):
        return sent.table.view(SIZES, 0)
    return PathTable.sorted_from(SIZES, ((item.path, (item.bytes,)) for item in sent), like)


def _blocks(
    folder: str,
    names: Sequence[str],
    taken: TableBuilder[TakenDigest],
    left: list[str],
) -> Iterator[bytes]:
    """Yield the stream in blocks.

    Fills `taken` with what was packed and its digests, `left` with what rsync must send.
    """
    parts: list[bytes] = []
    size = 0
    for name in names:
        try:
            status, content = _read(folder, name)
        except FileNotFoundError:
            continue  # rotated away meanwhile
        except OSError:
            left.append(name)
            continue
        if content is None:
            left.append(name)
            continue
        mtime_ns = bounded_ns(status.st_mtime_ns)
        identity = (status.st_size, mtime_ns, status.st_ino, status.st_ctime_ns)
        taken.add(name, (*identity, hashlib.sha256(content).hexdigest()))
        header = Header(name, len(content), mtime_ns, status.st_mode)
        parts += (packed_stream.packed(header), content)
        size += len(content) + _HEADER_BYTES
        if size >= _BLOCK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join([*parts, packed_stream.END, b"\0"])


def _read(folder: str, name: str) -> tuple[os.stat_result, bytes | None]:
    """Return a file's status and its content; None where it is too large or changes meanwhile."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(f"{folder}/{name}", flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file", name)
        if status.st_size > MOST_BYTES:
            return status, None
        content = os.read(descriptor, status.st_size + 1)
    finally:
        os.close(descriptor)
    return status, content if len(content) == status.st_size else None
