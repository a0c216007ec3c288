# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores a prepared archive into a staging server, and tells harmless errors from failures."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import one_line
from ..database import marked_database
from ..database.postgres import Server, unprivileged
from . import database_locale
from .archive import Archive

# What a restore may say without anything being lost: each with the reason.
HARMLESS = (
    # Dumps made before PostgreSQL 15, or with --clean, create what every database has.
    re.compile(r'schema "public" already exists'),
    # Comments on extensions belong to the extension's owner; they are no data.
    re.compile(r"must be owner of extension"),
    # A plain dump cannot be told to leave owners and privileges out, as `OPTIONS` does.
    re.compile(
        r'role "[^\n]*" does not exist.*STATEMENT:\s+(ALTER [^;]* OWNER TO |GRANT |REVOKE '
        r"|ALTER DEFAULT PRIVILEGES )",
        re.DOTALL,
    ),
)
# What tells of the place and not of the backup: no room, no memory, a server that was ended (errors
# of the classes 53, 57 and 08 in the manual, "PostgreSQL Error Codes").
PLACE_BROKE = re.compile(
    r"No space left on device|Disk quota exceeded|could not extend file|out of (?:shared )?memory"
    r"|server closed the connection unexpectedly|terminating connection (?:due to|because of)"
    r"|the database system is (?:shutting down|starting up|in recovery mode|not yet accepting)"
)
# Processes of one pg_restore may stand in each other's way, as two that attach indexes to
# partitions of one table: PostgreSQL then ends one of them. That says nothing of the backup.
DEADLOCK = re.compile(r"deadlock detected")
# Formats that pg_restore reads in parallel.
PARALLEL = ("custom", "directory")
# Archives name owners and privileges of production's roles, which a staging does not have.
OPTIONS = ("--no-owner", "--no-privileges")


@dataclasses.dataclass(frozen=True)
class Restored:
    """How a restore went.

    Attributes:
        seconds: from creating the database to the last object.
        jobs: restored in parallel; 1 also where processes stood in each other's way before.
        errors: what failed, in PostgreSQL's words; with any, the restore failed.
        harmless: what PostgreSQL said that loses nothing.
    """

    seconds: float
    jobs: int
    errors: list[str]
    harmless: list[str]


def default_jobs() -> int:
    """Twice the processors, at most 8: while one process waits for the server another works."""
    return min(8, 2 * (os.cpu_count() or 1))


def restore(
    archive: Archive,
    server: Server,
    database: str,
    *,
    jobs: int | None = None,
    time_limit: float = 3600,
    replace: bool = False,
    options: Sequence[str] = OPTIONS,
) -> Restored:
    """Creates a database and restores an archive into it.

    Args:
        archive: from `archive.prepare`.
        server: the staging server.
        database: name of the database, which must not exist unless it may be replaced.
        jobs: how many to restore in parallel; a tar or plain dump has one (`PARALLEL`).
        time_limit: seconds, after which pg_restore and its children are ended.
        replace: drop a database of that name first, those connected to it included.
        options: of pg_restore, beside where and what; `OPTIONS` for a staging.

    Raises:
        ResilienceError: the database cannot be created, the time limit was reached, or the place
            broke meanwhile, which says nothing of the backup.
    """
    started = time.monotonic()
    count = (jobs or default_jobs()) if archive.format in PARALLEL else 1

    def attempt(replace: bool) -> process.ProcessResult:
        _create(server, database, replace, database_locale.of(archive.toc.entries))
        return process.run(
            _command(archive, server, database, [*options, f"--jobs={count}"]),
            time_limit=time_limit - (time.monotonic() - started),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGPASSWORD": server.password},
            cwd="/",
        )

    outcome = attempt(replace)
    if count > 1 and DEADLOCK.search(outcome.errors):
        # Alone it meets nobody; the database is ours by now.
        count = 1
        outcome = attempt(True)
    if outcome.timed_out:
        raise ResilienceError(
            _("the restore did not end within %(seconds)s s", seconds=f"{time_limit:g}"),
            option="time_limit",
            value=time_limit,
            remedy=_("a damaged dump can keep pg_restore busy for ever; else give it more time"),
        )
    errors, harmless = classify(outcome.errors)
    if outcome.code != 0 and not errors and not harmless:
        errors.append(f"it ended with {outcome.ending()}: {outcome.errors.strip()[-300:]}")
    broke = next((error for error in errors if PLACE_BROKE.search(error)), None)
    if broke:
        raise ResilienceError(
            _("the place where the backup is tried broke: %(why)s", why=broke[:300]),
            remedy=_("give staging more room and memory, and look whether its server runs"),
        )
    return Restored(time.monotonic() - started, count, errors, harmless)


def create_roles(server: Server, names: Sequence[str]) -> None:
    """Makes roles that can do nothing, for policies that name them; those that exist stay.

    Raises:
        ResilienceError: one cannot be made.
    """
    import psycopg2  # the engine imports without it
    from psycopg2 import sql

    connection = psycopg2.connect(**server.dsn("postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in sorted(set(names) - roles(server)):
                cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
    except psycopg2.Error as error:
        raise ResilienceError(
            _("a role cannot be made in staging: %(why)s", why=one_line(error)),
            option="roles",
            value=list(names),
            remedy=_("name roles as PostgreSQL allows them"),
        ) from error
    finally:
        connection.close()


def add_amcheck(server: Server, database: str) -> None:
    """Installs amcheck in a restored database, where the server has it; elsewhere does nothing.

    Raises:
        ResilienceError: it cannot be installed.
    """
    import psycopg2  # the engine imports without it

    connection = psycopg2.connect(**server.dsn(database))
    try:
        connection.autocommit = True
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


def roles(server: Server) -> set[str]:
    """The roles that a server has."""
    import psycopg2  # the engine imports without it

    connection = psycopg2.connect(**server.dsn("postgres"))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles")
            return {str(row[0]) for row in cursor.fetchall()}
    finally:
        connection.close()


def _create(server: Server, database: str, replace: bool, locale: Mapping[str, str]) -> None:
    """Makes the database, sorting text as the one that was dumped did, where the server can."""
    import psycopg2  # the engine imports without it
    from psycopg2 import sql

    connection = psycopg2.connect(**server.dsn("postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if server.mark:
                _refuse_others(cursor, server.mark, database)
            if replace:
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                cursor.execute(drop.format(sql.Identifier(database)))
            marked_database.create(cursor, database, server.mark, locale)
    except psycopg2.Error as error:
        raise ResilienceError(
            _("the staging database cannot be created: %(why)s", why=str(error).strip()),
            option="database",
            value=database,
            remedy=_("remove the database of that name from staging, or name another"),
        ) from error
    finally:
        connection.close()


def _refuse_others(cursor: Any, mark: str, database: str) -> None:
    """Refuses a database that is there and does not carry our mark."""
    if marked_database.marks(cursor, mark).get(database, mark) != mark:
        raise ResilienceError(
            _("a database of that name is there, and is not ours"),
            option="database",
            value=database,
            remedy=_("name another one, or drop that one yourself; nothing was touched"),
        )


def _command(archive: Archive, server: Server, database: str, options: Sequence[str]) -> list[str]:
    connection = [
        f"--host={server.host}",
        f"--port={server.port}",
        f"--username={server.user}",
        f"--dbname={database}",
        "--no-password",
    ]
    binaries, path = server.binaries, archive.ready_path
    # A plain dump can make psql run programs, so neither of the two runs as root.
    prefix = [] if binaries.contained else _unprivileged(server, archive)
    if archive.format == "plain":
        own = ["--no-psqlrc", "--quiet", "--echo-errors", f"--file={path}"]
        return [*prefix, *binaries.command("psql", [*own, *connection], [path])]
    return [*prefix, *binaries.command("pg_restore", [*options, *connection, path], [path])]


def _unprivileged(server: Server, archive: Archive) -> list[str]:
    sockets = [os.path.join(server.host, "socket")] if server.host.startswith("/") else []
    needs = [server.binaries.bin_dir, archive.ready_path, *sockets]
    if archive.format != "directory":
        return unprivileged(needs)
    # pg_restore asks with access(2) which of its files there are, and that takes no account of the
    # capability to read them unless the user is root: root without any other capability.
    return unprivileged([*needs, os.path.join(archive.ready_path, "toc.dat")], uid=0)


def classify(text: str) -> tuple[list[str], list[str]]:
    """Errors in what pg_restore or psql said: those that lose something, and harmless ones.

    Args:
        text: the program's standard error, in English.
    """
    errors: list[str] = []
    harmless: list[str] = []
    # psql begins the line that tells the statement as it begins that of the error before it.
    begins = r"^(?=(?:pg_restore|psql)[:\s](?!.*STATEMENT: ))"
    for block in re.split(begins, text, flags=re.MULTILINE):
        first = block.strip()
        if not re.search(r"\b(error|ERROR|FATAL|PANIC):", first):
            continue
        lines = [line.strip() for line in first.splitlines() if line.strip()]
        message = " ".join(lines)[:400]
        (harmless if any(known.search(first) for known in HARMLESS) else errors).append(message)
    return errors, harmless


def evidence(done: Restored) -> str:
    """What is said of a restore."""
    return _(
        "%(jobs)d in parallel, harmless messages: %(harmless)d",
        jobs=done.jobs,
        harmless=len(done.harmless),
    )
