# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a prepared archive into a new database of a server."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import Message, _, join
from ..common.safe_text import one_line
from ..database import marked_database
from ..database.connection import driver, open_connection
from ..database.postgres import Server, client_prefix, connection_string
from . import (
    access_restore,
    archive_left_out,
    database_locale,
    database_settings,
    restore_errors,
    roles_needed,
    sql_loader,
    staging_roles,
)
from .archive import Archive
from .archive_left_out import stands_last
from .plain_dump import PlainDump
from .sql_left_out import DATABASE_SETTING, LeftOut

Progress = Callable[[int, int], None]

# Formats that pg_restore reads in parallel.
PARALLEL = ("custom", "directory")
# From so many entries on, of so few bytes each, one process restores sooner than several.
MANY_ENTRIES, SMALL_ENTRY = 20_000, 4096
# The system catalogues that the queries of the checks join.
CATALOGUES = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_depend", "pg_description"),
    *("pg_index", "pg_inherits", "pg_namespace", "pg_proc", "pg_rewrite", "pg_sequence"),
    *("pg_trigger", "pg_type"),
)
# Archives name roles and tablespaces of production, which a staging does not have.
OPTIONS = ("--no-owner", "--no-privileges", "--no-tablespaces")


@dataclasses.dataclass(frozen=True)
class RestoreResult:
    """The outcome of a restore.

    Attributes:
        seconds: from creating the database to the last object.
        jobs: processes of pg_restore; 1 also where several failed, and one was tried afterwards.
        errors: what failed, in PostgreSQL's words; with any, the restore failed.
        harmless: what PostgreSQL reported that loses nothing.
        left_out: kinds of statements that were not executed, and how many of each.
        contents: what a plain dump holds, if it was proved while it was loaded.
        access: why owners and privileges were not restored afterwards; empty where they were, None
            where that was not requested.
    """

    seconds: float
    jobs: int
    errors: list[str]
    harmless: list[str]
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    contents: PlainDump | None = None
    access: Message | str | None = None


def default_jobs() -> int:
    """Return twice the number of processors, at most 8: while one process waits another works."""
    return min(8, 2 * (os.cpu_count() or 1))


def best_jobs(archive: Archive) -> int:
    """Return how many processes restore best: one where there are very many small tables.

    pg_restore sorts the remaining entries each time that it hands one out, which costs more than
    the parallel work gains: 3,000 tenants took 177 s with four jobs and 52 s with one.
    """
    many = len(archive.toc.entries) > MANY_ENTRIES
    small = archive.data_bytes < SMALL_ENTRY * len(archive.toc.entries)
    return 1 if many and small else default_jobs()


def restore(
    archive: Archive,
    server: Server,
    database: str,
    *,
    jobs: int | None = None,
    time_limit: float = 3600,
    replace: bool = False,
    options: Sequence[str] = OPTIONS,
    made_as: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    roles: Mapping[str, Mapping[str, Any]] | None = None,
    watch: Callable[[], object] | None = None,
    progress: Progress | None = None,
) -> RestoreResult:
    """Create a database and restore an archive into it.

    Args:
        archive: from `archive.prepare`.
        server: the staging server.
        database: name of the database, which must not exist unless it may be replaced.
        jobs: processes of pg_restore; a tar or plain dump has one (`PARALLEL`).
        time_limit: seconds, after which pg_restore and its children are ended.
        replace: drop a database of that name first, those connected to it included.
        options: of pg_restore, beside where and what; `OPTIONS` for a staging. Of a plain dump the
            same is left out.
        made_as: encoding and locale of the database; those that the archive names when left out.
        settings: of the database, beside those that the archive names.
        roles: of production, as `access.roles` has them: they are created in a throw-away server,
            and own and may do there what the backup says when all else is restored.
        watch: called a few times a second while a plain dump is loaded; what it raises ends it.
        progress: called with bytes of a plain dump read, and bytes in all.

    Raises:
        BackupError: a plain dump that is proved meanwhile is damaged.
        ResilienceError: the database cannot be created, the time limit was reached, or the server
            or the machine failed meanwhile, which proves nothing about the backup.
    """
    started, entries = time.monotonic(), archive.toc.entries
    database_options = database_locale.created_as(archive.toc, made_as or {})

    def create(replace: bool) -> list[str]:
        _create_database(server, database, replace, database_options)
        if replace and not server.mark:
            staging_roles.remove_marked(server)
        if roles is not None:
            needed = roles_needed.read(entries)
            named = needed.owners | needed.grantees | needed.policies
            staging_roles.create_marked(server, roles, named)
        return database_settings.apply(server, database, entries, settings or {})

    try:
        if archive.format == "plain":
            not_set = create(replace)
            left = time_limit - (time.monotonic() - started)
            kept: list[str] = []
            later = kept if roles is not None else None
            done = _load(archive, server, database, left, options, later, watch, progress)
            if roles is not None and done.contents:
                # All of its roles are known now.
                needed = roles_needed.read(done.contents.toc.entries)
                staging_roles.create_marked(server, {}, needed.owners | needed.grantees)
            statements: Iterable[str] = kept
            held = done.contents.toc.entries if done.contents else entries
            nameless = access_restore.is_nameless(held, kept)
        else:
            not_set, done = _restore_archive(
                archive, server, database, jobs, time_limit, options, create, replace
            )
            statements, nameless = access_restore.of_archive(entries, database, server.user), False
        if roles is not None:
            left = time_limit - (time.monotonic() - started)
            why = access_restore.restore(server, database, statements, left, nameless=nameless)
            done = dataclasses.replace(done, access=why)
    except TimeoutError as error:
        raise ResilienceError(
            _("the restore did not end within %(seconds)s s", seconds=f"{time_limit:g}"),
            option="time_limit",
            value=time_limit,
            remedy=_("a damaged dump can keep pg_restore busy for ever; else give it more time"),
        ) from error
    failure = next(
        (error for error in done.errors if restore_errors.is_environment_error(error)), None
    )
    if failure:
        raise restore_errors.environment_failure(failure)
    left_out = {**done.left_out, **{f"SET {name}": 1 for name in not_set}}
    seconds = time.monotonic() - started
    return dataclasses.replace(done, seconds=seconds, left_out=left_out)


def _load(
    archive: Archive,
    server: Server,
    database: str,
    time_limit: float,
    options: Sequence[str],
    later: list[str] | None,
    watch: Callable[[], object] | None,
    progress: Progress | None,
) -> RestoreResult:
    loaded = sql_loader.load(
        archive.ready_path,
        server,
        database,
        left_out=dataclasses.replace(_left_out(options), later=later is not None),
        time_limit=time_limit,
        compression="none" if archive.proved else archive.compression,
        note=not archive.proved,
        watch=watch,
        progress=progress,
    )
    if later is not None:
        later += loaded.access
    left_out = dict(loaded.left_out)
    # The settings of the dumped database were applied when this one was made (or are reported by
    # name); those of other databases were not executed.
    of_others = left_out.pop(DATABASE_SETTING, 0) - database_settings.count(archive.toc.entries)
    if of_others > 0:
        left_out["ALTER DATABASE"] = left_out.get("ALTER DATABASE", 0) + of_others
    # The caller knows when the whole restore began, and sets its seconds.
    return RestoreResult(0.0, 1, loaded.errors, loaded.harmless, left_out, loaded.contents)


def _restore_archive(
    archive: Archive,
    server: Server,
    database: str,
    jobs: int | None,
    time_limit: float,
    options: Sequence[str],
    create: Callable[[bool], list[str]],
    replace: bool,
) -> tuple[list[str], RestoreResult]:
    started = time.monotonic()
    count = (jobs or best_jobs(archive)) if archive.format in PARALLEL else 1
    left_out, entries = _left_out(options), archive.toc.entries

    def run(*, last: bool) -> process.ProcessResult:
        with archive_left_out.list_file(entries, left_out, last=last) as path:
            lists = [f"--use-list={path}"] if path else []
            return process.run(
                _command(archive, server, database, [*options, *lists, f"--jobs={count}"]),
                time_limit=time_limit - (time.monotonic() - started),
                env={
                    "PATH": os.defpath,
                    "LC_ALL": "C.UTF-8",
                    "PGPASSWORD": server.password,
                    "PGOPTIONS": database_settings.SESSION,
                },
                cwd="/",
            )

    def attempt(replace: bool) -> tuple[list[str], process.ProcessResult]:
        not_set = create(replace)
        outcome = run(last=False)
        if outcome.timed_out or outcome.cut_off or not any(map(stands_last, entries)):
            return not_set, outcome
        after = run(last=True)
        code, errors = outcome.code or after.code, outcome.errors + after.errors
        return not_set, after._replace(code=code, errors=errors)

    not_set, outcome = attempt(replace)
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
    return not_set, RestoreResult(0.0, count, errors, harmless, names)


def _left_out(options: Sequence[str]) -> LeftOut:
    return LeftOut(
        owners="--no-owner" in options,
        privileges="--no-privileges" in options,
        links="--no-owner" in options,
    )


def add_amcheck(server: Server, database: str) -> None:
    """Install amcheck in a restored database, where the server has it.

    Raises:
        ResilienceError: it cannot be installed.
    """
    psycopg2 = driver()
    connection = open_connection(server.dsn(database), settings=database_settings.OVERRIDES)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'")
            if cursor.fetchone():
                cursor.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
    except psycopg2.Error as error:
        raise ResilienceError(
            _("amcheck cannot be installed in staging: %(why)s", why=one_line(error)),
            option="amcheck",
            value=True,
            remedy=_("install PostgreSQL's contrib modules, or switch amcheck off"),
        ) from error
    finally:
        connection.close()


def analyze_catalogues(server: Server, database: str) -> None:
    """Give the planner the sizes of the system catalogues.

    Nothing has analysed them in a new database, and with thousands of tables the checks' queries
    then take a hundred times as long.

    Raises:
        ResilienceError: the server failed.
    """
    psycopg2 = driver()
    connection = open_connection(server.dsn(database), settings={"statement_timeout": 60_000})
    with contextlib.closing(connection), connection.cursor() as cursor:
        try:
            names = ", ".join(f"pg_catalog.{name}" for name in CATALOGUES)
            cursor.execute(f"ANALYZE {names}")
        except psycopg2.Error as error:
            raise restore_errors.environment_failure(one_line(error)) from error


def _create_database(
    server: Server, database: str, replace: bool, options: Mapping[str, str]
) -> None:
    """Create the database, with encoding and locale of the one that was dumped, where it can."""
    psycopg2 = driver()
    sql = psycopg2.sql
    connection = open_connection(server.dsn(server.maintenance_db))
    try:
        with connection.cursor() as cursor:
            if server.mark:
                _refuse_unmarked(cursor, server.mark, database)
            if replace:
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                cursor.execute(drop.format(sql.Identifier(database)))
            marked_database.create(cursor, database, server.mark, options)
    except psycopg2.Error as error:
        raise ResilienceError(
            _("the staging database cannot be created: %(why)s", why=str(error).strip()),
            option="database",
            value=database,
            remedy=_("remove the database of that name from staging, or name another"),
        ) from error
    finally:
        connection.close()


def _refuse_unmarked(cursor: Any, mark: str, database: str) -> None:
    """Refuse a database that is there and does not carry the mark."""
    if marked_database.marks(cursor, mark).get(database, mark) != mark:
        raise ResilienceError(
            _("a database of that name exists, and staging did not make it"),
            option="database",
            value=database,
            remedy=_("name another one, or drop that one yourself; nothing was touched"),
        )


def _command(archive: Archive, server: Server, database: str, options: Sequence[str]) -> list[str]:
    connection = [
        f"--host={server.host}",
        f"--port={server.port}",
        f"--username={server.user}",
        f"--dbname={connection_string(database)}",
        "--no-password",
    ]
    binaries, path = server.binaries, archive.ready_path
    lists = [one.partition("=")[2] for one in options if one.startswith("--use-list=")]
    prefix = [] if binaries.contained else _unprivileged(server, archive, lists)
    arguments = [*options, *connection, path]
    return [*prefix, *binaries.command("pg_restore", arguments, [path, *lists])]


def _unprivileged(server: Server, archive: Archive, lists: Sequence[str]) -> list[str]:
    needs = [archive.ready_path, *lists]
    if archive.format != "directory":
        return client_prefix(server, *needs)
    # pg_restore looks with access(2) which of its files exist, and that takes no account of the
    # capability to read them unless the user is root: root without any other capability.
    return client_prefix(server, *needs, os.path.join(archive.ready_path, "toc.dat"), uid=0)


def evidence(done: RestoreResult) -> str:
    """Return the evidence of a restore: how it ran, and what was left out."""
    ran = _(
        "%(jobs)d in parallel, harmless messages: %(harmless)d",
        jobs=done.jobs,
        harmless=len(done.harmless),
    )
    names = ", ".join(f"{name} ({count})" for name, count in sorted(done.left_out.items()))
    return join([ran, _("not executed: %(names)s", names=names) if names else ""], "; ")
