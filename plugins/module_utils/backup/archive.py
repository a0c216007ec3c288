# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare a backup for its restore: recognise, unpack, read its contents, read all of it.

In this order: the kind by content, unpacking within a limit, the version that it needs against the
one that is there, a full decode. Where it is restored into a place that is thrown away, the decode
goes on beside the restore, see `proof_beside.py`; anywhere else nothing is restored before it. The
digest is verified before all this, see `backup_digest.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import time
from collections.abc import Iterator
from typing import Any

from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, with_forms
from ..database import postgres
from ..inventory.inventory import readable
from . import decompress, file_kind, kinds
from .kind import Archive, Progress, Proving
from .kind_directory import CONTENTS
from .unreadable import unreadable_error


def prepare(
    path: str,
    work_dir: str,
    binaries: postgres.Binaries,
    *,
    time_limit: float = 3600,
    largest: int | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Unpack a backup and prove that it is complete.

    Args:
        path: the backup.
        work_dir: where it is unpacked; what is put there belongs to the caller.
        binaries: PostgreSQL's programs that are to restore it.
        time_limit: seconds for each of the other programs.
        largest: bytes that it may have unpacked; what the filesystem has room for when left out.
        progress: called with bytes decoded and bytes in all.

    Raises:
        ResilienceError: it is no dump (the message says what it is), is damaged, cut off, too
            large, or needs a newer client.
    """
    found = recognised(path, work_dir, binaries, time_limit=time_limit, largest=largest)
    return prove(found, Proving.by_all(binaries, time_limit, progress))


def prove(archive: Archive, proving: Proving) -> Archive:
    """Read a backup to its end.

    Raises:
        ResilienceError: it is damaged, or cannot be read here.
        StoppedError: this was stopped.
    """
    began = time.monotonic()
    proved = archive.kind.prove(archive, proving)
    return dataclasses.replace(proved, proved_in=time.monotonic() - began)


def recognised(
    path: str,
    work_dir: str,
    binaries: postgres.Binaries,
    *,
    time_limit: float = 3600,
    largest: int | None = None,
    packed: bool = False,
) -> Archive:
    """Unpack a backup and read its contents; all of it is still to be read, see `prove`.

    Args:
        path: the backup.
        work_dir: where it is unpacked; what is put there belongs to the caller.
        binaries: PostgreSQL's programs that are to restore it.
        time_limit: seconds for the program that unpacks it.
        largest: bytes that it may have unpacked; what the filesystem has room for when left out.
        packed: leave one of a kind that is read at once packed; it is unpacked while it is loaded.

    Raises:
        ResilienceError: as of `prepare`.
    """
    check_kind(path)
    if os.path.isdir(path):
        with _readable(path):
            size = sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
            toc = kinds.FOLDER.contents(path)
        archive = Archive(path, path, kinds.FOLDER, "none", size, toc)
    else:
        archive = _file(path, work_dir, largest, time_limit, packed)
    _check_client(archive, binaries)
    return dataclasses.replace(archive, data_bytes=archive.bytes, proved=False)


def check_kind(path: str) -> None:
    """Refuse what is neither a file nor a directory dump, before any of it is read.

    Raises:
        BackupError: it is something else, which the message names.
        ResilienceError: it cannot be read.
    """
    with _readable(path):
        mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise _no_dump(path, _("a device, a named pipe or a socket"))
    if stat.S_ISREG(mode) or os.path.isfile(os.path.join(path, CONTENTS)):
        return
    if os.path.isfile(os.path.join(path, "PG_VERSION")):
        raise _no_dump(path, _("a data folder of PostgreSQL"))
    with _readable(path):
        inner = [name for name in sorted(os.listdir(path)) if os.path.isdir(f"{path}/{name}")]
    for name in inner:
        if os.path.isfile(os.path.join(path, name, CONTENTS)):
            what = _("a folder around the directory dump %(name)s", name=readable(name))
            raise _no_dump(path, what)
    raise _no_dump(path, _("a folder without %(file)s", file=CONTENTS))


def _file(
    path: str, work_dir: str, largest: int | None, time_limit: float, packed: bool
) -> Archive:
    with _readable(path):
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
    compression = file_kind.compression(head)
    packing = compression or "none"
    ready = path
    if packed:
        unpacked = decompress.head(path, packing, file_kind.HEAD_BYTES, time_limit)
        kind = kinds.of_head(unpacked)
        if kind and kind.read_at_once:
            toc = kind.contents(path, packing, time_limit)
            return Archive(path, path, kind, packing, size, toc)
    if compression:
        ready = os.path.join(work_dir, "unpacked.dump")
        head = decompress.unpack(path, ready, compression, largest, time_limit)
    found = kinds.of_head(head)
    if found is None:
        what = file_kind.describe(head)
        if compression:
            what = _("%(packing)s, and inside %(what)s", packing=compression, what=what)
        raise _no_dump(path, what)
    return Archive(path, ready, found, packing, size, found.contents(ready))


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable_error(path, error) from error


def _no_dump(path: str, what: str) -> BackupError:
    return BackupError(
        _("this is no PostgreSQL dump but %(what)s", what=what),
        option="backup",
        value=path,
        remedy=_("name a file or folder that pg_dump made"),
        finding="archive.not_a_dump",
    )


def _check_client(archive: Archive, binaries: postgres.Binaries) -> None:
    needed = archive.kind.client(archive.toc)
    if binaries.major < needed:
        raise ResilienceError(
            _(
                "the backup needs client >= %(needed)d, installed is %(version)s",
                needed=needed,
                version=binaries.version,
            ),
            option="bin_dir",
            value=binaries.bin_dir,
            remedy=_("install postgresql-%(needed)d and name its bin folder", needed=needed),
        )


def to_dict(archive: Archive) -> dict[str, Any]:
    """Return what a report shows of an archive."""
    plain = {
        "file": os.path.basename(archive.path),
        "path": archive.path,
        "bytes": archive.bytes,
        "format": archive.label,
        "server_version": archive.toc.server_version,
        "dump_version": archive.toc.dump_version,
        "proof": archive.proof,
    }
    return with_forms(plain, "proof")
