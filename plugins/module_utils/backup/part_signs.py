# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a table of contents shows of options by which pg_dump leaves something out.

pg_dump does not write its options into a dump. Of `-n` there is a trace: a dump of a whole database
never creates the schema `public`, which every new database has, and one by `-n public` does (since
PostgreSQL 15, selectDumpableNamespace in pg_dump.c). A view that needs a key is made in two steps,
the second of them behind the rows; a dump with the first alone has no `--section=post-data`
(createDummyViewAsClause).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from .archive_entry import Entry
from .archive_toc import Toc
from .expectation import VIEW_RULE

SINCE = 15
LARGE_OBJECTS = frozenset({"BLOB", "BLOB METADATA", "BLOBS", "LARGE OBJECTS"})
_CREATES_PUBLIC = re.compile(r"CREATE SCHEMA public\b")
_STAND_IN = re.compile(r"CREATE VIEW .*? AS\nSELECT\n    NULL::", re.DOTALL)
# The type of a column that may hold the identifier of a large object.
_REFERS = re.compile(r"\s(?:pg_catalog\.)?(?:oid|(?:\S+\.)?lo)\b")


@dataclasses.dataclass(frozen=True)
class PartSigns:
    """Signs of a table of contents.

    Attributes:
        chosen_schemas: whether `-n` chose schemas.
        has_comments: whether a comment is in it.
        extensions: that it makes.
        stand_ins: views of which it has the first step alone.
        oids: of its objects in the database that was dumped, where that matters: there are no large
            objects in it, and columns that may refer to some. None where it does not.
    """

    chosen_schemas: bool
    has_comments: bool
    extensions: frozenset[str]
    stand_ins: frozenset[str]
    oids: frozenset[int] | None


def read(toc: Toc) -> PartSigns:
    """Return the signs of a table of contents."""
    made = re.match(r"\d+", toc.dump_version)
    entries = toc.entries
    may_refer = not any(entry.kind in LARGE_OBJECTS for entry in entries) and any(
        entry.kind == "TABLE" and _REFERS.search(entry.definition) for entry in entries
    )
    return PartSigns(
        made is not None and int(made[0]) >= SINCE and any(map(_creates_public, entries)),
        any(entry.kind == "COMMENT" for entry in entries),
        frozenset(entry.name for entry in entries if entry.kind == "EXTENSION"),
        _stand_ins(entries),
        frozenset(entry.oid for entry in entries if entry.oid) if may_refer else None,
    )


def _creates_public(entry: Entry) -> bool:
    return entry.kind == "SCHEMA" and bool(_CREATES_PUBLIC.match(entry.definition))


def _stand_ins(entries: Sequence[Entry]) -> frozenset[str]:
    views = {
        (entry.schema, f"{entry.name} {VIEW_RULE}"): f"{entry.schema}.{entry.name}"
        for entry in entries
        if entry.kind == "VIEW" and _STAND_IN.match(entry.definition)
    }
    if not views:
        return frozenset()
    rules = {(entry.schema, entry.name) for entry in entries if entry.kind == "RULE"}
    return frozenset(name for rule, name in views.items() if rule not in rules)
