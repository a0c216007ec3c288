# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes one backup from its file to something that can be restored, believing nothing on the way.

In this order: digest, what it is by content, unpacked under a limit, the archive's version against
the client's, a full decode. Whatever fails here fails before any staging exists.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hmac
import lzma
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from . import dump_toc, file_kind, inventory, plain_dump, postgres, process
from .errors import BackupError, ResilienceError

DIGEST_SUFFIX = ".sha256"
PIECE = 1 << 20
# Left free on the filesystem that a backup is unpacked to, bytes.
HEADROOM = 256 << 20
PROGRAMS = {"zstd": ("zstd", "-dcq"), "lz4": ("lz4", "-dcq")}

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Archive:
    """A backup that is proved whole and ready to be restored.

    Attributes:
        path: the backup as it was found.
        ready_path: what `pg_restore` (or, for `plain`, the server) is to be fed.
        format: `custom`, `tar` or `plain`.
        compression: around it: `gzip`, `zstd`, `xz`, `lz4` or `none`.
        bytes: of the backup as it was found.
        toc: the archive's own table of contents; for `plain`, of its comments.
        rows: rows that the archive holds, by (schema, table); None where it does not tell.
        proof: how its completeness was proved, in words.
    """

    path: str
    ready_path: str
    format: str
    compression: str
    bytes: int
    toc: dump_toc.Toc
    rows: dict[tuple[str, str], int | None]
    proof: str

    @property
    def label(self) -> str:
        """Format and compression in one word: `custom+gzip`."""
        return self.format if self.compression == "none" else f"{self.format}+{self.compression}"


def prepare(
    path: str,
    work_dir: str,
    binaries: postgres.Binaries,
    *,
    time_limit: float = 3600,
    largest: int | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Unpacks a backup and proves it whole.

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
    if os.path.isdir(path):
        raise _no_dump(path, "a folder")
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
    except OSError as error:
        raise ResilienceError(
            f"the backup cannot be read: {error.strerror}",
            option="backup",
            value=path,
            remedy="name a file that exists and may be read",
        ) from error
    compression = file_kind.compression(head)
    ready = path
    if compression:
        ready = os.path.join(work_dir, "unpacked.dump")
        head = _unpack(path, ready, compression, largest, time_limit)
    found = file_kind.dump_format(head)
    if found is None:
        what = file_kind.describe(head)
        raise _no_dump(
            path, f"{compression}-compressed, and inside {what}" if compression else what
        )
    archive = Archive(
        path, ready, found, compression or "none", size, _contents(ready, found), {}, ""
    )
    _check_client(archive, binaries)
    rows, proof = _prove(archive, binaries, time_limit, progress)
    return dataclasses.replace(archive, rows=rows, proof=proof)


def _no_dump(path: str, what: str) -> BackupError:
    return BackupError(
        f"this is no PostgreSQL dump but {what}",
        option="backup",
        value=path,
        remedy="name a file that pg_dump made",
    )


def _contents(path: str, found: str) -> dump_toc.Toc:
    if found == "plain":
        return plain_dump.read(path)
    if found == "tar":
        return _tar_contents(path)
    return dump_toc.read(path)


def _tar_contents(path: str) -> dump_toc.Toc:
    import tarfile  # noqa: PLC0415 - rarely needed

    toc_path = path + ".toc"
    try:
        with tarfile.open(path) as tar, open(toc_path, "wb") as file:
            member = tar.extractfile("toc.dat")
            if member is None:
                raise dump_toc.damaged("its toc.dat is no file", path)
            shutil.copyfileobj(member, file)
        return dump_toc.read(toc_path)
    except (tarfile.TarError, KeyError) as error:
        raise dump_toc.damaged(str(error), path) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(toc_path)


def _check_client(archive: Archive, binaries: postgres.Binaries) -> None:
    needed = dump_toc.CLIENT_FOR.get(archive.toc.version, 0)
    made_by = re.match(r"\d+", archive.toc.dump_version)
    if made_by and archive.format == "plain":
        needed = int(made_by[0])
    if binaries.major < needed:
        raise ResilienceError(
            f"the backup needs client >= {needed}, installed is {binaries.version}",
            option="bin_dir",
            value=binaries.bin_dir,
            remedy=f"install postgresql-{needed} and name its bin folder",
        )


def _prove(
    archive: Archive, binaries: postgres.Binaries, time_limit: float, progress: Progress | None
) -> tuple[dict[tuple[str, str], int | None], str]:
    """Decodes everything: rows by table, and how it was proved."""
    if archive.format == "plain":
        rows: dict[tuple[str, str], int | None] = dict(plain_dump.rows(archive.ready_path))
        return rows, "every row was read up to the dump's completion line"
    if dump_toc.supports(archive.toc):
        by_id = dump_toc.decode(archive.ready_path, archive.toc, progress=progress)
        tables = {entry.dump_id: entry for entry in archive.toc.entries}
        rows = {
            (tables[number].schema, tables[number].name): count
            for number, count in by_id.items()
            if tables[number].kind == "TABLE DATA"
        }
        checked = "checksum and " if archive.toc.compression == "gzip" else ""
        return rows, f"all {len(by_id)} data entries decoded, {checked}end mark of each verified"
    outcome = process.run(
        [binaries.path("pg_restore"), "--file=/dev/null", archive.ready_path],
        time_limit=time_limit,
    )
    if outcome.code != 0:
        said = (outcome.errors.strip().splitlines() or [""])[-1]
        raise dump_toc.damaged(f"pg_restore ended with {outcome.ending()}: {said}", archive.path)
    return {}, "pg_restore decoded all of it"


def to_dict(archive: Archive) -> dict[str, Any]:
    """What a report says of an archive."""
    return {
        "file": os.path.basename(archive.path),
        "path": archive.path,
        "bytes": archive.bytes,
        "format": archive.label,
        "server_version": archive.toc.server_version,
        "dump_version": archive.toc.dump_version,
        "proof": archive.proof,
    }
