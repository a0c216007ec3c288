# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of ours on a server that holds others' too: made with a mark, and known by it.

The mark is the database's comment. PostgreSQL writes a comment in a statement of its own, so for a
moment a new database has none; whoever is killed in that moment would leave behind what nobody may
touch. Therefore it is born with a limit on connections that nobody else would choose, which
`CREATE DATABASE` sets itself, and loses that once it has its mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .connection import driver

# Far more than any server takes, so it limits nobody; -1 means that there is no limit.
NEWBORN_LIMIT, NO_LIMIT = 773_001_421, -1


def create(cursor: Any, name: str, mark: str = "", locale: Mapping[str, str] | None = None) -> None:
    """Makes an empty database.

    Args:
        cursor: psycopg2's, in autocommit mode.
        name: of the database.
        mark: its comment; empty where the whole server is ours.
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
        # PostgreSQL's answer to a locale that it has not: the question for sort order tells it.
        cursor.execute(plain)
    if mark:
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(mark)))
        cursor.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(NO_LIMIT))
        )


def marks(cursor: Any, newborn: str) -> dict[str, str]:
    """The comment of every database of a server; empty where there is none.

    Args:
        cursor: psycopg2's.
        newborn: stands for the comment of one that was born here and did not get its own.
    """
    cursor.execute(
        "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), ''), datconnlimit"
        " FROM pg_catalog.pg_database"
    )
    return {
        name: newborn if limit == NEWBORN_LIMIT and not comment else comment
        for name, comment, limit in cursor.fetchall()
    }
