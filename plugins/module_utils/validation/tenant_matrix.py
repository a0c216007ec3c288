# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the structure of every store with the structure that most stores have.

The database does the comparing: it groups what all stores have in common, and names the stores only
where they differ, so a thousand stores cost little more than a hundred. Names of indexes and
constraints do not count, what they do does: a store's name may be part of them.
"""

from __future__ import annotations

from ..checks.findings import Finding
from ..common.messages import _, join
from ..database.catalogue import Catalogue

# A definition without the schema that it lies in, so that those of two stores are equal.
_BARE = "replace({}, quote_ident(n.nspname) || '.', '')"
_STORES = "n.nspname = ANY(%(stores)s)"

_FACTS = {
    "table": f"""
SELECT n.nspname AS store, c.relname AS place, ''::text AS what
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND {_STORES}""",
    "column": f"""
SELECT n.nspname AS store, c.relname AS place, a.attname || ' '
 || {_BARE.format("format_type(a.atttypid, a.atttypmod)")}
 || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END AS what
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND {_STORES}""",
    "index": f"""
SELECT n.nspname AS store, t.relname AS place,
 CASE WHEN i.indisunique THEN 'unique ' ELSE '' END
 || substring({_BARE.format("pg_get_indexdef(i.indexrelid)")} FROM ' USING (.*)$') AS what
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace WHERE {_STORES}""",
    "key": f"""
SELECT n.nspname AS store, t.relname AS place,
 {_BARE.format("pg_get_constraintdef(o.oid)")} AS what
FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace WHERE o.contype <> 'n' AND {_STORES}""",
}

# Of what all stores have alike nothing comes back.
_DIFFERENT = """
WITH fact AS (SELECT DISTINCT store, place, what FROM ({facts}) all_facts)
SELECT place, what, array_agg(store ORDER BY store) FROM fact
GROUP BY place, what HAVING count(*) < %(count)s ORDER BY place, what"""

_MISSING = {
    "table": "tenant.table_missing",
    "column": "tenant.column_differs",
    "index": "tenant.index_missing",
    "key": "tenant.key_missing",
}
_WORDS = {
    "table": _("table"),
    "column": _("column"),
    "index": _("index"),
    "key": _("constraint"),
}


def compare(catalogue: Catalogue, stores: list[str]) -> list[Finding]:
    """What stores lack that most have, and what they have that most do not have.

    Args:
        catalogue: of the restored database.
        stores: their schemas.
    """
    if len(stores) < 3:
        # Of two that differ nobody can tell which one is right.
        return []
    every, findings = sorted(stores), []
    lacking: dict[str, set[str]] = {store: set() for store in every}
    extra: dict[str, set[str]] = {store: set() for store in every}
    for kind, facts in _FACTS.items():
        values = {"stores": every, "count": len(every)}
        with catalogue.connection.cursor() as cursor:
            cursor.execute(_DIFFERENT.format(facts=facts), values)
            different = cursor.fetchall()
        for place, what, having in different:
            common = 2 * len(having) > len(every)
            ones = sorted(set(every) - set(having)) if common else having
            for store in ones:
                known = lacking if common else extra
                if kind == "table":
                    known[store].add(place)
                elif place in known[store]:
                    continue  # the table as a whole is told already
                findings.append(_finding(kind, store, place, what, missing=common))
    return findings


def _finding(kind: str, store: str, table: str, what: str, *, missing: bool) -> Finding:
    place, name = f"{store}.{table}", join([_WORDS[kind], what], " ")
    if missing:
        text = _("%(place)s lacks what most stores have: %(what)s", place=place, what=name)
        return Finding(_MISSING[kind], place, text)
    text = _("%(place)s has what most stores do not have: %(what)s", place=place, what=name)
    return Finding(f"tenant.{kind}_extra", place, text)
