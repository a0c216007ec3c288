# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the definitions of all objects with those in production when the backup was taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..common.zip_equal import zip_equal
from ..database import parallel_queries, structure
from ..database.structure import DATABASE, Difference, Structure
from .check_context import CheckContext

# Characters of a definition that a finding shows.
SHOWN = 300
# What staging may have more: its own check of indexes, and what a server's template brings.
ADDED = {
    (kind, name) for kind in ("extension", "extension's schema") for name in ("amcheck", "plpgsql")
}


def definitions(context: CheckContext) -> Evidence:
    """Every object is defined as it was in production."""
    before = structure.from_dict(context.expected.structure)
    after = restored(context.catalogue.connection, set(before.schemas) - {DATABASE})
    made = context.expected.digest_version.split(".")[0]
    here = str(context.catalogue.connection.server_version // 10000)
    findings = [
        _finding(difference)
        for difference in structure.differences(before, after, names_only=made != here)
        if not _harmless(difference)
    ]
    count = sum(
        len(named)
        for identifier in before.schemas.values()
        for named in before.shapes[identifier].values()
    )
    if made != here:
        evidence = _(
            "%(count)d objects compared by name: PostgreSQL %(made)s and %(here)s write definitions"
            " differently",
            count=count,
            made=made,
            here=here,
        )
        return Evidence(evidence, findings)
    return Evidence(
        _("%(count)d definitions compared with those in the manifest", count=count), findings
    )


def restored(connection: Any, expected: set[str]) -> Structure:
    """Return the definitions of a restored database.

    Args:
        connection: psycopg2, in autocommit mode.
        expected: schemas of the manifest.
    """
    with connection.cursor() as cursor:
        schemas = structure.schema_names(cursor)
    batches = list(structure.batches(sorted(schemas)))
    made = Structure()
    for batch, objects in zip_equal(batches, parallel_queries.each(connection, batches, _objects)):
        for schema in batch:
            # The schema `public` is there even where production dropped it.
            if schema != "public" or schema in expected or _used(objects.get(schema, {})):
                made.add(schema, objects.get(schema, {}))
    return made


def _used(objects: structure.Shape) -> bool:
    return any(kind != "schema" for kind in objects)


def _objects(connection: Any, batch: Sequence[str]) -> dict[str, structure.Shape]:
    objects: dict[str, structure.Shape] = {}
    with connection.cursor() as cursor:
        for schemas, kind, query in structure.queries(batch):
            cursor.execute("BEGIN READ ONLY")
            try:
                structure.settings(cursor, local=True)
                structure.read(cursor, schemas, kind, query, objects)
            finally:
                cursor.execute("ROLLBACK")
    return objects


def _harmless(difference: Difference) -> bool:
    return difference.before is None and (difference.kind, difference.name) in ADDED


def _finding(difference: Difference) -> Finding:
    name = ".".join(_parts(difference))
    what = f"{difference.kind} {name}"
    if difference.after is None:
        text: Message = _("%(what)s is missing", what=what)
        return Finding("definition.missing", name, text)
    if difference.before is None:
        text = _("%(what)s is not in the manifest", what=what)
        return Finding("definition.unexpected", name, text)
    before, after = (one_line(text, None) for text in (difference.before, difference.after))
    text = _(
        "%(what)s is `%(found)s`, in production it was `%(expected)s`",
        what=what,
        found=_shown(after, before),
        expected=_shown(before, after),
    )
    return Finding("definition.differs", name, text)


def _parts(difference: Difference) -> Iterator[str]:
    if difference.schema:
        yield difference.schema
    if difference.name:
        yield difference.name


def _shown(text: str, other: str) -> str:
    """Return a definition, cut to the part where it differs from another one."""
    if len(text) <= SHOWN:
        return text
    same = next(
        (at for at, pair in enumerate(zip(text, other)) if pair[0] != pair[1]),
        min(len(text), len(other)),
    )
    start = max(0, same - SHOWN // 3)
    return ("…" if start else "") + text[start : start + SHOWN] + "…"
