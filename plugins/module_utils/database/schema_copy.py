# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a schema of a restored backup with its copy in another database.

Definitions, rows and sequences are compared. Rows are compared by a sum of hashes, which needs no
order and no memory.
"""

from __future__ import annotations

from typing import Any

from ..checks.checks import Evidence
from .connection import driver

# The objects of a schema: for each kind a query of names and definitions. With an empty search path
# every name in a definition is qualified, so that two databases write it alike.
_DEFINITIONS = {
    "column": (
        "SELECT attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod)"
        " || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END || ' '"
        " || coalesce(pg_get_expr(adbin, adrelid), '')"
        " FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = ANY ('{r,p,f,v,m}')"
        " AND attnum > 0 AND NOT attisdropped"
    ),
    "constraint": (
        "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace"
    ),
    "index": (
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) || ' ' || indisvalid"
        " FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
        " WHERE c.relnamespace = %(schema)s::regnamespace"
    ),
    "trigger": (
        "SELECT tgrelid::regclass || '.' || tgname, pg_get_triggerdef(t.oid) || tgenabled::text"
        " FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
        " WHERE c.relnamespace = %(schema)s::regnamespace AND NOT tgisinternal"
    ),
    "view": (
        "SELECT c.oid::regclass::text, pg_get_viewdef(c.oid) FROM pg_class c"
        " WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('v', 'm')"
    ),
    "function": (
        "SELECT oid::regprocedure::text, prosrc FROM pg_proc"
        " WHERE pronamespace = %(schema)s::regnamespace"
    ),
    "sequence": (
        "SELECT sequencename, coalesce(last_value, -1)::text || ' ' || increment_by"
        " FROM pg_sequences WHERE schemaname = %(schema)s"
    ),
    "grant": (
        "SELECT c.oid::regclass::text, relacl::text || pg_get_userbyid(relowner) FROM pg_class c"
        " WHERE relnamespace = %(schema)s::regnamespace AND relacl IS NOT NULL"
    ),
}


def compare(source: Any, copy: Any, schema: str) -> Evidence:
    """Compare a schema of two databases.

    Args:
        source: a connection (psycopg2, autocommit) to the database restored from the backup.
        copy: one to the database that holds the copy.
        schema: its name, the same in both.

    Returns:
        Evidence with every difference as a finding.
    """
    original, copied = _read(source, schema), _read(copy, schema)
    findings = []
    for key in sorted(original.keys() | copied.keys()):
        kind, name = key
        if key not in copied:
            findings.append(f"the {kind} {name} is missing")
        elif key not in original:
            findings.append(f"the {kind} {name} is not in the backup")
        elif original[key] != copied[key]:
            findings.append(f"the {kind} {name} is {copied[key]}, in the backup {original[key]}")
    tables = sum(1 for kind, _name in original if kind == "table")
    return Evidence(f"{tables} tables and {len(original) - tables} other objects alike", findings)


def _read(connection: Any, schema: str) -> dict[tuple[str, str], str]:
    """Return the definition of each object by (kind, name), and rows and hash of each table.

    It empties the connection's search path.
    """
    sql = driver().sql
    quoted = '"' + schema.replace('"', '""') + '"'
    found: dict[tuple[str, str], str] = {}
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = ''")
        for kind, query in _DEFINITIONS.items():
            # `pg_sequences` has the name as text; the other queries cast it to regnamespace.
            value = schema if kind == "sequence" else quoted
            cursor.execute(query, {"schema": value})
            found |= {(kind, name): definition for name, definition in cursor.fetchall()}
        cursor.execute(
            "SELECT relname FROM pg_catalog.pg_class"
            " WHERE relnamespace = %s::regnamespace AND relkind = 'r' ORDER BY 1",
            [quoted],
        )
        for (table,) in cursor.fetchall():
            # The sum of a hash of each row's text; numeric, because it exceeds a bigint.
            rows = sql.SQL(
                "SELECT count(*) || ' rows, hash '"
                " || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM ONLY {} t"
            )
            cursor.execute(rows.format(sql.Identifier(schema, table)))
            found["table", f"{schema}.{table}"] = cursor.fetchone()[0]
    return found
