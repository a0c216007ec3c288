# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about content: rows, references, sequences, views, configured queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.told import Told, in_row, told, told_many
from ..database import content_digest, side_by_side
from ..database.catalogue import Catalogue
from .asker import BATCH, Asker, compared, dotted
from .checks import Answer
from .expectation import SOURCES, Key
from .findings import Finding


def row_counts(asker: Asker) -> Answer:
    """Every table has as many rows as the backup."""
    counts, wanted = asker.rows, asker.wanted.rows
    known = {key: count for key, count in wanted.items() if count is not None}
    findings = [
        Finding(
            "rows.differ",
            dotted(key),
            _count_differs(key, counts.get(key), count),
        )
        for key, count in sorted(known.items())
        if counts.get(key) != count
    ]
    if not known and wanted:
        return Answer(told("the backup does not tell how many rows it holds"), skipped=True)
    evidence = [
        told(
            "%(rows)d rows in %(tables)d tables, compared with %(source)s",
            rows=sum(counts.values()),
            tables=len(known),
            source=SOURCES.get(asker.wanted.row_source, asker.wanted.row_source),
        )
    ]
    if len(known) < len(wanted):
        left_out = len(wanted) - len(known)
        evidence.append(
            told_many(
                "of %(count)d table the backup leaves the rows out",
                "of %(count)d tables the backup leaves the rows out",
                left_out,
            )
        )
    return Answer(in_row(evidence, "; "), findings)


def _count_differs(key: Key, found: int | None, wanted: int) -> Told:
    if found is None:
        return told(
            "%(table)s was not counted, %(wanted)d rows must be there",
            table=dotted(key),
            wanted=wanted,
        )
    return told_many(
        "%(table)s has %(count)d row instead of %(wanted)d",
        "%(table)s has %(count)d rows instead of %(wanted)d",
        found,
        table=dotted(key),
        wanted=wanted,
    )


def content(asker: Asker) -> Answer:
    """Every table has the content that it had when the backup was taken."""
    wanted = asker.wanted
    connection = asker.catalogue.connection
    made, here = wanted.digest_version.split(".")[0], connection.server_version // 10000
    if made != str(here):
        evidence = told(
            "the digests are PostgreSQL %(made)s's, this is %(here)s: values may read otherwise",
            made=made,
            here=here,
        )
        return Answer(evidence, skipped=True)
    digests = {(schema, table): digest for schema, table, digest in wanted.digests}
    with connection.cursor() as cursor:
        found = content_digest.take(cursor, digests)
    findings = [
        Finding(
            "content.differs",
            dotted(key),
            told("%(table)s has as many rows as it must, but other content", table=dotted(key)),
        )
        for key, digest in sorted(digests.items())
        if key in found and found[key][0] == wanted.rows.get(key) and found[key][1] != digest
    ]
    same = sum(key in found and found[key][1] == digest for key, digest in digests.items())
    evidence = told(
        "%(found)d/%(wanted)d tables with the content that they had",
        found=same,
        wanted=len(digests),
    )
    return Answer(evidence, findings)


def references(asker: Asker) -> Answer:
    """Every foreign key holds."""
    every = asker.settings.foreign_keys == "all"
    followed = [row for row in asker.foreign_keys if every or not row[5]]
    findings = [found for row in followed if (found := _orphan(asker, row))]
    proved = len(asker.foreign_keys) - len(followed)
    evidence = [
        told_many(
            "%(count)d foreign key followed row by row",
            "%(count)d foreign keys followed row by row",
            len(followed),
        )
    ]
    if proved:
        evidence.append(
            told_many(
                "%(count)d validated by PostgreSQL itself while restoring",
                "%(count)d validated by PostgreSQL itself while restoring",
                proved,
            )
        )
    return Answer(in_row(evidence), findings)


def _orphan(asker: Asker, row: tuple[Any, ...]) -> Finding | None:
    from psycopg2 import sql  # the engine imports without it

    schema, table, name, other_schema, other, _valid, columns, referenced = row
    query = sql.SQL(
        "SELECT {values} FROM {child} c WHERE {filled} AND NOT EXISTS"
        " (SELECT 1 FROM {parent} p WHERE {equal}) LIMIT 1"
    ).format(
        values=sql.SQL(", ").join(sql.Identifier("c", column) for column in columns),
        child=sql.Identifier(schema, table),
        parent=sql.Identifier(other_schema, other),
        filled=sql.SQL(" AND ").join(
            sql.SQL("{} IS NOT NULL").format(sql.Identifier("c", column)) for column in columns
        ),
        equal=sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("p", theirs), sql.Identifier("c", ours))
            for ours, theirs in zip(columns, referenced, strict=True)
        ),
    )
    orphans = asker.catalogue.rows(query)
    if not orphans:
        return None
    key = ", ".join(
        f"{column}={value!r}" for column, value in zip(columns, orphans[0], strict=True)
    )
    return Finding(
        "foreign_key.orphan",
        f"{schema}.{table}.{name}",
        told(
            "%(table)s (%(constraint)s): %(key)s is not in %(other)s",
            table=f"{schema}.{table}",
            constraint=name,
            key=key,
            other=f"{other_schema}.{other}",
        ),
    )


def sequences(asker: Asker) -> Answer:
    """Every sequence is there, stands where the backup has it, and ahead of its column."""
    answer = compared(
        told("sequences"),
        "sequence.missing",
        asker.wanted.sequences,
        asker.catalogue.relations("S"),
    )
    values = asker.catalogue.sequence_values()
    differing = [
        Finding(
            "sequence.differs",
            dotted((schema, name)),
            told(
                "%(sequence)s is at %(found)s instead of %(wanted)s",
                sequence=dotted((schema, name)),
                found=_position(values[schema, name]),
                wanted=_position(int(value) if called == "true" else None),
            ),
        )
        for schema, name, value, called in sorted(asker.wanted.sequence_values)
        if (schema, name) in values
        and values[schema, name] != (int(value) if called == "true" else None)
    ]
    behind, fed = _behind(asker)
    compared_too = told("%(count)d of them compared with their columns", count=fed)
    evidence = in_row([answer.evidence, compared_too])
    return Answer(evidence, [*answer.findings, *differing, *behind])


def _position(value: int | None) -> str:
    return told("its beginning") if value is None else str(value)


def _behind(asker: Asker) -> tuple[list[Finding], int]:
    fed = asker.catalogue.sequences()
    batches = [fed[start : start + BATCH] for start in range(0, len(fed), BATCH)]
    asked = side_by_side.each(asker.catalogue.connection, batches, _furthest)
    behind = [
        Finding(
            "sequence.behind",
            f"{schema}.{name}",
            told(
                "%(sequence)s is at %(found)s, %(column)s is at %(furthest)s already",
                sequence=f"{schema}.{name}",
                found=_position(last),
                column=f"{table}.{column}",
                furthest=str(furthest),
            ),
        )
        for told_batch in asked
        for (schema, name, _schema, table, column, last, step), furthest in told_batch
        if furthest is not None
        and (last is None or (last < furthest if step > 0 else last > furthest))
    ]
    return behind, len(fed)


def _furthest(
    connection: Any, batch: Sequence[tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], Any]]:
    """Each sequence, and how far the column that it feeds has come."""
    from psycopg2 import sql  # the engine imports without it

    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, (SELECT {}({})::numeric FROM {})").format(
            sql.Literal(number),
            sql.SQL("max" if row[6] > 0 else "min"),
            sql.Identifier(row[4]),
            sql.Identifier(row[2], row[3]),
        )
        for number, row in enumerate(batch)
    )
    return [(batch[number], furthest) for number, furthest in Catalogue(connection).rows(query)]


def views(asker: Asker) -> Answer:
    """Every view is there and runs."""
    from psycopg2 import Error, sql  # the engine imports without it

    found = asker.catalogue.relations("v")
    answer = compared(told("views"), "view.missing", asker.wanted.views, found)
    broken = []
    for key in sorted(asker.wanted.views & found):
        try:
            # All columns: what none asks for PostgreSQL does not compute.
            query = sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(*key))
            asker.catalogue.rows(query)
        except Error as error:
            words = " ".join(str(error).split())[:120]
            text = told("%(view)s does not run: %(why)s", view=dotted(key), why=words)
            broken.append(Finding("view.broken", dotted(key), text))
    return dataclasses.replace(answer, findings=[*answer.findings, *broken])


def materialized_views(asker: Asker) -> Answer:
    """Every materialized view is there and populated."""
    wanted = asker.wanted.materialized_views
    found = asker.catalogue.relations("m")
    answer = compared(told("materialized views"), "matview.missing", wanted, found)
    empty = asker.catalogue.rows(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND NOT c.relispopulated"
    )
    findings = [
        Finding("matview.empty", dotted(key), told("%(view)s is not populated", view=dotted(key)))
        for key in sorted(empty)
        if key in wanted
    ]
    return dataclasses.replace(answer, findings=[*answer.findings, *findings])


def large_objects(asker: Asker) -> Answer:
    """As many large objects as in the backup."""
    wanted, found = asker.wanted.large_objects, asker.catalogue.large_objects()
    findings = []
    if found != wanted:
        text = told_many(
            "%(count)d large object instead of %(wanted)d",
            "%(count)d large objects instead of %(wanted)d",
            found,
            wanted=wanted,
        )
        findings.append(Finding("large_object.missing", "", text))
    return Answer(told("%(found)d/%(wanted)d large objects", found=found, wanted=wanted), findings)


def query(asker: Asker, configured: Mapping[str, Any]) -> Answer:
    """A configured query returns what it must."""
    got = [list(row) for row in asker.catalogue.rows(configured["sql"])]
    name = str(configured["name"])
    if "rows" not in configured:
        wrong = Finding("query.answer_differs", name, told("it returned no row"))
        evidence = told_many("%(count)d row", "%(count)d rows", len(got))
        return Answer(evidence, [] if got else [wrong])
    plain = [[str(value) for value in row] for row in got]
    expected = [[str(value) for value in row] for row in configured["rows"]]
    if plain == expected:
        evidence = told_many("%(count)d row as expected", "%(count)d rows as expected", len(got))
        return Answer(evidence)
    text = told("%(found)s instead of %(wanted)s", found=str(plain[:3]), wanted=str(expected[:3]))
    return Answer(told("it returned"), [Finding("query.answer_differs", name, text)])


_BTREES = """
SELECT n.nspname, c.relname, c.oid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND c.relpersistence <> 't'
 AND n.nspname !~ '^pg_' ORDER BY 1, 2"""


def corruption(asker: Asker) -> Answer:
    """Every B-tree index and its table agree block by block, as amcheck sees it."""
    if not asker.settings.amcheck:
        return Answer(told("not asked for (amcheck)"), skipped=True)
    from psycopg2 import Error, sql  # the engine imports without it

    where = asker.catalogue.rows(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'amcheck'"
    )
    if not where:
        return Answer(told("the extension amcheck is not installed here"), skipped=True)
    check = sql.SQL("SELECT {}.bt_index_check(%s::oid::regclass, true)").format(
        sql.Identifier(where[0][0])
    )
    findings, indexes = [], asker.catalogue.rows(_BTREES)
    for schema, name, oid in indexes:
        try:
            asker.catalogue.rows(check, oid)
        except Error as error:
            words = " ".join(str(error).split())[:200]
            findings.append(
                Finding(
                    "corruption.found",
                    f"{schema}.{name}",
                    told("%(index)s is damaged: %(why)s", index=f"{schema}.{name}", why=words),
                )
            )
    evidence = told(
        "%(found)d/%(wanted)d indexes sound",
        found=len(indexes) - len(findings),
        wanted=len(indexes),
    )
    return Answer(evidence, findings)
