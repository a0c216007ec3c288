# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of content: rows, references, sequences, views, configured queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..backup.expectation import SOURCES
from ..checks import checks
from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _, join, ngettext
from ..common.safe_text import one_line
from ..database import content_digest, parallel_queries
from ..database.catalogue import Catalogue, ForeignKey, ObjectName
from ..database.connection import driver, identifier
from . import partition_rows
from .check_context import BATCH, CheckContext, dotted_name, presence_evidence


def row_counts(context: CheckContext) -> Evidence:
    """Every table has as many rows as the backup."""
    counts = partition_rows.found_rows(context)
    expected = partition_rows.expected_rows(context)
    known = {key: count for key, count in expected.items() if count is not None}
    findings = [
        Finding(
            "rows.differ",
            dotted_name(key),
            _count_differs(key, counts.get(key), count),
        )
        for key, count in sorted(known.items())
        if counts.get(key) != count
    ]
    if not known and expected:
        return Evidence(_("the rows of this backup cannot be counted"), skipped=True)
    evidence = [
        _(
            "%(rows)d rows in %(tables)d tables, compared with %(source)s",
            rows=sum(context.rows.values()),
            tables=len(known),
            source=SOURCES.get(context.expected.row_source, context.expected.row_source),
        )
    ]
    if len(known) < len(expected):
        left_out = len(expected) - len(known)
        evidence.append(
            ngettext(
                "of %(count)d table the backup leaves the rows out",
                "of %(count)d tables the backup leaves the rows out",
                left_out,
            )
        )
    return Evidence(join(evidence, "; "), findings)


def _count_differs(key: ObjectName, found: int | None, expected: int) -> Message:
    if found is None:
        return _(
            "%(table)s was not counted, %(expected)d rows must be there",
            table=dotted_name(key),
            expected=expected,
        )
    return ngettext(
        "%(table)s has %(count)d row instead of %(expected)d",
        "%(table)s has %(count)d rows instead of %(expected)d",
        found,
        table=dotted_name(key),
        expected=expected,
    )


def content(context: CheckContext) -> Evidence:
    """Every table has the content that it had when the backup was taken."""
    expected = context.expected
    connection = context.catalogue.connection
    made, major = expected.digest_version.split(".")[0], connection.server_version // 10000
    if made != str(major):
        evidence = _(
            "the digests are PostgreSQL %(made)s's, this is %(here)s: values may read otherwise",
            made=made,
            here=major,
        )
        return Evidence(evidence, skipped=True)
    digests: dict[ObjectName, str] = {
        (schema, table): digest for schema, table, digest in expected.digests
    }
    with connection.cursor() as cursor:
        found = content_digest.take(cursor, digests)
    known = {key: expected.rows.get(key) or 0 for key in digests}
    rows = partition_rows.by_root(context, {key: found[key][0] for key in digests if key in found})
    here_digests = partition_rows.by_root(
        context, {key: int(found[key][1]) for key in digests if key in found}
    )
    must_rows = partition_rows.by_root(context, known)
    must = partition_rows.by_root(context, {key: int(one) for key, one in digests.items()})
    findings = [
        Finding(
            "content.differs",
            dotted_name(key),
            _("%(table)s has as many rows as it must, but other content", table=dotted_name(key)),
        )
        for key, digest in sorted(must.items())
        if key in rows and rows[key] == must_rows[key] and here_digests[key] != digest
    ]
    same = sum(here_digests.get(key) == digest for key, digest in must.items())
    evidence = _(
        "%(found)d/%(expected)d tables with the content that they had",
        found=same,
        expected=len(must),
    )
    return Evidence(evidence, findings)


def references(context: CheckContext) -> Evidence:
    """Every foreign key holds, but for those that are declared NOT ENFORCED."""
    every = context.settings.foreign_keys == "all"
    enforced = [key for key in context.foreign_keys if key.enforced]
    followed = [key for key in enforced if every or not key.validated]
    found = [(key, orphan) for key in followed if (orphan := _orphan(context, key))]
    findings = [orphan for key, orphan in found if not context.was_not_valid(key)]
    as_before = [orphan.text for key, orphan in found if context.was_not_valid(key)]
    proved, not_enforced = len(enforced) - len(followed), len(context.foreign_keys) - len(enforced)
    evidence = [
        ngettext(
            "%(count)d foreign key followed row by row",
            "%(count)d foreign keys followed row by row",
            len(followed),
        )
    ]
    if proved:
        evidence.append(
            ngettext(
                "%(count)d validated by PostgreSQL itself while restoring",
                "%(count)d validated by PostgreSQL itself while restoring",
                proved,
            )
        )
    if not_enforced:
        evidence.append(_("%(count)d NOT ENFORCED, so not followed", count=not_enforced))
    if as_before:
        named = checks.named(as_before)
        evidence.append(_("NOT VALID in production, too, so no fault: %(named)s", named=named))
    return Evidence(join(evidence), findings)


def _orphan(context: CheckContext, key: ForeignKey) -> Finding | None:
    sql = driver().sql

    def equality(child: str, parent: str, operator: str) -> Any:
        # The operator's own name needs no quotes and takes none.
        return sql.SQL("{} OPERATOR({}) {}").format(
            identifier("p", parent), sql.SQL(operator), identifier("c", child)
        )

    equal = list(map(equality, key.columns, key.referenced, key.operators))
    found = "EXISTS (SELECT 1 FROM {only}{parent} p WHERE {equal})"
    if key.by_period:
        equal.pop()
        found = (
            "coalesce({period} <@ (SELECT range_agg({periods}) FROM {only}{parent} p"
            " WHERE {equal}), false)"
        )
    query = sql.SQL("SELECT {values} FROM {child_only}{child} c WHERE {filled} AND NOT " + found)
    orphans = context.catalogue.rows(
        query.format(
            values=sql.SQL(", ").join(identifier("c", column) for column in key.columns),
            child=identifier(key.schema, key.table),
            child_only=sql.SQL(key.only),
            parent=identifier(key.other_schema, key.other),
            only=sql.SQL(key.other_only),
            filled=sql.SQL(" AND ").join(
                sql.SQL("{} IS NOT NULL").format(identifier("c", column)) for column in key.columns
            ),
            equal=sql.SQL(" AND ").join(equal),
            period=identifier("c", key.columns[-1]),
            periods=identifier("p", key.referenced[-1]),
        )
        + sql.SQL(" LIMIT 1")
    )
    if not orphans:
        return None
    values = ", ".join(map("{}={!r}".format, key.columns, orphans[0]))
    table, other = f"{key.schema}.{key.table}", f"{key.other_schema}.{key.other}"
    return Finding(
        "foreign_key.orphan",
        f"{table}.{key.name}",
        _(
            "%(table)s (%(constraint)s): %(key)s is not in %(other)s",
            table=table,
            constraint=key.name,
            key=values,
            other=other,
        ),
    )


def sequences(context: CheckContext) -> Evidence:
    """Every sequence is there, stands where the backup has it, and ahead of its column."""
    presence = presence_evidence(
        _("sequences"),
        "sequence.missing",
        context.expected.sequences,
        context.catalogue.relations("S"),
    )
    values = context.catalogue.sequence_values()
    differing = [
        Finding(
            "sequence.differs",
            dotted_name((schema, name)),
            _(
                "%(sequence)s is at %(found)s instead of %(expected)s",
                sequence=dotted_name((schema, name)),
                found=_position(values[schema, name]),
                expected=_position(int(value) if called == "true" else None),
            ),
        )
        for schema, name, value, called in sorted(context.expected.sequence_values)
        if (schema, name) in values
        and values[schema, name] != (int(value) if called == "true" else None)
    ]
    moved_back = _moved_back(context, values)
    moved = {one.subject for one in (*differing, *moved_back)}
    behind, as_before, fed = _behind(context, moved)
    compared_too = _("%(count)d of them compared with their columns", count=fed)
    taken = checks.named(as_before, ", ") if as_before else ""
    evidence = join([presence.evidence, compared_too, taken])
    return Evidence(evidence, [*presence.findings, *differing, *moved_back, *behind])


def _position(value: int | None) -> str:
    return _("its beginning") if value is None else str(value)


def _behind(
    context: CheckContext, moved: Collection[str]
) -> tuple[list[Finding], list[Message], int]:
    """Return the sequences whose next value is taken, those of production, and how many were seen.

    Where a sequence stands as in production, its next value was taken there, too: its owner must
    know, but the backup is not at fault.

    Args:
        context: what the database holds and must hold.
        moved: the sequences that do not stand as in production.
    """
    sequences = context.catalogue.unique_column_sequences()
    batches = [sequences[start : start + BATCH] for start in range(0, len(sequences), BATCH)]
    results = parallel_queries.each(context.catalogue.connection, batches, _collisions)
    known = {key[:2] for key in context.expected.sequence_positions}
    behind, as_before = [], []
    for batch in results:
        for (schema, name, *column, _step, _only), last, following in batch:
            sequence = dotted_name((schema, name))
            values = {"next": following, "column": dotted_name(column), "sequence": sequence}
            if (schema, name) in known and sequence not in moved:
                as_before.append(
                    _(
                        "in production, too, the next value %(next)s of %(sequence)s is in"
                        " %(column)s already",
                        **values,
                    )
                )
                continue
            text = _(
                "%(sequence)s is at %(found)s, its next value %(next)s is in %(column)s already",
                found=_position(last),
                **values,
            )
            behind.append(Finding("sequence.behind", sequence, text))
    return behind, as_before, len(sequences)


def _collisions(
    connection: Any, batch: Sequence[tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], int | None, int]]:
    """Return the sequences whose next value their column has already; with last and next value.

    The next value is compared as a bigint, so that the column's index finds it: a sequence has no
    value beyond that, and `integer = numeric` would read the whole table.
    """
    sql = driver().sql
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL(
            "SELECT {number}, CASE WHEN is_called THEN last_value END, following FROM (SELECT"
            " is_called, last_value, CASE WHEN is_called THEN last_value::numeric + {step}"
            " ELSE last_value END AS following FROM {sequence}) s"
            " WHERE EXISTS (SELECT 1 FROM {only}{table} t WHERE t.{column} = CASE WHEN"
            " s.following BETWEEN -9223372036854775808 AND 9223372036854775807"
            " THEN s.following::bigint END)"
        ).format(
            number=sql.Literal(number),
            step=sql.Literal(row[5]),
            sequence=identifier(row[0], row[1]),
            only=sql.SQL(row[6]),
            table=identifier(row[2], row[3]),
            column=identifier(row[4]),
        )
        for number, row in enumerate(batch)
    )
    return [
        (batch[number], last, int(following))
        for number, last, following in Catalogue(connection).rows(query)
    ]


def _moved_back(context: CheckContext, values: Mapping[ObjectName, int | None]) -> list[Finding]:
    """Return the sequences that stand before the position that the manifest has.

    A dump reads a sequence later than its manifest does, so it may stand further on.
    """
    findings = []
    for schema, name, value, step in sorted(context.expected.sequence_positions):
        key, forwards = (schema, name), int(step) > 0
        if key not in values or not value:
            continue
        found = values[key]
        if found is None or (found < int(value) if forwards else found > int(value)):
            text = _(
                "%(sequence)s is at %(found)s, in production it was at %(expected)s",
                sequence=dotted_name(key),
                found=_position(found),
                expected=value,
            )
            findings.append(Finding("sequence.differs", dotted_name(key), text))
    return findings


def views(context: CheckContext) -> Evidence:
    """Every view is there, and everything that it names.

    A view is resolved and never run: it may write, call other servers, need a session of the
    application or take hours.
    """
    found = context.catalogue.relations("v")
    presence = presence_evidence(_("views"), "view.missing", context.expected.views, found)
    present = sorted(context.expected.views & found)
    batches = [present[start : start + BATCH] for start in range(0, len(present), BATCH)]
    results = parallel_queries.each(context.catalogue.connection, batches, _unresolved)
    broken = [
        Finding(
            "view.broken",
            dotted_name(key),
            _("%(view)s cannot be resolved: %(why)s", view=dotted_name(key), why=why),
        )
        for batch in results
        for key, why in batch
    ]
    return dataclasses.replace(presence, findings=[*presence.findings, *broken])


def _unresolved(connection: Any, batch: Sequence[ObjectName]) -> list[tuple[ObjectName, str]]:
    """Return the views that name something that does not exist, each with PostgreSQL's message."""
    sql, error_class = driver().sql, driver().Error
    wrong = []
    with connection.cursor() as cursor:
        for key in batch:
            # PREPARE looks up every name of a query and does no more; the planner would already
            # call functions.
            try:
                cursor.execute("SELECT pg_get_viewdef(%s::regclass)", [identifier(*key).string])
                definition = sql.SQL(cursor.fetchone()[0].rstrip().rstrip(";"))
                cursor.execute(sql.SQL("PREPARE resolved AS {}").format(definition))
                cursor.execute("DEALLOCATE resolved")
            except error_class as error:
                wrong.append((key, one_line(error, 120)))
    return wrong


def materialized_views(context: CheckContext) -> Evidence:
    """Every materialized view is there, and populated if it was."""
    expected = context.expected.materialized_views
    found = context.catalogue.relations("m")
    presence = presence_evidence(_("materialized views"), "matview.missing", expected, found)
    empty = context.catalogue.rows(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND NOT c.relispopulated"
    )
    findings = [
        Finding(
            "matview.empty", dotted_name(key), _("%(view)s is not populated", view=dotted_name(key))
        )
        for key in sorted(empty)
        if key in context.expected.populated_views
    ]
    return dataclasses.replace(presence, findings=[*presence.findings, *findings])


def large_objects(context: CheckContext) -> Evidence:
    """As many large objects as in the backup and, with a manifest, these with their content."""
    expected, found = context.expected.large_objects, context.catalogue.large_objects()
    findings = []
    if found != expected:
        text = ngettext(
            "%(count)d large object instead of %(expected)d",
            "%(count)d large objects instead of %(expected)d",
            found,
            expected=expected,
        )
        findings.append(Finding("large_object.missing", "", text))
    digests = context.expected.large_object_digests
    if digests:
        here = context.catalogue.large_object_digests()
        for identifier, digest in sorted(digests.items()):
            if identifier not in here:
                text = _("large object %(number)s is missing", number=identifier)
                findings.append(Finding("large_object.missing", identifier, text))
            elif here[identifier] != digest:
                text = _("large object %(number)s has other content", number=identifier)
                findings.append(Finding("large_object.differs", identifier, text))
    evidence = _("%(found)d/%(expected)d large objects", found=found, expected=expected)
    referring = 0 if expected or digests else context.catalogue.oid_columns()
    unknown = ngettext(
        "%(count)d column of type oid: whether large objects were left out (--no-blobs) only a"
        " manifest shows",
        "%(count)d columns of type oid: whether large objects were left out (--no-blobs) only a"
        " manifest shows",
        referring,
    )
    return Evidence(join([evidence, unknown if referring else ""], "; "), findings)


def query(context: CheckContext, configured: Mapping[str, Any]) -> Evidence:
    """A configured query returns what it must."""
    got = [list(row) for row in context.catalogue.rows(configured["sql"])]
    name = str(configured["name"])
    if "rows" not in configured:
        wrong = Finding("query.result_differs", name, _("it returned no row"))
        evidence = ngettext("%(count)d row", "%(count)d rows", len(got))
        return Evidence(evidence, [] if got else [wrong])
    plain = [[str(value) for value in row] for row in got]
    expected = [[str(value) for value in row] for row in configured["rows"]]
    if plain == expected:
        evidence = ngettext("%(count)d row as expected", "%(count)d rows as expected", len(got))
        return Evidence(evidence)
    text = _("%(found)s instead of %(expected)s", found=str(plain[:3]), expected=str(expected[:3]))
    return Evidence(_("it returned"), [Finding("query.result_differs", name, text)])


_BTREES = """
SELECT n.nspname, c.relname, c.oid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND c.relpersistence <> 't'
 AND n.nspname !~ '^pg_' ORDER BY 1, 2"""


def corruption(context: CheckContext) -> Evidence:
    """Every B-tree index and its table agree block by block, as amcheck sees it."""
    if not context.settings.amcheck:
        return Evidence(_("switched off (amcheck)"), skipped=True)
    Error, sql = driver().Error, driver().sql

    where = context.catalogue.rows(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'amcheck'"
    )
    if not where:
        return Evidence(_("the extension amcheck is not installed here"), skipped=True)
    check = sql.SQL("SELECT {}.bt_index_check(%s::oid::regclass, true)").format(
        identifier(where[0][0])
    )
    findings, indexes = [], context.catalogue.rows(_BTREES)
    for schema, name, oid in indexes:
        try:
            context.catalogue.rows(check, oid)
        except Error as error:
            message = one_line(error, 200)
            findings.append(
                Finding(
                    "corruption.found",
                    f"{schema}.{name}",
                    _("%(index)s is damaged: %(why)s", index=f"{schema}.{name}", why=message),
                )
            )
    evidence = _(
        "%(found)d/%(expected)d indexes sound",
        found=len(indexes) - len(findings),
        expected=len(indexes),
    )
    return Evidence(evidence, findings)
