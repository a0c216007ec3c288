# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns the objects of a database, and who may do what with them.

Kept apart from the definitions, in the same form: tenants are alike in their definitions, but each
may have a role of its own. Privileges are those that differ from what PostgreSQL grants by itself;
an owner is written as such in them, so that another owner is one difference and not two.

The database itself is among them, with its comment and settings. Left out: members of extensions
and the system's own objects.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Sequence
from typing import Any

from . import parallel_queries, structure
from .alike_objects import Shape
from .structure import DATABASE, Difference, Structure
from .structure_details import in_schemas, own

OWNER, PRIVILEGES, DEFAULTS = "owner of", "privileges on", "default privileges"
DB, LARGE_OBJECT = "database", "large object"
COMMENT, SETTING = "comment of database", "setting of database"
# What only an archive holds: a plain dump has it as statements on a database of production's name.
OF_ARCHIVES = frozenset({f"{OWNER} {DB}", f"{PRIVILEGES} {DB}", COMMENT, SETTING})
# The schema that every database has. Its first owner is the server's, and no dump holds that one.
PUBLIC, FIRST_OWNER = "public", " (as initdb)"
# What an object has where all its privileges were revoked.
NOTHING = "none"


def _granted(acl: str, owner: str) -> str:
    """Return SQL for privileges in words, in an order of its own."""
    return f"""coalesce((SELECT string_agg(g.who || ': ' || g.what, '; ' ORDER BY g.who COLLATE "C")
 FROM (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' WHEN {owner} THEN '(owner)'
   ELSE quote_ident(pg_get_userbyid(e.grantee)) END || CASE WHEN e.grantor <> {owner}
   THEN ' by ' || quote_ident(pg_get_userbyid(e.grantor)) ELSE '' END AS who,
   string_agg(e.privilege_type || CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
    ', ' ORDER BY e.privilege_type COLLATE "C") AS what
  FROM aclexplode({acl}) e GROUP BY e.grantee, e.grantor) g), '{NOTHING}')"""


def _sorted(acl: str) -> str:
    return f"ARRAY(SELECT i::text FROM unnest({acl}) i ORDER BY 1)"


def _objects(kind: str, rows: str) -> str:
    """Return SQL for the owners and privileges of some objects.

    Args:
        kind: of objects.
        rows: SQL of their schema, name, owner, privileges and privileges by default.
    """
    return f"""
SELECT x.schema, w.kind, x.name, w.text FROM ({rows}) x (schema, name, owner, acl, by_default),
LATERAL (SELECT '{OWNER} {kind}', pg_get_userbyid(x.owner)::text
 UNION ALL
 SELECT '{PRIVILEGES} {kind}', {_granted("x.acl", "x.owner")}
 WHERE x.acl IS NOT NULL AND {_sorted("x.acl")} <> {_sorted("x.by_default")}) w (kind, text)"""


_RELATIONS = f"""
SELECT n.nspname, quote_ident(c.relname), c.relowner, c.relacl,
 acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {in_schemas("pg_class", "c.oid")}"""
# The constructors of a range type belong to the server, whoever made the type.
_FUNCTIONS = f"""
SELECT n.nspname, quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
 p.proowner, p.proacl, acldefault('f', p.proowner)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {in_schemas("pg_proc", "p.oid")} AND NOT EXISTS (SELECT 1 FROM pg_depend i
 WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')"""
_TYPES = f"""
SELECT n.nspname, quote_ident(t.typname), t.typowner, t.typacl, acldefault('T', t.typowner)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r', 'c', 'b') AND {in_schemas("pg_type", "t.oid")}
 AND NOT EXISTS (SELECT 1 FROM pg_type e WHERE e.typarray = t.oid)
 AND t.typrelid NOT IN (SELECT c.oid FROM pg_class c WHERE c.relkind <> 'c')"""


def _owned(catalogue: str, name: str, schema: str, owner: str) -> str:
    """Return SQL for the rows of objects that have an owner and no privileges."""
    return f"""
SELECT n.nspname, {name}, x.{owner}, NULL::aclitem[], NULL::aclitem[]
FROM {catalogue} x JOIN pg_namespace n ON n.oid = x.{schema}
WHERE {in_schemas(catalogue, "x.oid")}"""


_METHOD = "(SELECT quote_ident(a.amname) FROM pg_am a WHERE a.oid = x.{})"
_OPERATOR = (
    "x.oprname || '(' || concat_ws(', ', format_type(nullif(x.oprleft, 0), NULL),"
    " format_type(nullif(x.oprright, 0), NULL)) || ')'"
)
_OWNED = {
    "operator": ("pg_operator", _OPERATOR, "oprnamespace", "oprowner"),
    "operator class": (
        "pg_opclass",
        f"quote_ident(x.opcname) || ' using ' || {_METHOD.format('opcmethod')}",
        "opcnamespace",
        "opcowner",
    ),
    "operator family": (
        "pg_opfamily",
        f"quote_ident(x.opfname) || ' using ' || {_METHOD.format('opfmethod')}",
        "opfnamespace",
        "opfowner",
    ),
    "collation": ("pg_collation", "quote_ident(x.collname)", "collnamespace", "collowner"),
    "conversion": ("pg_conversion", "quote_ident(x.conname)", "connamespace", "conowner"),
    "statistics": ("pg_statistic_ext", "quote_ident(x.stxname)", "stxnamespace", "stxowner"),
    "text search configuration": (
        *("pg_ts_config", "quote_ident(x.cfgname)", "cfgnamespace", "cfgowner"),
    ),
    "text search dictionary": (
        *("pg_ts_dict", "quote_ident(x.dictname)", "dictnamespace", "dictowner"),
    ),
}
# The kinds that privileges by default apply to (pg_default_acl in the manual).
_DEFAULTS = f"""
SELECT coalesce(n.nspname, ''), '{DEFAULTS}', 'FOR ROLE '
 || quote_ident(pg_get_userbyid(d.defaclrole)) || coalesce(' IN SCHEMA ' || quote_ident(n.nspname),
 '') || ' ON ' || CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
 WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
 ELSE d.defaclobjtype::text END, {_granted("d.defaclacl", "d.defaclrole")}
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE coalesce(n.nspname, '') = ANY(%(schemas)s)"""
_SCHEMAS = f"""
SELECT n.nspname, 'schema', '', quote_ident(n.nspname) FROM pg_namespace n
WHERE n.nspname = ANY(%(schemas)s)
UNION ALL
SELECT n.nspname, '{OWNER} schema', '', pg_get_userbyid(n.nspowner)
 || CASE WHEN n.nspname = '{PUBLIC}' AND (n.nspowner = 10
  OR pg_get_userbyid(n.nspowner) = 'pg_database_owner') THEN '{FIRST_OWNER}' ELSE '' END
FROM pg_namespace n WHERE n.nspname = ANY(%(schemas)s)
UNION ALL
SELECT n.nspname, '{PRIVILEGES} schema', '', {_granted("a.acl", "n.nspowner")}
FROM pg_namespace n,
LATERAL (SELECT coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl) a
WHERE n.nspname = ANY(%(schemas)s) AND (n.nspname = '{PUBLIC}'
 OR {_sorted("a.acl")} <> {_sorted("acldefault('n', n.nspowner)")})"""
_COLUMNS = f"""
SELECT n.nspname, '{PRIVILEGES} column', quote_ident(c.relname) || '.' || quote_ident(a.attname),
 {_granted("a.attacl", "c.relowner")}
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {in_schemas("pg_class", "c.oid")}"""

# Each returns schema, kind, name within the schema, text.
_QUERIES = (
    _SCHEMAS,
    _objects("relation", _RELATIONS),
    _objects("function", _FUNCTIONS),
    _objects("type", _TYPES),
    *(_objects(kind, _owned(*columns)) for kind, columns in _OWNED.items()),
    _COLUMNS,
    _DEFAULTS,
)
# The same of what lies in no schema.
_DATABASE_QUERIES = (
    _objects(
        "language",
        "SELECT '', quote_ident(l.lanname), l.lanowner, l.lanacl, acldefault('l', l.lanowner)"
        f" FROM pg_language l WHERE l.oid >= 16384 AND {own('pg_language', 'l.oid')}",
    ),
    _objects(
        "foreign data wrapper",
        "SELECT '', quote_ident(f.fdwname), f.fdwowner, f.fdwacl, acldefault('F', f.fdwowner)"
        f" FROM pg_foreign_data_wrapper f WHERE {own('pg_foreign_data_wrapper', 'f.oid')}",
    ),
    _objects(
        "foreign server",
        "SELECT '', quote_ident(s.srvname), s.srvowner, s.srvacl, acldefault('S', s.srvowner)"
        f" FROM pg_foreign_server s WHERE {own('pg_foreign_server', 's.oid')}",
    ),
    _objects(
        "publication",
        "SELECT '', quote_ident(p.pubname), p.pubowner, NULL::aclitem[], NULL::aclitem[]"
        f" FROM pg_publication p WHERE {own('pg_publication', 'p.oid')}",
    ),
    _objects(
        "event trigger",
        "SELECT '', quote_ident(t.evtname), t.evtowner, NULL::aclitem[], NULL::aclitem[]"
        f" FROM pg_event_trigger t WHERE {own('pg_event_trigger', 't.oid')}",
    ),
    _objects(
        LARGE_OBJECT,
        "SELECT '', m.oid::text, m.lomowner, m.lomacl, acldefault('L', m.lomowner)"
        " FROM pg_largeobject_metadata m",
    ),
    _objects(
        DB,
        "SELECT '', '', d.datdba, d.datacl, acldefault('d', d.datdba)"
        " FROM pg_database d WHERE d.datname = current_database()",
    ),
    f"""
SELECT '', '{COMMENT}', '', coalesce(shobj_description(d.oid, 'pg_database'), '')
FROM pg_database d WHERE d.datname = current_database()""",
    # A setting of the application's own may be a secret.
    f"""
SELECT '', '{SETTING}', lower(split_part(s, '=', 1)), CASE WHEN split_part(s, '=', 1) LIKE '%%.%%'
 THEN 'md5 ' || md5(s) ELSE substr(s, strpos(s, '=') + 1) END
FROM pg_db_role_setting r, unnest(r.setconfig) s
WHERE r.setrole = 0
 AND r.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    _DEFAULTS,
)
# Roles that own something here, have privileges or are named by policies, and what these are
# members of. The catalogue notes no dependency on the role of initdb, which has the number 10.
_ROLES = """
WITH RECURSIVE used (oid) AS (
 SELECT r.oid FROM pg_roles r WHERE r.oid = 10 OR r.oid IN (SELECT d.refobjid FROM pg_shdepend d
  WHERE d.refclassid = 'pg_authid'::regclass
  AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
 UNION SELECT m.roleid FROM pg_auth_members m JOIN used u ON m.member = u.oid)
SELECT r.rolname, r.rolsuper, ARRAY(SELECT g.rolname::text FROM pg_auth_members m
 JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1)
FROM used u JOIN pg_roles r ON r.oid = u.oid WHERE r.rolname !~ '^pg_' ORDER BY 1"""

# The objects of one kind have owners, privileges, or both.
KINDS = frozenset(
    {OWNER + " schema", PRIVILEGES + " schema", PRIVILEGES + " column", DEFAULTS, *OF_ARCHIVES}
    | {
        f"{what} {kind}"
        for what in (OWNER, PRIVILEGES)
        for kind in (
            *("relation", "function", "type", *_OWNED, "language", "foreign data wrapper"),
            *("foreign server", "publication", "event trigger", LARGE_OBJECT),
        )
    }
)


def read(cursor: Any, batch: Sequence[str], into: dict[str, Shape]) -> None:
    """Read owners and privileges in some schemas.

    Args:
        cursor: psycopg2's; its session has the settings of `structure.SESSION`.
        batch: one of `structure.batches`.
        into: gets them, by schema.
    """
    for query in _DATABASE_QUERIES if DATABASE in batch else _QUERIES:
        cursor.execute(query, {"schemas": list(batch)})
        for schema, kind, name, text in cursor:
            named = into.setdefault(sys.intern(schema), {}).setdefault(sys.intern(kind), {})
            named[sys.intern(str(name))] = sys.intern(str(text))


def roles(cursor: Any) -> dict[str, dict[str, Any]]:
    """Return the roles that objects of the database name, with what they are members of.

    Args:
        cursor: psycopg2's.
    """
    cursor.execute(_ROLES)
    return {
        str(name): {"superuser": bool(superuser), "member_of": list(groups)}
        for name, superuser, groups in cursor.fetchall()
    }


def restored(connection: Any, expected: Structure) -> Structure:
    """Return owners and privileges of a restored database.

    Args:
        connection: psycopg2, in autocommit mode.
        expected: of production.
    """
    with connection.cursor() as cursor:
        together = structure.batches(cursor)
    made = Structure(kinds=KINDS)
    read_batch = functools.partial(_read_batch, expected=expected)
    for part in parallel_queries.each(connection, together, read_batch):
        made.take(part)
    return made


def _read_batch(connection: Any, batch: Sequence[str], expected: Structure) -> Structure:
    made = Structure(kinds=KINDS)
    objects = _objects_in(connection, batch)
    for schema in list(objects):
        made.add(schema, objects.pop(schema), expected.shapes)
    return made


def _objects_in(connection: Any, batch: Sequence[str]) -> dict[str, Shape]:
    objects: dict[str, Shape] = {}
    with connection.cursor() as cursor:
        cursor.execute("BEGIN READ ONLY")
        try:
            structure.settings(cursor, local=True)
            read(cursor, batch, objects)
        finally:
            cursor.execute("ROLLBACK")
    return objects


def of_privileges(kind: str) -> bool:
    """Return whether a kind of `KINDS` is about what roles may do."""
    return kind == DEFAULTS or kind.startswith(PRIVILEGES)


def of_dump(
    held: Structure, *, itself: bool, privileges: bool, refused: Collection[str]
) -> Structure:
    """Return what a restored dump can hold of it.

    Args:
        held: of production.
        itself: whether the database itself was restored as well, which a plain dump lacks.
        privileges: whether the dump has any, which one with --no-privileges has not.
        refused: settings that the server does not take.
    """
    identifier = held.schemas.get(DATABASE, "")
    shape = dict(held.shapes.get(identifier, {}))
    named = shape.get(SETTING, {})
    shape[SETTING] = {name: text for name, text in named.items() if name not in refused}
    kinds = held.kinds if itself else held.kinds - OF_ARCHIVES
    if not privileges:
        kinds = frozenset(kind for kind in kinds if not of_privileges(kind))
    return Structure(held.schemas, {**held.shapes, identifier: shape}, kinds)


def differences(
    before: Structure, after: Structure, given: Collection[str] = ()
) -> list[Difference]:
    """Return who owns or may do what otherwise.

    What is in one of the databases alone is left out: its definition is missing there, too.

    Args:
        before, after: of production, and of the restored database.
        given: settings that the restored database may have for itself.
    """
    owned: dict[tuple[str, str], list[set[str]]] = {}
    found = []
    for one in structure.differences(before, after, names_only=False):
        if one.kind not in KINDS or _same(one):
            continue
        if one.kind in (COMMENT, SETTING):
            if one.before is not None or one.name not in given:
                found.append(one)
            continue
        kind = f"{OWNER} {'relation' if _of_column(one) else object_kind(one)}"
        if (one.schema, kind) not in owned:
            owned[one.schema, kind] = [
                structure.names_in(held, one.schema, kind) for held in (before, after)
            ]
        if one.kind == DEFAULTS or all(_has(named, one) for named in owned[one.schema, kind]):
            found.append(one)
    return found


def _same(difference: Difference) -> bool:
    """Return whether it is the owner of the schema `public`, which initdb made in both."""
    if difference.kind != OWNER + " schema" or None in (difference.before, difference.after):
        return False
    owners = [str(difference.before), str(difference.after)]
    if all(owner.endswith(FIRST_OWNER) for owner in owners):
        return True
    return len({owner.removesuffix(FIRST_OWNER) for owner in owners}) == 1


def object_kind(difference: Difference) -> str:
    """Return the kind of the object whose owner or privileges differ."""
    what = OWNER if difference.kind.startswith(OWNER) else PRIVILEGES
    return difference.kind[len(what) + 1 :]


def _of_column(difference: Difference) -> bool:
    return difference.kind == PRIVILEGES + " column"


def _has(named: set[str], difference: Difference) -> bool:
    # The owner of a column is its relation's.
    if _of_column(difference):
        return any(difference.name.startswith(name + ".") for name in named)
    return difference.name in named
