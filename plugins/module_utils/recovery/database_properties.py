# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a database itself, which no dump of its content holds.

They are read from one database and applied to another, so that production after a switch is what it
was before: owner, privileges, connection limit, settings, settings of roles in it, comment,
template. What belongs to one database and cannot be carried over is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..backup import database_locale, dumped_database
from ..common.messages import Message, _
from ..database.connection import driver

NO_LIMIT = -1


@dataclasses.dataclass(frozen=True)
class Grant:
    """One privilege on a database, as `aclexplode` returns it; an empty grantee is PUBLIC."""

    grantor: str
    grantee: str
    privilege: str
    grantable: bool


@dataclasses.dataclass(frozen=True)
class DatabaseProperties:
    """The properties of one database.

    Attributes:
        owner: its owner.
        connection_limit: -1 for none; that of a damaged database (-2) is read as none.
        template: whether every user may copy it.
        tablespace: its default tablespace.
        comment: its comment; None without one.
        grants: its privileges; None for the default ones.
        settings: role (empty for all), name and value of each setting.
        locale: encoding, provider and locale names, which cannot be changed.
    """

    owner: str
    connection_limit: int
    template: bool
    tablespace: str
    comment: str | None
    grants: tuple[Grant, ...] | None
    settings: tuple[tuple[str, str, str], ...]
    locale: tuple[str, ...]


def read(cursor: Any, name: str) -> DatabaseProperties | None:
    """Return the properties of a database; None if there is none of that name."""
    cursor.execute(
        "SELECT d.oid, pg_get_userbyid(datdba), datconnlimit, datistemplate, spcname,"
        " shobj_description(d.oid, 'pg_database'), datacl IS NULL,"
        " ARRAY[pg_encoding_to_char(encoding), datcollate, datctype] || coalesce(("
        # ICU's locale and the provider have had several names since PostgreSQL 15.
        "  SELECT array_agg(coalesce(value, '') ORDER BY key) FROM jsonb_each_text(to_jsonb(d))"
        "  WHERE key IN ('datlocprovider', 'daticulocale', 'datlocale', 'daticurules')), '{}')"
        " FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = dattablespace"
        " WHERE datname = %s",
        [name],
    )
    row = cursor.fetchone()
    if row is None:
        return None
    oid, owner, limit, template, tablespace, comment, default_acl, locale = row
    return DatabaseProperties(
        owner=owner,
        connection_limit=max(limit, NO_LIMIT),
        template=template,
        tablespace=tablespace,
        comment=comment,
        grants=None if default_acl else _grants(cursor, oid),
        settings=_settings(cursor, oid),
        locale=tuple(locale),
    )


def made_as(cursor: Any, name: str) -> dict[str, str]:
    """Return encoding and locale of a database as options of CREATE DATABASE; none without one."""
    cursor.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d)"
        " FROM pg_catalog.pg_database d WHERE datname = %s",
        [name],
    )
    row = cursor.fetchone()
    if row is None:
        return {}
    encoding, collate, ctype, whole = row
    locale = {"collate": collate, "ctype": ctype, **database_locale.of_catalogue(whole)}
    return database_locale.clauses(encoding, locale)


def apply(cursor: Any, name: str, properties: DatabaseProperties) -> None:
    """Give a database the properties, all but tablespace and locale; in the cursor's transaction.

    Args:
        cursor: of a superuser, or of an owner who may do all of it.
        name: of the database.
        properties: to apply.

    Raises:
        psycopg2.Error: one cannot be applied.
    """
    sql = driver().sql
    database = sql.Identifier(name)

    def run(statement: str, *values: Any) -> None:
        cursor.execute(sql.SQL(statement).format(*values))

    run("ALTER DATABASE {} OWNER TO {}", database, sql.Identifier(properties.owner))
    limit = sql.Literal(properties.connection_limit)
    run("ALTER DATABASE {} WITH CONNECTION LIMIT {}", database, limit)
    template = sql.Literal(properties.template)
    run("ALTER DATABASE {} WITH IS_TEMPLATE {}", database, template)
    comment = sql.Literal(properties.comment) if properties.comment else sql.SQL("NULL")
    run("COMMENT ON DATABASE {} IS {}", database, comment)
    _apply_grants(cursor, name, properties)
    run("ALTER DATABASE {} RESET ALL", database)
    for role, setting, value in properties.settings:
        scope = (
            sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)
            if role
            else sql.SQL("DATABASE {}").format(database)
        )
        parts = sql.SQL(".").join(sql.Identifier(part) for part in setting.split("."))
        values = sql.SQL(", ").join(sql.Literal(one) for one in setting_values(setting, value))
        run("ALTER {} SET {} TO {}", scope, parts, values)


def setting_values(name: str, value: str) -> list[str]:
    """Return the literals of a setting: several where the value is a list of quoted names."""
    if name.lower() not in dumped_database.LISTS:
        return [value]
    return split_names(value) or [""]


def split_names(value: str) -> list[str]:
    """Return the names of a list as PostgreSQL writes it, such as `"$user", public`."""
    names: list[str] = []
    at = 0
    while at < len(value):
        if value[at] in ", \t\n":
            at += 1
        elif value[at] == '"':
            name = ""
            at += 1
            while at < len(value):
                if value[at] != '"':
                    name += value[at]
                elif value[at + 1 : at + 2] == '"':
                    name += '"'
                    at += 1
                else:
                    break
                at += 1
            names.append(name)
            at += 1
        else:
            end = value.find(",", at)
            end = len(value) if end < 0 else end
            names.append(value[at:end].strip())
            at = end
    return names


def unlike(production: DatabaseProperties, candidate: DatabaseProperties) -> list[Message]:
    """Return what of production's database the other one cannot get."""
    texts = []
    if production.locale != candidate.locale:
        texts.append(
            _(
                "encoding and locale: %(candidate)s in place of %(production)s",
                candidate=", ".join(candidate.locale),
                production=", ".join(production.locale),
            )
        )
    if production.tablespace != candidate.tablespace:
        texts.append(
            _(
                "tablespace: %(candidate)s in place of %(production)s",
                candidate=candidate.tablespace,
                production=production.tablespace,
            )
        )
    return texts


def rehearse(cursor: Any, production: str, candidate: str) -> list[Message]:
    """Return what `apply` will not carry over, found out by doing it and taking it back.

    Args:
        cursor: in autocommit mode, of the user who is to do it.
        production: the database whose properties they are.
        candidate: the one that is to get them.

    Raises:
        psycopg2.Error: one cannot be applied.
    """
    before = read(cursor, production)
    if before is None:
        return []
    cursor.execute("BEGIN")
    try:
        cursor.execute("SET LOCAL lock_timeout = '15s'")
        apply(cursor, candidate, before)
        after = read(cursor, candidate)
    finally:
        cursor.execute("ROLLBACK")
    return _differences(before, after) if after else []


def _differences(before: DatabaseProperties, after: DatabaseProperties) -> list[Message]:
    """Return the names of the properties that differ, but for tablespace and locale."""
    lost = set(before.grants or ()) - set(after.grants or ())
    texts = [
        _(
            "privilege %(privilege)s of %(grantee)s",
            privilege=one.privilege,
            grantee=one.grantee or "PUBLIC",
        )
        for one in sorted(lost, key=lambda one: (one.grantee, one.privilege))
    ]
    changed = set(before.settings) - set(after.settings)
    texts += [
        _("setting %(name)s", name=f"{role}: {name}" if role else name)
        for role, name, _value in sorted(changed)
    ]
    others = {
        "owner": _("owner of the database"),
        "connection_limit": _("connection limit of the database"),
        "template": _("template flag of the database"),
        "comment": _("comment of the database"),
    }
    return texts + [
        text for name, text in others.items() if getattr(before, name) != getattr(after, name)
    ]


def left_behind(cursor: Any, name: str) -> list[Message]:
    """Return what belongs to a database alone and stays with it whatever it is called.

    These are replication slots, subscriptions and security labels.
    """
    cursor.execute(
        "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY 1",
        [name],
    )
    texts = [_("replication slot %(name)s", name=slot) for (slot,) in cursor.fetchall()]
    cursor.execute(
        "SELECT subname FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d"
        " ON d.oid = subdbid WHERE datname = %s ORDER BY 1",
        [name],
    )
    texts += [_("subscription %(name)s", name=found) for (found,) in cursor.fetchall()]
    cursor.execute(
        "SELECT provider FROM pg_catalog.pg_shseclabel JOIN pg_catalog.pg_database d"
        " ON d.oid = objoid AND classoid = 'pg_catalog.pg_database'::regclass"
        " WHERE datname = %s ORDER BY 1",
        [name],
    )
    texts += [_("security label of %(name)s", name=found) for (found,) in cursor.fetchall()]
    return texts


def publications(cursor: Any) -> set[str]:
    """Return the names of the publications of the database that the cursor is connected to."""
    cursor.execute("SELECT pubname FROM pg_catalog.pg_publication")
    return {name for (name,) in cursor.fetchall()}


def _grants(cursor: Any, oid: int) -> tuple[Grant, ...]:
    cursor.execute(
        "SELECT pg_get_userbyid(grantor), CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee)"
        " END, privilege_type, is_grantable FROM pg_catalog.pg_database,"
        " LATERAL aclexplode(datacl) WITH ORDINALITY a(grantor, grantee, privilege_type,"
        " is_grantable, place) WHERE oid = %s ORDER BY place",
        [oid],
    )
    return tuple(Grant(*row) for row in cursor.fetchall())


def _settings(cursor: Any, oid: int) -> tuple[tuple[str, str, str], ...]:
    cursor.execute(
        "SELECT coalesce(rolname, ''), split_part(setting, '=', 1),"
        " substr(setting, strpos(setting, '=') + 1)"
        " FROM pg_catalog.pg_db_role_setting LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole,"
        " LATERAL unnest(setconfig) WITH ORDINALITY s(setting, place)"
        " WHERE setdatabase = %s ORDER BY 1, place",
        [oid],
    )
    return tuple(cursor.fetchall())


def _apply_grants(cursor: Any, name: str, properties: DatabaseProperties) -> None:
    if properties.grants is None:
        return
    sql = driver().sql
    database = sql.Identifier(name)
    cursor.execute("SELECT oid FROM pg_catalog.pg_database WHERE datname = %s", [name])
    held = {grant.grantee for grant in _grants(cursor, cursor.fetchone()[0])}
    for grantee in sorted(held | {"", properties.owner}):
        revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM {} CASCADE")
        cursor.execute(revoke.format(database, _role(grantee)))
    for grant in _in_order(properties.owner, properties.grants):
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(grant.privilege),
            database,
            _role(grant.grantee),
            sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
        )
        # A privilege is granted by whoever runs the statement; a superuser's counts as the owner's.
        if grant.grantor != properties.owner:
            cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(grant.grantor)))
        cursor.execute(statement)
        cursor.execute("RESET ROLE")


def _in_order(owner: str, grants: Sequence[Grant]) -> list[Grant]:
    """Return the grants so that each grantor has the privilege before granting it on.

    The catalogue's own order is no such one: who granted first may have lost it, and got it again
    from another role. PostgreSQL warns only where nothing was granted.
    """
    ordered: list[Grant] = []
    waiting = list(grants)
    while waiting:
        may = {(one.grantee, one.privilege) for one in ordered if one.grantable}
        ready = [
            one for one in waiting if one.grantor == owner or (one.grantor, one.privilege) in may
        ]
        ordered += ready or waiting
        waiting = [one for one in waiting if one not in ready] if ready else []
    return ordered


def _role(name: str) -> Any:
    sql = driver().sql
    return sql.Identifier(name) if name else sql.SQL("PUBLIC")
