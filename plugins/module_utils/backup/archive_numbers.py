# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the numbers of an archive's entries show of relations that were not dumped.

pg_dump numbers all schemas and extensions of a database, and then all relations by OID: those of
the system first (getSchemaData in common.c, getTables in pg_dump.c). It writes the entries of
those that it dumps. So a number that is missing among them is a schema or relation of the database
that is not in the archive: what `-n`, `-N`, `-t` or `-T` left out, a member of an extension, a
composite type, whose entry has a number of its own, or a temporary table of some session. Each
session that ever had one leaves a pair of schemas, `pg_temp_1` and `pg_toast_temp_1`. With
`--statistics` (PostgreSQL 18) a relation's statistics have the number behind its own, and an entry
with another one (getRelationStatistics in pg_dump.c).
"""

from __future__ import annotations

import dataclasses
import re

from .archive_toc import Toc, major

RELATIONS = frozenset({"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"})
_COMPOSITE = re.compile(r"CREATE TYPE [^\n]*? AS \(")
# pg_catalog, pg_toast, information_schema and public; plpgsql, which seldom has an entry.
_OF_SYSTEM, _OF_LANGUAGE = 4, 1
PUBLIC = "public"
# What `--section=post-data` holds (the section of each ArchiveEntry in pg_dump.c).
BEHIND_ROWS = frozenset(
    {
        *("INDEX", "INDEX ATTACH", "CONSTRAINT", "FK CONSTRAINT", "STATISTICS", "TRIGGER", "RULE"),
        *("POLICY", "ROW SECURITY", "EVENT TRIGGER", "PUBLICATION", "PUBLICATION TABLE"),
        *("PUBLICATION TABLES IN SCHEMA", "SUBSCRIPTION", "SUBSCRIPTION TABLE"),
        "MATERIALIZED VIEW DATA",
    }
)
# They have their numbers behind all collations, of which each host has another number.
_OF_COLUMNS = frozenset({"DEFAULT", "CHECK CONSTRAINT", "TABLE ATTACH"})


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Of an archive.

    Attributes:
        before: numbers before that of the first relation, without those that schemas, extensions
            and composite types of the archive, and schemas of every database, have.
        missing: numbers between the first and the last relation that are no relation's, no
            composite type's, and no statistics'.
        major: of the server that was dumped, 0 where it is not known.
        has_public: whether the archive shows that the schema `public` was there.
        behind: numbers between the last column's default, check or partition that has an entry and
            the first table's rows, where the archive has no key, index, trigger or rule at all; 0
            where it has one, or has no such default.
        of_columns: entries of such defaults, checks and partitions.
        tables: entries of tables' rows.
    """

    before: int
    missing: int
    major: int
    has_public: bool
    behind: int = 0
    of_columns: int = 0
    tables: int = 0


def read(toc: Toc) -> Numbers | None:
    """Return the numbers of an archive whose kind has them; None for one without relations."""
    relations = [(entry.dump_id, entry.oid) for entry in toc.entries if entry.kind in RELATIONS]
    if not relations:
        return None
    (first, first_oid), (last, last_oid) = min(relations), max(relations)
    # One that was made before the first relation, or after the last one, has its number there.
    composites = [
        entry.oid
        for entry in toc.entries
        if entry.kind == "TYPE" and _COMPOSITE.match(entry.definition)
    ]
    earlier = sum(oid < first_oid for oid in composites)
    between = sum(first_oid < oid < last_oid for oid in composites)
    analyzed = {(one.schema, one.name) for one in toc.entries if one.kind == "STATISTICS DATA"}
    if analyzed:
        # Those of the last relation have a number behind it.
        between += sum(
            (one.schema, one.name) in analyzed
            for one in toc.entries
            if one.kind in RELATIONS and one.dump_id != last
        )
    counted = sum(
        entry.kind in ("EXTENSION", "SCHEMA") and entry.name not in ("plpgsql", PUBLIC)
        for entry in toc.entries
    )
    return Numbers(
        first - 1 - _OF_SYSTEM - _OF_LANGUAGE - counted - earlier,
        last - first + 1 - len(relations) - between,
        major(toc.server_version),
        any(
            entry.schema == PUBLIC or (entry.kind == "SCHEMA" and entry.name == PUBLIC)
            for entry in toc.entries
        ),
        *_behind(toc),
    )


def _behind(toc: Toc) -> tuple[int, int, int]:
    """Return the last three figures of `Numbers`."""
    if any(entry.kind in BEHIND_ROWS for entry in toc.entries):
        return 0, 0, 0
    of_columns = [
        entry.dump_id
        for entry in toc.entries
        if entry.kind in _OF_COLUMNS and not entry.definition.startswith("ALTER DOMAIN ")
    ]
    rows = [(entry.dump_id, entry.oid) for entry in toc.entries if entry.kind == "TABLE DATA"]
    if not of_columns or not rows:
        return 0, 0, 0
    first, first_oid = min(rows)
    # They have numbers among the rows, in the order of the relations (getTableData in pg_dump.c).
    before = sum(
        entry.kind in ("SEQUENCE", "MATERIALIZED VIEW") and entry.oid < first_oid
        for entry in toc.entries
    )
    return max(0, first - max(of_columns) - 1 - before), len(of_columns), len(rows)
