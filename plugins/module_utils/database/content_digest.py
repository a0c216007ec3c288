# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digest of a table's content that does not depend on the order of its rows.

Each row, its columns in the order of their names, is written as text and hashed with PostgreSQL's
`hashtextextended` (64 bits; it stays the same between servers, since hash partitions rely on it);
the digest is the sum. It finds accidents, not forgery: whoever may
write to the database can compute it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .catalogue import ObjectName
from .connection import driver

ALGORITHM = "sum of hashtextextended over rows as text, columns by name"
# Tables read by one query.
BATCH = 50
# Whatever changes how a value is written as text.
SESSION = (
    "SET search_path = pg_catalog",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = postgres",
    "SET TimeZone = 'UTC'",
    "SET bytea_output = hex",
    "SET extra_float_digits = 1",
    "SET xmlbinary = base64",
    # A table that hides rows from us is an error then, and not a smaller table.
    "SET row_security = off",
)
_COLUMNS = """
SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
 AND n.nspname !~ '^pg_' AND NOT EXISTS (SELECT 1 FROM pg_depend d
 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY 1, 2 ORDER BY 1, 2"""


def take(
    cursor: Any, only: Iterable[ObjectName] | None = None
) -> dict[ObjectName, tuple[int, str]]:
    """Rows and digest of each table.

    Args:
        cursor: psycopg2's; its session is set to write values as `SESSION` says.
        only: these tables, all when left out.
    """
    sql = driver().sql

    for statement in SESSION:
        cursor.execute(statement)
    cursor.execute(_COLUMNS)
    chosen = None if only is None else set(only)
    tables = [
        ((schema, table), [name for name in columns if name is not None])
        for schema, table, columns in cursor.fetchall()
        if chosen is None or (schema, table) in chosen
    ]
    found: dict[ObjectName, tuple[int, str]] = {}
    for start in range(0, len(tables), BATCH):
        batch = tables[start : start + BATCH]
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL(
                "SELECT {}, count(*), coalesce(sum(hashtextextended(ROW({})::text, 0)), 0)::text"
                " FROM ONLY {} t"
            ).format(
                sql.Literal(number),
                sql.SQL(", ").join(sql.Identifier("t", column) for column in columns),
                sql.Identifier(*key),
            )
            for number, (key, columns) in enumerate(batch)
        )
        cursor.execute(query)
        for number, rows, digest in cursor.fetchall():
            found[batch[number][0]] = (int(rows), str(digest))
    return found
