# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of a kind of backup.

A kind is one file, `kind_<name>.py`, and a line in `kinds.py`; the rest of the house uses what is
declared here and knows no format by its name. The first bytes by which a file is recognised stand
in `file_kind.py`, which the backup server reads without all this.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..common.stop import Stop
from ..database.postgres import Binaries, Server
from .archive_data import DecodeResult
from .archive_entry import Entry
from .archive_toc import Toc

Progress = Callable[[int, int], None]


class Kind:
    """What a kind of backup is, whether one is whole, what it holds, how it is loaded.

    Attributes:
        name: as in `--format` of pg_dump, and in reports.
        suffix: of the name of a new backup.
        any_suffix: whether people give such backups other endings, and a pattern may.
        is_folder: whether a backup is a folder.
        in_pipe: whether pg_dump writes it into a pipe, without files of its own meanwhile.
        dumped_by_several: whether several processes of pg_dump can write it.
        loaded_by_several: whether several processes can load it.
        compressed: whether compression is `inside` of it, `around` it, or not to be had (`never`).
        read_at_once: whether it is read in one walk while it is loaded, so that before only its
            head is known. Other kinds have their contents apart from their data.
        in_parts: whether entries can be chosen, so that one tenant can be restored.
        numbered: whether entries carry the numbers that pg_dump gave them (`archive_numbers`).
        holds_the_database: whether owner, privileges, comment and settings of the database itself
            are in it, and not just statements on one of production's name.
        shows_row_security: whether it shows that rows were dumped with row-level security on.
    """

    name: str
    suffix: str
    any_suffix = False
    is_folder = False
    in_pipe = False
    dumped_by_several = False
    loaded_by_several = False
    compressed = "inside"
    read_at_once = False
    in_parts = True
    numbered = True
    holds_the_database = True
    shows_row_security = False

    def contents(self, path: str, compression: str = "none", time_limit: float = 60) -> Toc:
        """Return what a backup says that it holds.

        Args:
            path: of it.
            compression: around it; only a kind that is read at once reads a packed one.
            time_limit: seconds for the program that unpacks it, where one does.

        Raises:
            BackupError: it is damaged, or is no backup of this kind.
        """
        raise NotImplementedError

    def client(self, toc: Toc) -> int:
        """Return the oldest major version of PostgreSQL's programs that read it; 0 for any."""
        raise NotImplementedError

    def prove(self, archive: Archive, proving: Proving) -> Archive:
        """Return a backup that was read to its end, with its rows.

        Args:
            archive: what is known of it.
            proving: how.

        Raises:
            BackupError: it is damaged.
            ResilienceError: it cannot be read here, which proves nothing against it.
            StoppedError: this was stopped.
        """
        raise NotImplementedError

    def load(self, load: Load) -> Loaded:
        """Load a backup into a database.

        Args:
            load: what, where and how.

        Raises:
            BackupError: it is damaged.
            TimeoutError: it did not end in time.
            ResilienceError: the server or the machine failed meanwhile.
        """
        raise NotImplementedError

    def is_nameless(self, entries: Iterable[Entry], statements: Iterable[str]) -> bool:
        """Return whether a backup names no owners, though it has objects.

        Args:
            entries: of its contents.
            statements: on owners and privileges in it, beside those of the entries.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Archive:
    """A backup that can be restored.

    Attributes:
        path: the backup as it was found.
        ready_path: what is to be loaded.
        kind: of which kind it is.
        compression: around it: `gzip`, `zstd`, `xz`, `lz4` or `none`.
        bytes: of the backup as it was found.
        toc: its table of contents.
        rows: of it, by (schema, table); None where they cannot be counted.
        proof: text on how its completeness was proved.
        data_bytes: of the rows and large objects, as text, decompressed; before it is proved, those
            that are known to be there at least.
        schema_bytes: of the rows by schema; empty for a kind that is read at once.
        proved: False for one that is to be read to its end while it is restored: its rows are not
            known before. Of a kind that is read at once just the head of the contents is known, and
            `ready_path` is packed as the backup is.
        proved_in: seconds that the proof took.
    """

    path: str
    ready_path: str
    kind: Kind
    compression: str
    bytes: int
    toc: Toc
    rows: Mapping[tuple[str, str], int | None] = dataclasses.field(default_factory=dict)
    proof: str = ""
    data_bytes: int = 0
    schema_bytes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    proved: bool = True
    proved_in: float = 0.0

    @property
    def label(self) -> str:
        """Return kind and compression, as `custom+gzip`."""
        name = self.kind.name
        return name if self.compression == "none" else f"{name}+{self.compression}"

    def proved_by(self, proof: str, data: Mapping[tuple[str, str], DecodeResult]) -> Archive:
        """Return the archive once it was read to its end.

        Args:
            proof: text on how.
            data: what was read, by (schema, table) or (schema, name of the entry).
        """
        tables = {
            (entry.schema, entry.name)
            for entry in self.toc.entries
            if entry.kind in ("TABLE DATA", "TABLE")
        }
        by_schema: dict[str, int] = {}
        for (schema, _table), read in data.items():
            by_schema[schema] = by_schema.get(schema, 0) + read.bytes
        return dataclasses.replace(
            self,
            rows={key: read.rows for key, read in data.items() if key in tables},
            proof=proof,
            data_bytes=sum(by_schema.values()),
            schema_bytes=by_schema,
            proved=True,
        )


@dataclasses.dataclass(frozen=True)
class Proving:
    """How a backup is read to its end.

    Attributes:
        binaries: PostgreSQL's programs, for a kind or a compression that only they read.
        time_limit: seconds for each of them.
        workers: threads that read.
        progress: called with bytes done and bytes in all.
        stop: ends it early.
    """

    binaries: Binaries
    time_limit: float = 3600
    workers: int = 1
    progress: Progress | None = None
    stop: Stop = dataclasses.field(default_factory=Stop)

    @classmethod
    def by_all(
        cls, binaries: Binaries, time_limit: float, progress: Progress | None = None
    ) -> Proving:
        """Return how a backup is read where nothing else is done meanwhile, by every core."""
        # zlib lets go of the interpreter lock.
        return cls(binaries, time_limit, min(8, os.cpu_count() or 1), progress)

    @classmethod
    def beside(cls, binaries: Binaries, time_limit: float, stop: Stop) -> Proving:
        """Return how a backup is read while it is restored: that takes at least one core."""
        return cls(binaries, time_limit, max(1, min(4, (os.cpu_count() or 1) - 1)), stop=stop)


@dataclasses.dataclass(frozen=True)
class Load:
    """What is loaded, where and how.

    Attributes:
        archive: the backup.
        server, database: where to.
        create: makes the database, and returns the settings that it could not be given; called with
            whether one of that name is replaced.
        replace: whether it is, the first time.
        options: of pg_restore, beside where and what. Of another kind the same is left out.
        jobs: processes; what is best when left out.
        time_limit: seconds.
        keep_access: whether statements on owners and privileges are returned instead of left out.
        watch: called a few times a second; what it raises ends the load.
        progress: called with bytes loaded, and bytes in all.
    """

    archive: Archive
    server: Server
    database: str
    create: Callable[[bool], list[str]]
    replace: bool
    options: Sequence[str]
    jobs: int | None
    time_limit: float
    keep_access: bool
    watch: Callable[[], object] | None = None
    progress: Progress | None = None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The outcome of a load.

    Attributes:
        archive: the backup: one that is read at once is proved by now.
        jobs: processes; 1 also where several failed, and one was tried afterwards.
        errors: what failed, in PostgreSQL's words.
        harmless: what PostgreSQL reported that loses nothing.
        left_out: kinds of statements or entries that were not executed, and how many of each.
        not_set: settings that the database could not be given.
        access: statements on owners and privileges, to be executed when all else is there.
    """

    archive: Archive
    jobs: int
    errors: list[str]
    harmless: list[str]
    left_out: dict[str, int]
    not_set: list[str]
    access: Iterable[str] = ()
