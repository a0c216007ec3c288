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


def create(cursor: Any, name: str, mark: str = "", locale: Mapping[str, str] | None = None) -> None:
    """Create an empty database.

    Args:
        cursor: psycopg2's, in autocommit mode.
        name: of the database.
        mark: its comment; empty where the whole server belongs to this drill.
        locale: `collate`, `ctype` and `provider` of how it is to sort text, as
            `database_locale.of` has it; a server that lacks that locale uses its own.

    Raises:
        psycopg2.Error: it cannot be made.
    """
    errors, sql = driver().errors, driver().sql

    database = sql.Identifier(name)
    limit = NEWBORN_LIMIT if mark else NO_LIMIT
    plain = sql.SQL("CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT {}").format(
        database, sql.Literal(limit)
    )
    expected = locale or {}
    try:
        if expected.get("provider") != "c":
            raise errors.WrongObjectType
        alike = sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(
            sql.Literal(expected["collate"]), sql.Literal(expected["ctype"])
        )
        cursor.execute(plain + alike)
    except errors.WrongObjectType:
        # PostgreSQL lacks that locale; the check of the sort order reports it.
        cursor.execute(plain)
    if mark:
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(mark)))
        cursor.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(NO_LIMIT))
        )


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
