# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: a validated database takes production's name, and production's another one.

Both names change in one transaction, so that at no moment two databases, or none for longer than
that, have production's name. Whoever is connected is sent away first; the commands that stop and
start the backend keep him from coming back too early.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import one_line
from ..proof.restore_settings import RecoveryServer
from ..staging import staging_state
from . import recovery
from .recovery import BEFORE, MARK, VALIDATED, RecoverySettings


def switch(settings: RecoverySettings, name: str, confirm: str) -> dict[str, Any]:
    """Puts a database in production's place.

    Args:
        settings: of the recovery.
        name: the database, restored beside it or production until an earlier switch.
        confirm: the host's name, so that nobody does this elsewhere by mistake.

    Returns:
        `name`, `now` (what it is called now), `kept` (what the old one is called now, which is the
        name for the way back; None if there was none), `serves` (None if nobody was to be asked)
        and `seconds`.

    Raises:
        ResilienceError: not confirmed, no such database of ours, or it could not be renamed:
            production stands as it stood.
    """
    recovery.refuse_unconfirmed(confirm)
    target = settings.target
    with staging_state.locked(settings.drill.staging):
        began = time.monotonic()
        with contextlib.closing(recovery.connect(target)) as connection:
            standing = recovery.databases(connection)
            moment = recovery.stamp(standing)
            kept = recovery.beside(target.dbname, "before", moment)
            refuse_unfit(name, standing.get(name))
            stands = target.dbname in standing
            recovery.run_command(target.stop_command, "recovery.stop_command", target.seconds)
            try:
                _rename(connection, target, name, kept if stands else None)
            finally:
                recovery.run_command(target.start_command, "recovery.start_command", target.seconds)
        if stands:
            recovery.comment_database(target, kept, f"{BEFORE} {moment}")
        recovery.comment_database(target, target.dbname, None)
        return {
            "host": confirm,
            "tenant": None,
            "name": name,
            "now": target.dbname,
            "kept": kept if stands else None,
            "serves": recovery.serves(target),
            "seconds": round(time.monotonic() - began, 3),
        }


def refuse_unfit(name: str, comment: str | None) -> None:
    """Refuses what is not there, is not ours, or was never validated.

    Raises:
        ResilienceError: it is one of these.
    """
    if comment is None:
        why = _("there is nothing of this name")
    elif not comment.startswith((MARK + VALIDATED, MARK + BEFORE)):
        why = _("it was not restored and validated by us, nor was it production before")
    else:
        return
    raise ResilienceError(
        _("it cannot take production's place: %(why)s", why=why),
        option="switch",
        value=name,
        remedy=_("look with --list; nothing was touched"),
    )


def _rename(connection: Any, target: RecoveryServer, name: str, kept: str | None) -> None:
    """Both names in one transaction, with nobody connected."""
    import psycopg2  # the engine imports without it
    from psycopg2 import sql

    renamed = {name: target.dbname, **({target.dbname: kept} if kept else {})}
    now = list(renamed)
    try:
        with connection.cursor() as cursor:
            if kept:
                _hand_over(cursor, target.dbname, name)
            for one in now:
                _close(cursor, one)
            cursor.execute("BEGIN")
            # The old one first: the name must be free.
            for one in reversed(now):
                rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
                cursor.execute(rename.format(sql.Identifier(one), sql.Identifier(renamed[one])))
            cursor.execute("COMMIT")
            now = [renamed[one] for one in now]
    except psycopg2.Error as error:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
        raise ResilienceError(
            _("the names could not be changed: %(why)s", why=one_line(error)),
            option="switch",
            value=name,
            remedy=_(
                "end what is connected (recovery.stop_command); production stands as it stood"
            ),
        ) from error
    finally:
        with connection.cursor() as cursor:
            for one in now:
                allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true")
                cursor.execute(allow.format(sql.Identifier(one)))


def _close(cursor: Any, name: str) -> None:
    """Sends everybody away from a database, and lets nobody in; waits until they are gone."""
    from psycopg2 import sql  # the engine imports without it

    cursor.execute(
        sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name))
    )
    deadline = time.monotonic() + 10
    while True:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity"
            " WHERE datname = %s",
            [name],
        )
        if cursor.fetchone()[0] == 0 or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def _hand_over(cursor: Any, old: str, new: str) -> None:
    """Owner, settings and privileges of the database itself, which no dump of it holds."""
    from psycopg2 import sql  # the engine imports without it

    cursor.execute(
        "SELECT pg_get_userbyid(datdba), datconnlimit FROM pg_catalog.pg_database"
        " WHERE datname = %s",
        [old],
    )
    owner, limit = cursor.fetchone()
    name = sql.Identifier(new)
    cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(owner)))
    if limit >= 0:
        cursor.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(limit))
        )
    cursor.execute(
        "SELECT setting[1], setting[2], coalesce(rolname, '') FROM ("
        " SELECT regexp_match(unnest(setconfig), '^([^=]+)=(.*)$', 's') AS setting, setrole"
        " FROM pg_catalog.pg_db_role_setting JOIN pg_catalog.pg_database d ON d.oid = setdatabase"
        " WHERE datname = %s) s LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole",
        [old],
    )
    for key, value, role in cursor.fetchall():
        whose = (
            sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), name)
            if role
            else sql.SQL("DATABASE {}").format(name)
        )
        setting = sql.SQL("ALTER {} SET {} TO {}")
        cursor.execute(setting.format(whose, sql.SQL(key), sql.Literal(value)))
