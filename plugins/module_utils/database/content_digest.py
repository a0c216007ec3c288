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

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .catalogue import ObjectName
from .connection import driver, identifier

ALGORITHM = "sum of hashtextextended over rows as text, columns by name"
# Tables that are read by one query: each is locked, with its indexes, while the query runs.
BATCH = 16
# Whatever changes how a value is written as text.
SESSION = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    # A table that hides rows from this user is an error then, and not a smaller table.
    "row_security": "off",
}
_COLUMNS = """
SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
 AND n.nspname !~ '^pg_' AND NOT EXISTS (SELECT 1 FROM pg_depend d
 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY 1, 2 ORDER BY 1, 2"""

# A table and its columns.
Columns = tuple[ObjectName, Sequence[str]]


def settings(cursor: Any) -> None:
    """Give a session the settings in which rows are written as text."""
    for name, value in SESSION.items():
        cursor.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])


def columns(cursor: Any) -> list[Columns]:
    """Return every table with the columns that its digest is made of."""
    cursor.execute(_COLUMNS)
    # Tenants have the same names, and the same columns.
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    tables: list[Columns] = []
    for schema, table, found in cursor:
        names = tuple(sys.intern(name) for name in found if name is not None)
        key = (sys.intern(schema), sys.intern(table))
        tables.append((key, alike.setdefault(names, names)))
    return tables


def batches(tables: Sequence[Columns]) -> Iterator[Sequence[Columns]]:
    """Yield the tables that `read` takes together."""
    for start in range(0, len(tables), BATCH):
        yield tables[start : start + BATCH]


def read(cursor: Any, batch: Sequence[Columns]) -> dict[ObjectName, tuple[int, str]]:
    """Return rows and digest of some tables.

    Args:
        cursor: psycopg2's; its session has the settings of `SESSION`.
        batch: one of `batches`.
    """
    sql = driver().sql
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL(
            "SELECT {}, count(*), coalesce(sum(hashtextextended(ROW({})::text, 0)), 0)::text"
            " FROM ONLY {} t"
        ).format(
            sql.Literal(number),
            sql.SQL(", ").join(identifier("t", column) for column in names),
            identifier(*key),
        )
        for number, (key, names) in enumerate(batch)
    )
    cursor.execute(query)
    return {batch[number][0]: (int(rows), str(digest)) for number, rows, digest in cursor}


def take(
    cursor: Any, only: Iterable[ObjectName] | None = None
) -> dict[ObjectName, tuple[int, str]]:
    """Return rows and digest of each table.

    Args:
        cursor: psycopg2's; its session gets the settings of `SESSION`.
        only: these tables, all when left out.
    """
    settings(cursor)
    chosen = None if only is None else set(only)
    tables = [one for one in columns(cursor) if chosen is None or one[0] in chosen]
    found: dict[ObjectName, tuple[int, str]] = {}
    for batch in batches(tables):
        found.update(read(cursor, batch))
    return found
