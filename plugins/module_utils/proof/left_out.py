# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check `left_out`: traces of options by which pg_dump leaves something out.

It is made where neither a manifest nor production shows what the database held, and only where
there is such a sign: none does not prove that a backup is whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..backup.part_signs import PartSigns
from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..database.catalogue import Catalogue
from ..database.connection import driver, identifier, open_connection
from ..database.postgres import Server

CHECK = "left_out"
# Every extension that is made has its own comment, and pg_dump writes it.
_COMMENTED = """
SELECT extname FROM pg_extension WHERE obj_description(oid, 'pg_extension') IS NOT NULL"""
# Columns that may refer to large objects, without those of extensions.
_REFERRING = """
SELECT n.nspname, c.relname, a.attname, t.typname FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind = 'r' AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
AND (t.oid = 'oid'::regtype OR (t.typname = 'lo' AND t.typbasetype = 'oid'::regtype))
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.deptype = 'e'
 AND d.classid = 'pg_class'::regclass AND d.objid = c.oid)
ORDER BY 1, 2, 3 LIMIT 200"""
# Functions that handle large objects.
_HANDLING = r"""
SELECT EXISTS (SELECT 1 FROM pg_proc p WHERE p.oid >= 16384 AND p.prosrc ~
 '\m(lo_(get|put|unlink|import|export|creat|create|open|from_bytea|manage)|loread|lowrite)\M'
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.deptype = 'e'
 AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid))"""
# Values that are looked at in one column, and the first OID that is no object's of the system
# (FirstNormalObjectId in access/transam.h).
VALUES, FIRST_OID = 1000, 16384


def evidence(signs: PartSigns, server: Server, database: str, file: str) -> Evidence | None:
    """Return the signs that something was left out; None where there is none.

    Args:
        signs: of the backup.
        server, database: where it was restored.
        file: the backup's name.
    """
    settings: dict[str, str | int] = {"statement_timeout": 60_000, "search_path": "pg_catalog"}
    dsn = server.dsn(database)
    connection = open_connection(dsn, read_only=True, settings=settings)
    with contextlib.closing(connection):
        try:
            found = list(_signs(signs, Catalogue(connection)))
        except driver().Error as error:
            return Evidence(
                _("it could not be looked for: %(why)s", why=one_line(error)), skipped=True
            )
    findings = [Finding(kind, file, text) for kind, text in found]
    if not findings:
        return None
    return Evidence(
        _("only a manifest or production shows whether all was dumped"), findings, skipped=True
    )


def _signs(signs: PartSigns, catalogue: Catalogue) -> Iterator[tuple[str, Message]]:
    if signs.chosen_schemas:
        text = _("it creates the schema public, as only a dump of chosen schemas does (-n)")
        yield "archive.schemas_chosen", text
    for name in sorted(signs.stand_ins)[:1]:
        text = _(
            "of the view %(name)s it has the columns alone; what makes it a view stands behind all"
            " rows, and was left out (--section)",
            name=name,
        )
        yield "archive.section_missing", text
    if signs.extensions and not signs.has_comments:
        commented = {str(name) for (name,) in catalogue.rows(_COMMENTED)}
        for name in sorted(signs.extensions & commented)[:1]:
            text = _(
                "it has no comment at all, not even that of the extension %(name)s, as dumps with"
                " --no-comments",
                name=name,
            )
            yield "archive.comments_missing", text
    # A plain dump does not name the OIDs of tables, which such a column may hold as well.
    if signs.oids is not None:
        certain = bool(signs.oids) or bool(catalogue.rows(_HANDLING)[0][0])
        for schema, table, column, kind in catalogue.rows(_REFERRING):
            if kind != "lo" and not certain:
                continue
            if _refers_to_nothing(catalogue, (schema, table), column, kind, signs.oids):
                text = _(
                    "it has no large object, and the values of %(column)s are the numbers of such,"
                    " as in dumps with --no-blobs, -n or -t",
                    column=f"{schema}.{table}.{column}",
                )
                yield "archive.large_objects_missing", text


def _refers_to_nothing(
    catalogue: Catalogue, table: tuple[str, str], column: str, kind: str, known: frozenset[int]
) -> bool:
    """Return whether the values of a column look like numbers of large objects.

    Each is another one, as a large object belongs to one row, none is an object's of the system,
    and none that of an object which the backup names.
    """
    sql = driver().sql
    query = sql.SQL(
        "SELECT {column}::oid::bigint FROM ONLY {table} WHERE {column}::oid <> 0::oid LIMIT {limit}"
    ).format(column=identifier(column), table=identifier(*table), limit=sql.Literal(VALUES))
    values = [int(value) for (value,) in catalogue.rows(query)]
    if kind == "lo":
        return bool(values)
    return (
        bool(values)
        and len(set(values)) == len(values)
        and min(values) >= FIRST_OID
        and known.isdisjoint(values)
    )
