# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a prepared archive into a new database of a server."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import Message, _, join
from ..common.safe_text import one_line
from ..database import marked_database
from ..database.connection import driver, open_connection
from ..database.postgres import Server
from . import (
    access_restore,
    database_locale,
    database_settings,
    restore_errors,
    roles_needed,
    staging_roles,
)
from .kind import Archive, Load, Progress
from .proof_beside import ProofBeside

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
        archive: the backup, proved; not part of a report.
        access: why owners and privileges were not restored afterwards; empty where they were, None
            where that was not requested.
    """

    seconds: float
    jobs: int
    errors: list[str]
    harmless: list[str]
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    archive: Archive | None = None
    access: Message | str | None = None


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
    proved: Callable[[Archive], object] | None = None,
    progress: Progress | None = None,
) -> RestoreResult:
    """Create a database and restore an archive into it.

    Args:
        archive: one that is not proved yet is proved meanwhile.
        server: the staging server.
        database: name of the database, which must not exist unless it may be replaced.
        jobs: processes that restore, where its kind allows several; what is best when left out.
        time_limit: seconds, after which pg_restore and its children are ended.
        replace: drop a database of that name first, those connected to it included.
        options: of pg_restore, beside where and what; `OPTIONS` for a staging. Of a plain dump the
            same is left out.
        made_as: encoding and locale of the database; those that the archive names when left out.
        settings: of the database, beside those that the archive names.
        roles: of production, as `access.roles` has them: they are created in a throw-away server,
            and own and may do there what the backup says when all else is restored.
        watch: called a few times a second meanwhile; what it raises ends the restore.
        proved: called with the archive once it is proved meanwhile, which one of a kind that is
            read at once is not; what it raises ends the restore.
        progress: called with bytes loaded, and bytes in all, of a kind that is read at once.

    Raises:
        BackupError: the backup, which is proved meanwhile, is damaged.
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
        with ProofBeside(archive, server.binaries, time_limit, proved) as proof:

            def look() -> None:
                proof.look()
                if watch:
                    watch()

            loaded = archive.kind.load(
                Load(
                    archive,
                    server,
                    database,
                    create,
                    replace,
                    options,
                    jobs,
                    time_limit - (time.monotonic() - started),
                    roles is not None,
                    look,
                    progress,
                )
            )
            held = loaded.archive if loaded.archive.proved else proof.result()
        why = None
        if roles is not None:
            # Of a kind that is read at once all roles are known only now.
            needed = roles_needed.read(held.toc.entries)
            staging_roles.create_marked(server, {}, needed.owners | needed.grantees)
            nameless = archive.kind.is_nameless(held.toc.entries, loaded.access)
            left = time_limit - (time.monotonic() - started)
            why = access_restore.restore(server, database, loaded.access, left, nameless=nameless)
    except TimeoutError as error:
        raise ResilienceError(
            _("the restore did not end within %(seconds)s s", seconds=f"{time_limit:g}"),
            option="time_limit",
            value=time_limit,
            remedy=_("a damaged dump can keep pg_restore busy for ever; else give it more time"),
        ) from error
    failure = next(
        (error for error in loaded.errors if restore_errors.is_environment_error(error)), None
    )
    if failure:
        raise restore_errors.environment_failure(failure)
    left_out = {**loaded.left_out, **{f"SET {name}": 1 for name in loaded.not_set}}
    return RestoreResult(
        time.monotonic() - started,
        loaded.jobs,
        loaded.errors,
        loaded.harmless,
        left_out,
        held,
        why,
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
    # Sizes matter, not how values are distributed: a histogram of ten steps and its smaller sample
    # ("default_statistics_target" in the manual), is found sooner.
    settings = {"statement_timeout": 60_000, "default_statistics_target": 10}
    connection = open_connection(server.dsn(database), settings=settings)
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


def evidence(done: RestoreResult) -> str:
    """Return the evidence of a restore: how it ran, and what was left out."""
    ran = _(
        "%(jobs)d in parallel, harmless messages: %(harmless)d",
        jobs=done.jobs,
        harmless=len(done.harmless),
    )
    names = ", ".join(f"{name} ({count})" for name, count in sorted(done.left_out.items()))
    return join([ran, _("not executed: %(names)s", names=names) if names else ""], "; ")
