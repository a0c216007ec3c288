# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a database holds from its system catalogues, with one query for each kind of object.

Members of extensions are left out, as pg_dump leaves them out, and so are temporary objects.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

# A schema, or a schema and what it contains: the parts of a name, unquoted.
ObjectName = tuple[str, ...]

# The condition that schema `n` is not one of PostgreSQL's own.
_USER_SCHEMA = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"


def _not_of_extension(catalogue: str, alias: str) -> str:
    """Return the SQL condition that an object does not belong to an extension."""
    return (
        "NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.deptype = 'e'"
        f" AND d.classid = '{catalogue}'::regclass AND d.objid = {alias}.oid)"
    )


def _only(alias: str) -> str:
    """Return the SQL of what goes before a table's name so that it means its own rows.

    Children of a table have keys of their own; a partitioned table has its rows in its partitions.
    """
    return f"CASE {alias}.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END"


_RELATIONS = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = ANY(%s) AND {_USER_SCHEMA} AND {_not_of_extension("pg_class", "c")}"""

_CONSTRAINTS = f"""
SELECT n.nspname, t.relname, c.conname, c.convalidated FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype = ANY(%s) AND {_USER_SCHEMA} AND {_not_of_extension("pg_class", "t")}
UNION ALL
SELECT n.nspname, t.typname, c.conname, c.convalidated FROM pg_constraint c
JOIN pg_type t ON t.oid = c.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE c.contype = ANY(%s) AND {_USER_SCHEMA} AND {_not_of_extension("pg_type", "t")}"""

# The index of a partitioned table holds nothing. It is valid once each partition has one of its
# own, which production need not have made (`CREATE INDEX … ON ONLY`).
_INDEXES = f"""
SELECT n.nspname, c.relname, c.relkind = 'I' OR (i.indisvalid AND i.indisready AND i.indislive)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_USER_SCHEMA} AND {_not_of_extension("pg_class", "t")}"""

_FUNCTIONS = f"""
SELECT n.nspname, p.proname, count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {_USER_SCHEMA} AND {_not_of_extension("pg_proc", "p")} GROUP BY 1, 2"""

_ON_TABLES = {
    "triggers": f"""
SELECT n.nspname, t.relname, g.tgname FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE NOT g.tgisinternal AND {_USER_SCHEMA} AND {_not_of_extension("pg_class", "t")}""",
    "rules": f"""
SELECT n.nspname, t.relname, r.rulename FROM pg_rewrite r JOIN pg_class t ON t.oid = r.ev_class
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE r.rulename <> '_RETURN' AND {_USER_SCHEMA} AND {_not_of_extension("pg_class", "t")}""",
    "policies": f"""
SELECT n.nspname, t.relname, p.polname FROM pg_policy p JOIN pg_class t ON t.oid = p.polrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE {_USER_SCHEMA} AND {_not_of_extension("pg_class", "t")}""",
}

_COLUMNS = f"""
SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum),
 array_agg(a.attgenerated <> '' ORDER BY a.attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND {_USER_SCHEMA}
 AND {_not_of_extension("pg_class", "c")} GROUP BY c.oid, n.nspname, c.relname"""

_OID_COLUMNS = f"""
SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND {_USER_SCHEMA}
 AND 'oid'::regtype IN (t.oid, t.typbasetype) AND {_not_of_extension("pg_class", "c")}"""

# PostgreSQL makes a type of each table's rows and an array of each type, which no dump names.
_TYPES = f"""
SELECT n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typrelid NOT IN (SELECT c.oid FROM pg_class c WHERE c.relkind <> 'c')
 AND t.oid NOT IN (SELECT a.typarray FROM pg_type a) AND {_USER_SCHEMA}
 AND {_not_of_extension("pg_type", "t")}"""

# Sequences that alone fill a unique column: the column is an identity, or its default is nothing
# but nextval of this very sequence, and it has a unique index of its own. Anywhere else (a value
# built from parts, a key of several columns, a default by another function or sequence, a trigger
# that sets the column) the next value need not collide.
_UNIQUE_COLUMN_SEQUENCES = rf"""
SELECT n.nspname, s.relname, tn.nspname, t.relname, a.attname, q.seqincrement, {_only("t")}
FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
 AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE s.relkind = 'S' AND {_USER_SCHEMA}
 AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
 AND (d.deptype = 'i' OR (EXISTS (SELECT 1 FROM pg_depend u
   WHERE u.classid = 'pg_attrdef'::regclass AND u.objid = f.oid
   AND u.refclassid = 'pg_class'::regclass AND u.refobjid = s.oid)
  AND pg_get_expr(f.adbin, f.adrelid) ~ '^nextval[(].*::regclass[)]$'
  AND pg_get_expr(f.adbin, f.adrelid) !~ '::regclass.*::regclass'))
 AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique
  AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
 AND NOT EXISTS (SELECT 1 FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
  WHERE g.tgrelid = t.oid AND g.tgtype & 7 = 7 AND g.tgenabled IN ('O', 'A')
  AND (strpos(lower(p.prosrc), 'new.' || lower(a.attname)) > 0
   OR p.prosrc ~* '\mnew\s*:?=' OR p.prosrc ~* '\minto\s+(strict\s+)?new\M'))
ORDER BY 1, 2"""

# Partitions that hold rows, each with the tables that it is a partition of, the nearest first, and
# whether each of those is partitioned by hash.
_PARTITIONS = f"""
WITH RECURSIVE above AS (
 SELECT i.inhrelid AS relation, i.inhparent AS parent, 1 AS level FROM pg_inherits i
 JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relispartition AND c.relkind = 'r'
 UNION ALL SELECT a.relation, i.inhparent, a.level + 1 FROM above a
 JOIN pg_inherits i ON i.inhrelid = a.parent)
SELECT n.nspname, c.relname, pn.nspname, p.relname, t.partstrat = 'h' FROM above a
JOIN pg_class c ON c.oid = a.relation JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = a.parent JOIN pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_partitioned_table t ON t.partrelid = a.parent
WHERE {_USER_SCHEMA} ORDER BY 1, 2, a.level"""

# PostgreSQL copies a foreign key for each partition of the referenced table. These copies
# (pg_constraint.conparentid in the manual) are left out: one partition alone cannot satisfy them.
# Columns are compared by the key's own operators, which need not be those of `pg_catalog`.
# Versions before 18 lack the last two columns.
_FOREIGN_KEYS = f"""
SELECT n.nspname, t.relname, c.conname, rn.nspname, r.relname, c.convalidated,
 (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey)
   WITH ORDINALITY k(number, place) JOIN pg_attribute a
   ON a.attrelid = c.conrelid AND a.attnum = k.number),
 (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey)
   WITH ORDINALITY k(number, place) JOIN pg_attribute a
   ON a.attrelid = c.confrelid AND a.attnum = k.number),
 (SELECT array_agg(quote_ident(x.nspname) || '.' || o.oprname ORDER BY k.place)
   FROM unnest(c.conpfeqop) WITH ORDINALITY k(number, place)
   JOIN pg_operator o ON o.oid = k.number JOIN pg_namespace x ON x.oid = o.oprnamespace),
 {_only("t")}, {_only("r")},
 coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true),
 coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false)
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_class r ON r.oid = c.confrelid
JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.contype = 'f' AND {_USER_SCHEMA} AND NOT EXISTS (SELECT 1 FROM pg_constraint p
 WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid) ORDER BY 1, 2, 3"""

# Where nothing was written, an object has no page or a short one, and reads as zero bytes; what is
# dumped and restored has these bytes. So each page but the last is filled up. A page has a quarter
# of a block (LOBLKSIZE in large_object.h).
LARGE_OBJECT_DIGESTS = """
WITH object AS (
 SELECT loid, max(pageno) AS last, count(*) AS pages, current_setting('block_size')::int / 4 AS size
 FROM pg_catalog.pg_largeobject GROUP BY loid)
SELECT loid::text, sum(hashtextextended(pageno || ' ' || encode(data, 'base64'), 0))::text FROM (
 SELECT p.loid, p.pageno, CASE WHEN p.pageno < o.last AND length(p.data) < o.size
  THEN p.data || decode(repeat('00', o.size - length(p.data)), 'hex') ELSE p.data END AS data
 FROM pg_catalog.pg_largeobject p JOIN object o USING (loid)
 UNION ALL
 SELECT o.loid, n, decode(repeat('00', o.size), 'hex') FROM object o, generate_series(0, o.last) n
 WHERE o.pages <= o.last AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_largeobject p WHERE p.loid = o.loid AND p.pageno = n)) page
GROUP BY loid
UNION ALL
SELECT m.oid::text, '0' FROM pg_catalog.pg_largeobject_metadata m
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject p WHERE p.loid = m.oid)"""


class ForeignKey(NamedTuple):
    """A foreign key.

    Attributes:
        schema, table, name: of the key.
        other_schema, other: the table that it refers to.
        validated: whether PostgreSQL has looked at all rows.
        columns, referenced: of both tables.
        operators: that compare them, as `schema.operator`; the referenced column stands first.
        only, other_only: what goes before the names of the tables.
        enforced: whether PostgreSQL looks at new rows.
        by_period: whether the last column is a period that the referenced periods must cover.
    """

    schema: str
    table: str
    name: str
    other_schema: str
    other: str
    validated: bool
    columns: list[str]
    referenced: list[str]
    operators: list[str]
    only: str
    other_only: str
    enforced: bool
    by_period: bool


class Catalogue:
    """The catalogues of a database, through one psycopg2 connection that only reads.

    Args:
        connection: in autocommit mode, so that no lock is held from one query to the next.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def rows(self, query: Any, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of one query."""
        with self.connection.cursor() as cursor:
            # Without values psycopg2 leaves a `%` in the query alone.
            cursor.execute(query, values or None)
            # Tenants have the same names: each is kept once.
            return [
                tuple(sys.intern(value) if isinstance(value, str) else value for value in row)
                for row in cursor
            ]

    def run(self, statement: str) -> None:
        """Run a statement that returns no rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def schemas(self) -> set[ObjectName]:
        """Return every schema, `public` included if it exists."""
        query = f"SELECT n.nspname FROM pg_namespace n WHERE {_USER_SCHEMA}"
        return set(self.rows(f"{query} AND {_not_of_extension('pg_namespace', 'n')}"))

    def relations(self, kinds: str) -> set[ObjectName]:
        """Return (schema, name) of every relation of the given kinds (`pg_class.relkind`)."""
        return set(self.rows(_RELATIONS, list(kinds)))

    def constraints(self, kinds: str) -> dict[ObjectName, bool]:
        """Return whether each constraint of these kinds is validated.

        Keys are (schema, table or domain, name).
        """
        found = self.rows(_CONSTRAINTS, list(kinds), list(kinds))
        return {(schema, table, name): valid for schema, table, name, valid in found}

    def indexes(self) -> dict[ObjectName, bool]:
        """Return by (schema, name) whether each index is valid, ready and live."""
        return {(schema, name): usable for schema, name, usable in self.rows(_INDEXES)}

    def functions(self) -> dict[ObjectName, int]:
        """Return by (schema, name) how many functions, procedures and aggregates have that name."""
        return {(schema, name): count for schema, name, count in self.rows(_FUNCTIONS)}

    def on_tables(self, kind: str) -> set[ObjectName]:
        """Return (schema, table, name) of all `triggers`, `rules` or `policies`."""
        return set(self.rows(_ON_TABLES[kind]))

    def types(self) -> set[ObjectName]:
        """Return (schema, name) of every type that a dump may name."""
        return set(self.rows(_TYPES))

    def extensions(self) -> set[ObjectName]:
        """Return every installed extension."""
        return set(self.rows("SELECT extname FROM pg_extension"))

    def columns(self) -> dict[ObjectName, tuple[tuple[str, bool], ...]]:
        """Return by (schema, table) each column, and whether it is generated."""
        # Tenants have the same columns.
        alike: dict[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]] = {}
        found: dict[ObjectName, tuple[tuple[str, bool], ...]] = {}
        for schema, table, names, generated in self.rows(_COLUMNS):
            columns = tuple(zip(map(sys.intern, names), generated))
            found[schema, table] = alike.setdefault(columns, columns)
        return found

    def row_security(self) -> set[ObjectName]:
        """Return (schema, table) of every table with row-level security enabled."""
        return set(self.rows(f"{_RELATIONS} AND c.relrowsecurity", list("rp")))

    def disabled_triggers(self) -> set[ObjectName]:
        """Return (schema, table, name) of every disabled trigger."""
        return set(self.rows(_ON_TABLES["triggers"] + " AND g.tgenabled = 'D'"))

    def sequence_values(self) -> dict[ObjectName, int | None]:
        """Return by (schema, name) the last value of each sequence; None before the first."""
        found = self.rows("SELECT schemaname, sequencename, last_value FROM pg_sequences")
        return {(schema, name): value for schema, name, value in found}

    def large_objects(self) -> int:
        """Return the number of large objects."""
        return int(self.rows("SELECT count(*) FROM pg_largeobject_metadata")[0][0])

    def large_object_digests(self) -> dict[str, str]:
        """Return a digest of the content of each large object."""
        return dict(self.rows(LARGE_OBJECT_DIGESTS))

    def oid_columns(self) -> int:
        """Return how many columns of tables may refer to large objects: of type oid or its kind."""
        return int(self.rows(_OID_COLUMNS)[0][0])

    def partitions(self) -> dict[ObjectName, list[tuple[ObjectName, bool]]]:
        """Return the partitions that hold rows, each with what it is a partition of.

        These are all tables above it, the nearest first, and whether each is partitioned by hash.
        """
        found: dict[ObjectName, list[tuple[ObjectName, bool]]] = {}
        for schema, name, above_schema, above, by_hash in self.rows(_PARTITIONS):
            found.setdefault((schema, name), []).append(((above_schema, above), by_hash))
        return found

    def unique_column_sequences(self) -> list[tuple[Any, ...]]:
        """Return the sequences that alone fill a unique column.

        Each row has the sequence's schema and name, the column's schema, table and name, the
        sequence's increment, and the table's `ONLY`.
        """
        return self.rows(_UNIQUE_COLUMN_SEQUENCES)

    def foreign_keys(self) -> list[ForeignKey]:
        """Return every foreign key."""
        known: dict[tuple[str, ...], list[str]] = {}

        def shared(value: Any) -> Any:
            # Tenants have the same columns.
            return known.setdefault(tuple(value), value) if isinstance(value, list) else value

        return [ForeignKey(*map(shared, row)) for row in self.rows(_FOREIGN_KEYS)]
