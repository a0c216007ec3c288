# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare a backup for its restore: recognise, unpack, decode.

In this order: the format by content, unpacking within a limit, the archive's version against the
client's, a full decode. What fails here fails before any staging exists. The digest is verified
before all this, see `backup_digest.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import shutil
import stat
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..common import program_output
from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, join, ngettext, with_forms
from ..database import postgres
from ..inventory.inventory import readable
from . import (
    archive_data,
    archive_toc,
    archive_whole,
    decompress,
    file_kind,
    plain_dump,
    restore_errors,
)
from .archive_data import DecodeResult
from .identifiers import copy_table
from .unreadable import unreadable_error

Progress = Callable[[int, int], None]
CONTENTS = "toc.dat"


@dataclasses.dataclass(frozen=True)
class Archive:
    """A backup that is proved complete and ready to be restored.

    Attributes:
        path: the backup as it was found.
        ready_path: what `pg_restore` (or, for `plain`, the server) is to be fed.
        format: `custom`, `directory`, `tar` or `plain`.
        compression: around it: `gzip`, `zstd`, `xz`, `lz4` or `none`.
        bytes: of the backup as it was found.
        toc: the archive's own table of contents; for `plain`, of its comments.
        rows: of the archive, by (schema, table); None where they cannot be counted.
        proof: text on how its completeness was proved.
        data_bytes: of the rows and large objects, as text, decompressed.
        schema_bytes: of the rows by schema; empty for `plain`.
        proved: False for a plain dump that is to be read while it is restored: only the head of
            its table of contents is known, and `ready_path` is packed as the backup is.
    """

    path: str
    ready_path: str
    format: str
    compression: str
    bytes: int
    toc: archive_toc.Toc
    rows: dict[tuple[str, str], int | None]
    proof: str
    data_bytes: int = 0
    schema_bytes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    proved: bool = True

    @property
    def label(self) -> str:
        """Return format and compression, as `custom+gzip`."""
        return self.format if self.compression == "none" else f"{self.format}+{self.compression}"


def prepare(
    path: str,
    work_dir: str,
    binaries: postgres.Binaries,
    *,
    time_limit: float = 3600,
    largest: int | None = None,
    in_one_walk: bool = False,
    progress: Progress | None = None,
) -> Archive:
    """Unpack a backup and prove that it is complete.

    Args:
        path: the backup.
        work_dir: where it is unpacked; what is put there belongs to the caller.
        binaries: PostgreSQL's programs that are to restore it.
        time_limit: seconds for each of the other programs.
        largest: bytes that it may have unpacked; what the filesystem has room for when left out.
        in_one_walk: leave a plain dump to be unpacked and proved while it is restored.
        progress: called with bytes decoded and bytes in all.

    Raises:
        ResilienceError: it is no dump (the message says what it is), is damaged, cut off, too
            large, or needs a newer client.
    """
    is_folder = os.path.isdir(path)
    archive = (
        _folder(path) if is_folder else _file(path, work_dir, largest, time_limit, in_one_walk)
    )
    _check_client(archive, binaries)
    return _proved(archive, binaries, time_limit, progress)


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


def _folder(path: str) -> Archive:
    check_kind(path)
    with _readable(path):
        size = sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
        toc = archive_toc.read(os.path.join(path, CONTENTS))
        size_of_contents = os.path.getsize(os.path.join(path, CONTENTS))
    archive_whole.check_contents_end(toc, size_of_contents, path)
    # The head of its table of contents calls itself a tar's (_CloseArchive in
    # pg_backup_directory.c), as both keep an entry a file.
    toc = dataclasses.replace(toc, format="directory")
    return Archive(path, path, "directory", "none", size, toc, {}, "")


def _file(
    path: str, work_dir: str, largest: int | None, time_limit: float, in_one_walk: bool
) -> Archive:
    with _readable(path):
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
    compression = file_kind.compression(head)
    ready = path
    if in_one_walk and (unread := _unread(path, compression or "none", size, time_limit)):
        return unread
    if compression:
        ready = os.path.join(work_dir, "unpacked.dump")
        head = decompress.unpack(path, ready, compression, largest, time_limit)
    found = file_kind.dump_format(head)
    if found is None:
        what = file_kind.describe(head)
        raise _no_dump(
            path,
            _("%(packing)s, and inside %(what)s", packing=compression, what=what)
            if compression
            else what,
        )
    packing = compression or "none"
    if found == "plain":
        held = plain_dump.read(ready)
        return with_contents(Archive(path, ready, found, packing, size, held.toc, {}, ""), held)
    return Archive(path, ready, found, packing, size, _contents(ready, found), {}, "")


def _unread(path: str, compression: str, size: int, time_limit: float) -> Archive | None:
    """Return a plain dump of which only the head was read; None for another file."""
    with decompress.reading(path, compression, time_limit, whole=False) as read:
        head = b""
        while len(head) < file_kind.HEAD_BYTES and (block := read(file_kind.HEAD_BYTES)):
            head += block
        if file_kind.dump_format(head) != "plain":
            return None
        rest = io.BytesIO(head)
        held = plain_dump.read_head(lambda most: rest.read(most) or read(most), path)
    return Archive(path, path, "plain", compression, size, held.toc, {}, "", size, proved=False)


def with_contents(archive: Archive, held: plain_dump.PlainDump) -> Archive:
    """Return a plain dump that was read to its end.

    Args:
        archive: the dump.
        held: what it holds.
    """
    proof = _("every row was read up to the dump's completion line")
    read = dataclasses.replace(archive, toc=held.toc, proof=proof, proved=True)
    return _archive_with_rows(read, held.rows)


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


def _contents(path: str, found: str) -> archive_toc.Toc:
    if found == "tar":
        return _tar_contents(path)
    return archive_toc.read(path)


def _tar_contents(path: str) -> archive_toc.Toc:

    toc_path = path + ".toc"
    try:
        with tarfile.open(path) as tar, open(toc_path, "wb") as file:
            member = tar.extractfile("toc.dat")
            if member is None:
                raise archive_toc.damaged(_("its toc.dat is no file"), path)
            shutil.copyfileobj(member, file)
        toc = archive_toc.read(toc_path)
        archive_whole.check_contents_end(toc, os.path.getsize(toc_path), path)
        return toc
    except (tarfile.TarError, KeyError) as error:
        raise archive_toc.damaged(str(error), path) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(toc_path)


def _check_client(archive: Archive, binaries: postgres.Binaries) -> None:
    """Refuse a server that is older than the one that was dumped ("pg_dump" in the manual)."""
    made = re.match(r"\d+", archive.toc.server_version)
    # No program reads a plain dump, whatever pg_dump wrote it.
    layout = 0 if archive.format == "plain" else archive_toc.CLIENT_FOR.get(archive.toc.version, 0)
    needed = max(layout, int(made[0]) if made else 0)
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


def _proved(
    archive: Archive, binaries: postgres.Binaries, time_limit: float, progress: Progress | None
) -> Archive:
    """Return the archive once all of it is decoded."""
    toc = archive.toc
    if archive.format == "plain":
        return archive  # it was read whole to find out what it holds
    if archive_data.supports(toc):
        by_id = archive_data.decode(archive.ready_path, toc, progress=progress)
        held = sum(decoded.large_objects for decoded in by_id.values())
        archive_whole.check_large_objects(toc, held, archive.path)
        entries = {entry.dump_id: entry for entry in toc.entries if entry.dump_id in by_id}
        by_table = {
            # Large objects are in no table; their bytes count all the same.
            (entries[number].schema, entries[number].name): held
            for number, held in by_id.items()
        }
        decoded = _("all %(count)d data entries decoded", count=len(by_id))
        marks = (
            _("checksum and end mark of each verified")
            if toc.compression == "gzip"
            else _("end mark of each verified")
        )
        proof = join([decoded, marks])
    else:
        by_table = _through_pg_restore(archive, binaries, time_limit)
        proof = _(
            "pg_restore decoded all of it, %(count)d tables to the end of their rows",
            count=len(by_table),
        )
    return _archive_with_rows(dataclasses.replace(archive, proof=proof), by_table)


def _archive_with_rows(
    archive: Archive, by_table: Mapping[tuple[str, str], DecodeResult]
) -> Archive:
    """Return the archive with its rows by table."""
    tables = {
        (entry.schema, entry.name)
        for entry in archive.toc.entries
        if entry.kind in ("TABLE DATA", "TABLE")
    }
    rows = {key: decoded.rows for key, decoded in by_table.items() if key in tables}
    size = sum(decoded.bytes for decoded in by_table.values())
    by_schema: Counter[str] = Counter()
    for (schema, _table), decoded in by_table.items():
        by_schema[schema] += decoded.bytes
    return dataclasses.replace(archive, rows=rows, data_bytes=size, schema_bytes=by_schema)


def _through_pg_restore(
    archive: Archive, binaries: postgres.Binaries, time_limit: float
) -> dict[tuple[str, str], DecodeResult]:
    """Decode with pg_restore what `archive_data` does not read: tar archives, lz4 and zstd.

    pg_restore writes an emptied data file without an error, so the ends of rows are checked here.
    """
    try:
        with program_output.program_output(
            binaries.command(
                "pg_restore", ["--data-only", "--file=-", archive.ready_path], [archive.ready_path]
            ),
            time_limit=time_limit,
        ) as stream:
            counts = plain_dump.rows(stream, archive.path)
    except program_output.ProgramFailedError as error:
        if "does not support compression" in str(error):
            raise ResilienceError(
                _(
                    "the backup is packed in %(packing)s, which this pg_restore cannot read",
                    packing=archive.toc.compression,
                ),
                option="bin_dir",
                value=binaries.bin_dir,
                remedy=_("name a PostgreSQL that was built with it; those of Debian and PGDG are"),
            ) from error
        if error.cut_off:
            raise restore_errors.cut_off(str(error)) from error
        raise archive_toc.damaged(str(error), archive.path) from error
    if archive.format == "tar":
        held = archive_whole.tar_large_objects(archive.ready_path)
        archive_whole.check_large_objects(archive.toc, held, archive.path)
    elif archive.format == "directory":
        held = archive_whole.folder_large_objects(archive.ready_path, archive.toc)
        archive_whole.check_large_objects(archive.toc, held, archive.path)
    expected = {
        copy_table(entry.copy_statement)
        for entry in archive.toc.entries
        if entry.kind == "TABLE DATA" and entry.has_data and entry.copy_statement
    }
    missing = sorted(expected - set(counts))
    if missing:
        names = ", ".join(".".join(key) for key in missing[:3])
        text = ngettext(
            "it lacks the rows of %(count)d table: %(names)s",
            "it lacks the rows of %(count)d tables: %(names)s",
            len(missing),
            names=names,
        )
        raise archive_toc.damaged(text, archive.path)
    return counts


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
