# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of production in a throw-away server, so that owners and privileges can be restored.

Nobody can log in as one of them, and none is a superuser. They carry a mark, and the next restore
removes them: a backup is judged by what it and its manifest name, not by the one before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import one_line
from ..database.connection import driver, open_connection
from ..database.postgres import Server

MARK = "chefwell.resilience: a role of the restored backup"
# PostgreSQL's own roles begin so, and no other may.
RESERVED = "pg_"
# What a superuser of production is a member of instead.
ALL_DATA = ("pg_read_all_data", "pg_write_all_data")
# Statements that are sent at once.
TOGETHER = 100


def create(server: Server, names: Iterable[str]) -> None:
    """Create roles without any right, which the owner names; those that exist stay.

    Raises:
        ResilienceError: one cannot be made.
    """
    with _session(server) as cursor:
        sql = driver().sql
        for name in sorted(set(names) - _existing(cursor)):
            cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))


def create_marked(
    server: Server, known: Mapping[str, Mapping[str, Any]], others: Collection[str] = ()
) -> None:
    """Create the roles of production; those that exist stay as they are.

    Args:
        server: throw-away.
        known: roles by name, as `access.roles` has them.
        others: names of roles of which no more is known.

    Raises:
        ResilienceError: one cannot be made.
    """
    groups: dict[str, list[str]] = {name: [] for name in others}
    for name, role in known.items():
        groups[name] = [*role.get("member_of", ()), *(ALL_DATA if role.get("superuser") else ())]
    with _session(server) as cursor:
        sql = driver().sql
        there = _existing(cursor)
        new = [one for one in sorted(groups) if one not in there and not one.startswith(RESERVED)]
        there.update(new)
        made = [
            sql.SQL("CREATE ROLE {0} NOLOGIN; COMMENT ON ROLE {0} IS {1}").format(
                sql.Identifier(name), sql.Literal(MARK)
            )
            for name in new
        ]
        made += [
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name))
            for name in new
            for group in groups[name]
            if group in there and group != server.user
        ]
        for start in range(0, len(made), TOGETHER):
            cursor.execute(sql.SQL("; ").join(made[start : start + TOGETHER]))


def remove_marked(server: Server) -> None:
    """Remove the roles of the backup before, as far as nothing needs them any more.

    Raises:
        ResilienceError: the server failed.
    """
    with _session(server) as cursor:
        cursor.execute(
            "SELECT rolname FROM pg_catalog.pg_roles"
            " WHERE pg_catalog.shobj_description(oid, 'pg_authid') = %s",
            [MARK],
        )
        sql = driver().sql
        drops = [
            sql.SQL("DROP ROLE {}").format(sql.Identifier(name)) for (name,) in cursor.fetchall()
        ]
        for start in range(0, len(drops), TOGETHER):
            some = drops[start : start + TOGETHER]
            try:
                cursor.execute(sql.SQL("; ").join(some))
            except driver().errors.DependentObjectsStillExist:
                for one in some:
                    # One that a database beside this one still uses stays.
                    with contextlib.suppress(driver().errors.DependentObjectsStillExist):
                        cursor.execute(one)


def names(server: Server) -> set[str]:
    """Return the names of the roles that a server has."""
    with _session(server) as cursor:
        return _existing(cursor)


def _existing(cursor: Any) -> set[str]:
    cursor.execute("SELECT rolname FROM pg_catalog.pg_roles")
    return {str(row[0]) for row in cursor.fetchall()}


@contextlib.contextmanager
def _session(server: Server) -> Iterator[Any]:
    psycopg2 = driver()
    connection = open_connection(server.dsn(server.maintenance_db))
    try:
        with connection.cursor() as cursor:
            yield cursor
    except psycopg2.Error as error:
        raise ResilienceError(
            _("a role cannot be made in staging: %(why)s", why=one_line(error)),
            option="roles",
            remedy=_("name roles as PostgreSQL allows them"),
        ) from error
    finally:
        connection.close()
