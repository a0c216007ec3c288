# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archives of pg_dump have in common: PostgreSQL's own pg_restore loads them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from ..common import process, program_output
from ..common.errors import ResilienceError
from ..common.messages import _, join, ngettext
from ..database.postgres import UNPRIVILEGED, Server, client_prefix, connection_string
from . import (
    access_restore,
    archive_left_out,
    archive_toc,
    archive_whole,
    database_settings,
    plain_dump,
    restore_errors,
    sql_left_out,
)
from .archive_data import DecodeResult
from .archive_entry import Entry
from .archive_left_out import stands_last
from .archive_toc import Toc
from .identifiers import copy_table
from .kind import Archive, Kind, Load, Loaded, Proving

# From so many entries on, of so few bytes each, one process restores sooner than several.
MANY_ENTRIES, SMALL_ENTRY = 20_000, 4096


class ArchiveKind(Kind):
    """An archive with a table of contents, which pg_restore reads."""

    def decode(self, archive: Archive, proving: Proving) -> dict[int, DecodeResult] | None:
        """Return the data of each entry, by number; None where only pg_restore can read it.

        Raises:
            BackupError: something is damaged or missing.
            StoppedError: this was stopped.
        """
        return None

    def large_objects(self, archive: Archive) -> int | None:
        """Return how many large objects an archive has the content of, as far as it was not decoded
        here; None where that cannot be counted.

        Raises:
            BackupError: the archive is damaged.
        """
        return None

    def read_as_root(self, archive: Archive) -> str:
        """Return a file that pg_restore looks for in a way that only root can; empty for none."""
        return ""

    def client(self, toc: Toc) -> int:
        """Return the oldest major version of pg_restore that reads it; see `Kind`."""
        # A server that is older than the one that was dumped is refused ("pg_dump" in the manual).
        layout = archive_toc.CLIENT_FOR.get(toc.version, 0)
        return max(layout, archive_toc.major(toc.server_version))

    def is_nameless(self, entries: Iterable[Entry], statements: Iterable[str]) -> bool:
        """Return False: each entry names its owner; see `Kind`."""
        return False

    def prove(self, archive: Archive, proving: Proving) -> Archive:
        """Return an archive of which all data was decoded; see `Kind`."""
        toc = archive.toc
        by_id = self.decode(archive, proving)
        if by_id is None:
            counts = self._decode_by_program(archive, proving)
            proof = _(
                "pg_restore decoded all of it, %(count)d tables to the end of their rows",
                count=len(counts),
            )
            return archive.proved_by(proof, counts)
        held = sum(decoded.large_objects for decoded in by_id.values())
        archive_whole.check_large_objects(toc, held, archive.path)
        by_name = {
            # Large objects are in no table; their bytes count all the same.
            (entry.schema, entry.name): by_id[entry.dump_id]
            for entry in toc.entries
            if entry.dump_id in by_id
        }
        marks = (
            _("checksum and end mark of each verified")
            if toc.compression == "gzip"
            else _("end mark of each verified")
        )
        decoded_all = _("all %(count)d data entries decoded", count=len(by_id))
        return archive.proved_by(join([decoded_all, marks]), by_name)

    def _decode_by_program(
        self, archive: Archive, proving: Proving
    ) -> dict[tuple[str, str], DecodeResult]:
        """Decode with pg_restore what is not decoded here: tar archives, lz4 and zstd.

        pg_restore writes an emptied data file without an error, so the ends of rows are checked
        here.
        """
        path, arguments = archive.ready_path, ["--data-only", "--file=-", archive.ready_path]
        try:
            with program_output.program_output(
                proving.binaries.command("pg_restore", arguments, [path]),
                time_limit=proving.time_limit,
                stop=proving.stop,
            ) as stream:
                counts = plain_dump.rows(stream, archive.path)
        except program_output.ProgramFailedError as error:
            proving.stop.look()
            if "does not support compression" in str(error):
                raise ResilienceError(
                    _(
                        "the backup is packed in %(packing)s, which this pg_restore cannot read",
                        packing=archive.toc.compression,
                    ),
                    option="bin_dir",
                    value=proving.binaries.bin_dir,
                    remedy=_(
                        "name a PostgreSQL that was built with it; those of Debian and PGDG are"
                    ),
                ) from error
            if error.cut_off:
                raise restore_errors.cut_off(str(error)) from error
            raise archive_toc.damaged(str(error), archive.path) from error
        held = self.large_objects(archive)
        if held is not None:
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

    def load(self, load: Load) -> Loaded:
        """Restore an archive by pg_restore; see `Kind`."""
        deadline = time.monotonic() + load.time_limit
        archive, entries = load.archive, load.archive.toc.entries
        count = (load.jobs or best_jobs(archive)) if self.loaded_by_several else 1
        left_out = sql_left_out.of_options(load.options)

        def run(*, last: bool) -> process.ProcessResult:
            with archive_left_out.list_file(entries, left_out, last=last) as path:
                lists = [f"--use-list={path}"] if path else []
                options = [*load.options, *lists, f"--jobs={count}"]
                return process.run(
                    self._command(archive, load.server, load.database, options),
                    time_limit=deadline - time.monotonic(),
                    env={
                        "PATH": os.defpath,
                        "LC_ALL": "C.UTF-8",
                        "PGPASSWORD": load.server.password,
                        "PGOPTIONS": database_settings.SESSION,
                    },
                    cwd="/",
                    watch=load.watch,
                )

        def attempt(replace: bool) -> tuple[list[str], process.ProcessResult]:
            not_set = load.create(replace)
            outcome = run(last=False)
            if outcome.timed_out or outcome.cut_off or not any(map(stands_last, entries)):
                return not_set, outcome
            after = run(last=True)
            code, errors = outcome.code or after.code, outcome.errors + after.errors
            return not_set, after._replace(code=code, errors=errors)

        not_set, outcome = attempt(load.replace)
        if count > 1 and restore_errors.may_be_of_order(outcome.errors):
            # One process keeps the archive's order; the database was created above, so it may be
            # replaced.
            count = 1
            not_set, outcome = attempt(True)
        if outcome.timed_out:
            raise TimeoutError
        if outcome.cut_off:
            last = (outcome.errors.strip().splitlines() or [""])[-1]
            raise restore_errors.cut_off(f"{outcome.ending()}: {last}")
        errors, harmless = restore_errors.classify(outcome.errors)
        if outcome.code != 0 and not errors and not harmless:
            errors.append(f"it ended with {outcome.ending()}: {outcome.errors.strip()[-300:]}")
        names = dict(archive_left_out.names(entries, left_out))
        access = access_restore.of_archive(entries, load.database, load.server.user)
        return Loaded(archive, count, errors, harmless, names, not_set, access)

    def _command(
        self, archive: Archive, server: Server, database: str, options: Sequence[str]
    ) -> list[str]:
        connection = [
            f"--host={server.host}",
            f"--port={server.port}",
            f"--username={server.user}",
            f"--dbname={connection_string(database)}",
            "--no-password",
        ]
        binaries, path = server.binaries, archive.ready_path
        lists = [one.partition("=")[2] for one in options if one.startswith("--use-list=")]
        prefix: list[str] = []
        if not binaries.contained:
            as_root = self.read_as_root(archive)
            needs = [path, *lists, *([as_root] if as_root else [])]
            prefix = client_prefix(server, *needs, uid=0 if as_root else UNPRIVILEGED)
        arguments = [*options, *connection, path]
        return [*prefix, *binaries.command("pg_restore", arguments, [path, *lists])]


def default_jobs() -> int:
    """Return twice the number of processors, at most 8: while one process waits another works."""
    return min(8, 2 * (os.cpu_count() or 1))


def best_jobs(archive: Archive) -> int:
    """Return how many processes restore best: one where there are very many small tables.

    pg_restore sorts the remaining entries each time that it hands one out, which costs more than
    the parallel work gains: 3,000 tenants took 177 s with four jobs and 52 s with one. It does so
    with all entries of the archive where one tenant of them is restored; the highest number shows
    how many these are.
    """
    count = max((entry.dump_id for entry in archive.toc.entries), default=0)
    many, small = count > MANY_ENTRIES, archive.data_bytes < SMALL_ENTRY * count
    return 1 if many and small else default_jobs()
