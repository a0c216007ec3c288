# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create databases of this collection on a shared server, with a mark that identifies them.

The mark is the database's comment. PostgreSQL writes a comment in a statement of its own, so for a
moment a new database has none, and a process that is killed in that moment would leave behind a
database that nothing may remove. Therefore `CREATE DATABASE` also sets an unusual connection limit,
which is reset once the mark is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .connection import driver

# Far more than any server allows, so it has no effect; -1 means that there is no limit.
NEWBORN_LIMIT, NO_LIMIT = 773_001_421, -1
PROVIDERS = ("libc", "icu", "builtin")
# How PostgreSQL refuses an encoding or locale that it lacks: a name that it does not know, one that
# does not go with the encoding, a provider that it was not built with, an option of a newer one.
CANNOT_BE_HAD = ("42809", "42P17", "0A000", "22023", "42704", "42601")


def create(
    cursor: Any, name: str, mark: str = "", options: Mapping[str, str] | None = None
) -> None:
    """Create an empty database.

    Args:
        cursor: psycopg2's, in autocommit mode.
        name: of the database.
        mark: its comment; empty where the whole server belongs to this drill.
        options: encoding and locale, as `database_locale.options` has them. A server that lacks
            the locale makes it with the encoding alone, and one that lacks that, too, as its own.

    Raises:
        psycopg2.Error: it cannot be made.
    """
    psycopg2 = driver()
    sql = psycopg2.sql

    database = sql.Identifier(name)
    limit = NEWBORN_LIMIT if mark else NO_LIMIT
    plain = sql.SQL("CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT {}").format(
        database, sql.Literal(limit)
    )
    for clauses in _create_clauses(options or {}):
        try:
            cursor.execute(plain + clauses)
            break
        except psycopg2.Error as error:
            # The checks of encoding and sort order report what the server could not do.
            if error.pgcode not in CANNOT_BE_HAD:
                raise
    else:
        cursor.execute(plain)
    if mark:
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(mark)))
        cursor.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(NO_LIMIT))
        )


def _create_clauses(options: Mapping[str, str]) -> list[Any]:
    """Return clauses of CREATE DATABASE, to be tried one after the other."""
    sql = driver().sql
    clauses = [
        sql.SQL(f" {name} " + "{}").format(sql.Literal(value))
        for name, value in options.items()
        if name != "LOCALE_PROVIDER"
    ]
    if options.get("LOCALE_PROVIDER") in PROVIDERS:
        clauses.append(sql.SQL(f" LOCALE_PROVIDER {options['LOCALE_PROVIDER']}"))
    attempts = [sql.Composed(clauses)] if clauses else []
    encoding = options.get("ENCODING", "UTF8")
    if encoding != "UTF8":
        # The locale C goes with every encoding.
        alone = sql.SQL(" ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'").format(sql.Literal(encoding))
        attempts.append(alone)
    return attempts


def marks(cursor: Any, newborn: str) -> dict[str, str]:
    """Return the comment of every database of a server; empty where there is none.

    Args:
        cursor: psycopg2's.
        newborn: the comment to report for a database whose creation was interrupted.
    """
    cursor.execute(
        "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), ''), datconnlimit"
        " FROM pg_catalog.pg_database"
    )
    return {
        name: newborn if limit == NEWBORN_LIMIT and not comment else comment
        for name, comment, limit in cursor.fetchall()
    }
