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
session that ever had one leaves a pair of schemas, `pg_temp_1` and `pg_toast_temp_1`.
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


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Of an archive.

    Attributes:
        before: numbers before that of the first relation, without those that schemas, extensions
            and composite types of the archive, and schemas of every database, have.
        missing: numbers between the first and the last relation that are no relation's, and no
            composite type's.
        major: of the server that was dumped, 0 where it is not known.
        has_public: whether the archive shows that the schema `public` was there.
    """

    before: int
    missing: int
    major: int
    has_public: bool


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
    )
