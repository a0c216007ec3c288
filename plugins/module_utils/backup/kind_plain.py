# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain SQL: text of statements, which our own reader executes over libpq."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from ..common.messages import _
from . import (
    access_restore,
    archive_toc,
    database_settings,
    decompress,
    plain_dump,
    sql_left_out,
    sql_loader,
)
from .archive_entry import Entry
from .archive_toc import Toc
from .kind import Archive, Kind, Load, Loaded, Proving
from .sql_left_out import DATABASE_SETTING


class PlainKind(Kind):
    """A file of `pg_dump -Fp`."""

    name, suffix = "plain", ".sql"
    in_pipe = read_at_once = shows_row_security = True
    compressed = "around"
    in_parts = numbered = holds_the_database = False

    def contents(self, path: str, compression: str = "none", time_limit: float = 60) -> Toc:
        """Return what a dump says of its database, its encoding and its versions; see `Kind`.

        That stands before everything else: nothing further is read, and it may be packed.
        """
        with decompress.reading(path, compression, time_limit, whole=False) as read:
            return plain_dump.read_head(read, path).toc

    def client(self, toc: Toc) -> int:
        """Return the oldest major version of a server that takes it; see `Kind`.

        No program reads it, whatever pg_dump wrote it.
        """
        return archive_toc.major(toc.server_version)

    def is_nameless(self, entries: Iterable[Entry], statements: Iterable[str]) -> bool:
        """Return whether no statement names an owner; see `Kind`."""
        return access_restore.is_nameless(entries, statements)

    def prove(self, archive: Archive, proving: Proving) -> Archive:
        """Return a dump that was read to its completion line; see `Kind`."""
        return _proved(archive, plain_dump.read(archive.ready_path))

    def load(self, load: Load) -> Loaded:
        """Execute a dump; see `Kind`. One that is not proved yet is proved in the same walk."""
        deadline = time.monotonic() + load.time_limit
        archive = load.archive
        not_set = load.create(load.replace)
        loaded = sql_loader.load(
            archive.ready_path,
            load.server,
            load.database,
            left_out=dataclasses.replace(
                sql_left_out.of_options(load.options), later=load.keep_access
            ),
            time_limit=deadline - time.monotonic(),
            compression="none" if archive.proved else archive.compression,
            note=not archive.proved,
            watch=load.watch,
            progress=load.progress,
        )
        left_out = dict(loaded.left_out)
        # The settings of the dumped database were applied when this one was made (or are reported
        # by name); those of other databases were not executed.
        own = database_settings.count(archive.toc.entries)
        of_others = left_out.pop(DATABASE_SETTING, 0) - own
        if of_others > 0:
            left_out["ALTER DATABASE"] = left_out.get("ALTER DATABASE", 0) + of_others
        if loaded.contents:
            archive = _proved(archive, loaded.contents)
        return Loaded(archive, 1, loaded.errors, loaded.harmless, left_out, not_set, loaded.access)


def _proved(archive: Archive, held: plain_dump.PlainDump) -> Archive:
    proof = _("every row was read up to the dump's completion line")
    return dataclasses.replace(archive, toc=held.toc).proved_by(proof, held.rows)
