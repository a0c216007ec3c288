# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Production's database is gone: what it was comes from the backup; what does not is named."""

from __future__ import annotations

from typing import Any

from ..backup.dumped_database import DumpedDatabase
from ..common.messages import Message, _
from ..database.connection import driver
from ..proof.restore_settings import RecoveryServer
from . import closing_settings, database_properties
from .database_properties import DatabaseProperties, Grant


def apply(
    target: RecoveryServer, cursor: Any, name: str, dumped: DumpedDatabase | None
) -> list[Message]:
    """Give a restored database the properties that the backup holds of it.

    Args:
        target: the server.
        cursor: of an administrator, in another database.
        name: of the restored database.
        dumped: from `dumped_database.read`.

    Returns:
        What of the lost database the new one has not got.

    Raises:
        psycopg2.Error: a property cannot be applied.
    """
    lost = [_("replication slots of the lost database: no backup holds them")]
    if dumped is None:
        return [
            *lost,
            _("owner, privileges, settings and comment of the database: this backup lacks them"),
        ]
    cursor.execute("SELECT rolname FROM pg_catalog.pg_roles")
    roles = {role for (role,) in cursor.fetchall()}
    cursor.execute("SELECT spcname FROM pg_catalog.pg_tablespace")
    tablespaces = {one for (one,) in cursor.fetchall()}
    settings = []
    for role, setting, value in dumped.settings:
        if role and role not in roles:
            text = _(
                "setting %(setting)s of the role %(role)s, which the server lacks",
                setting=setting,
                role=role,
            )
            lost.append(text)
        else:
            settings.append((role, setting, value))
    settings, closing = closing_settings.left_out(target, name, settings)
    lost += closing
    tablespace = dumped.tablespace
    if tablespace and tablespace not in tablespaces:
        lost.append(_("tablespace %(name)s, which the server lacks", name=tablespace))
        tablespace = ""
    lost += [
        _("not understood in the backup: %(statement)s", statement=statement[:200])
        for statement in dumped.unread
    ]
    held = database_properties.read(cursor, name)
    properties = DatabaseProperties(
        owner=dumped.owner or (held.owner if held else ""),
        connection_limit=dumped.connection_limit,
        template=dumped.template,
        tablespace=tablespace,
        # Until the switch the comment says that it may be switched to.
        comment=held.comment if held else None,
        grants=None
        if dumped.grants is None
        else tuple(
            Grant(one.grantor, one.grantee, one.privilege, one.grantable) for one in dumped.grants
        ),
        settings=tuple(settings),
        locale=(),
    )
    if tablespace and held and held.tablespace != tablespace:
        sql = driver().sql
        move = sql.SQL("ALTER DATABASE {} SET TABLESPACE {}")
        cursor.execute(move.format(sql.Identifier(name), sql.Identifier(tablespace)))
    cursor.execute("BEGIN")
    try:
        database_properties.apply(cursor, name, properties)
    except driver().Error:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")
    return lost
