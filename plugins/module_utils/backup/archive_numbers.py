# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the numbers of an archive's entries show of relations that were not dumped.

pg_dump numbers all relations of a database in the order of their making, and writes the entries of
those that it dumps (getSchemaData and getTables in pg_dump.c; the numbers stand in the archive). A
number that is missing among them is a relation of the database that is not in the archive: what
`-n`, `-N`, `-t` or `-T` left out, a member of an extension, a composite type, whose entry has a
number of its own, or a temporary table of some session.
"""

from __future__ import annotations

import dataclasses
import re

from .archive_toc import Toc

# What is missing before the first one is not seen: schemas for temporary tables are numbered there.
RELATIONS = frozenset({"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"})
_COMPOSITE = re.compile(r"CREATE TYPE [^\n]*? AS \(")


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Of the relations of an archive.

    Attributes:
        missing: how many are missing between the lowest and the highest.
        composites: composite types in the archive, which take a number among the relations.
    """

    missing: int
    composites: int


def read(toc: Toc) -> Numbers | None:
    """Return the numbers of an archive; None for one without relations, and for a plain dump."""
    if toc.format == "plain":
        return None
    relations = [entry for entry in toc.entries if entry.kind in RELATIONS]
    if not relations:
        return None
    numbers = {entry.dump_id for entry in relations}
    types = (entry.definition for entry in toc.entries if entry.kind == "TYPE")
    return Numbers(
        max(numbers) - min(numbers) + 1 - len(numbers),
        sum(_COMPOSITE.match(one) is not None for one in types),
    )
