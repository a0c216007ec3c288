# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the structure of every tenant with the structure that most tenants have.

The database compares: it groups what all tenants have in common and names tenants only where they
differ, so a thousand tenants cost little more than a hundred. Indexes and constraints are compared
by their definitions, not by their names, because a tenant's name may be part of these.
"""

from __future__ import annotations

from collections.abc import Collection

from ..checks.findings import Finding
from ..common.messages import _, join
from ..database.catalogue import Catalogue

# A definition without the schema that it lies in, so that those of two tenants are equal.
_BARE = "replace({}, quote_ident(n.nspname) || '.', '')"
_TENANTS = "n.nspname = ANY(%(tenants)s)"

_FACTS = {
    "table": f"""
SELECT n.nspname AS tenant, c.relname AS place, ''::text AS what
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND {_TENANTS}""",
    "column": f"""
SELECT n.nspname AS tenant, c.relname AS place, a.attname || ' '
 || {_BARE.format("format_type(a.atttypid, a.atttypmod)")}
 || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END AS what
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND {_TENANTS}""",
    "index": f"""
SELECT n.nspname AS tenant, t.relname AS place,
 CASE WHEN i.indisunique THEN 'unique ' ELSE '' END
 || substring({_BARE.format("pg_get_indexdef(i.indexrelid)")} FROM ' USING (.*)$') AS what
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace WHERE {_TENANTS}""",
    "key": f"""
SELECT n.nspname AS tenant, t.relname AS place,
 {_BARE.format("pg_get_constraintdef(o.oid)")} AS what
FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace WHERE o.contype <> 'n' AND {_TENANTS}""",
}

# What all tenants have in common is not returned.
_DIFFERENT = """
WITH fact AS (SELECT DISTINCT tenant, place, what FROM ({facts}) all_facts)
SELECT place, what, array_agg(tenant ORDER BY tenant) FROM fact
GROUP BY place, what HAVING count(*) < %(count)s ORDER BY place, what"""

_MISSING = {
    "table": "tenant.table_missing",
    "column": "tenant.column_differs",
    "index": "tenant.index_missing",
    "key": "tenant.key_missing",
}
_KIND_NAMES = {
    "table": _("table"),
    "column": _("column"),
    "index": _("index"),
    "key": _("constraint"),
}


def compare(catalogue: Catalogue, tenants: list[str]) -> list[Finding]:
    """Return what tenants lack that most have, and what they have that most do not have.

    Args:
        catalogue: of the restored database.
        tenants: their schemas.
    """
    if len(tenants) < 3:
        # With two tenants there is no majority.
        return []
    every, findings = sorted(tenants), []
    lacking: dict[str, set[str]] = {tenant: set() for tenant in every}
    extra: dict[str, set[str]] = {tenant: set() for tenant in every}
    for kind, facts in _FACTS.items():
        values = {"tenants": every, "count": len(every)}
        with catalogue.connection.cursor() as cursor:
            cursor.execute(_DIFFERENT.format(facts=facts), values)
            different = cursor.fetchall()
        for place, what, having in different:
            common = 2 * len(having) > len(every)
            ones = sorted(set(every) - set(having)) if common else having
            for tenant in ones:
                known = lacking if common else extra
                if kind == "table":
                    known[tenant].add(place)
                elif place in known[tenant]:
                    continue  # the table as a whole is a finding already
                findings.append(_finding(kind, tenant, place, what, missing=common))
    return findings


def tenant_of(finding: Finding, tenants: Collection[str]) -> str:
    """Return the tenant whose structure is a finding; its name may have dots, as a table's.

    Args:
        finding: one of `compare`.
        tenants: their schemas.
    """
    parts = finding.subject.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((name for name in names if name in tenants), parts[0])


def _finding(kind: str, tenant: str, table: str, what: str, *, missing: bool) -> Finding:
    place, name = f"{tenant}.{table}", join([_KIND_NAMES[kind], what], " ")
    if missing:
        text = _("%(place)s lacks what most tenants have: %(what)s", place=place, what=name)
        return Finding(_MISSING[kind], place, text)
    text = _("%(place)s has what most tenants do not have: %(what)s", place=place, what=name)
    return Finding(f"tenant.{kind}_extra", place, text)
