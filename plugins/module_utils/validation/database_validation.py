# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions a restored database: is everything there that the backup's table of contents names?

Every schema and every table is asked about, with a few queries for all of them together.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

from ..backup.expectation import Expectation
from ..checks import checks
from ..checks.checks import CheckResult, Evidence
from ..database.catalogue import Catalogue, ObjectName
from . import checks_content, checks_structure
from .check_context import CheckContext, ValidationSettings

# Seconds that one statement may take.
STATEMENT_LIMIT = 300

_QUESTIONS: tuple[tuple[str, str, Callable[[CheckContext], Evidence]], ...] = (
    ("schemas", "Schemas", checks_structure.schemas),
    ("tenants", "Stores and their schemas", checks_structure.tenants),
    ("tenant_structure", "Stores alike in structure", checks_structure.tenant_structure),
    ("tables", "Tables", checks_structure.tables),
    ("columns", "Columns and types", checks_structure.columns),
    ("row_counts", "Rows of every table", checks_content.row_counts),
    ("primary_keys", "Primary keys", checks_structure.primary_keys),
    ("foreign_keys", "Foreign keys", checks_structure.foreign_keys),
    ("referential_integrity", "Referential integrity", checks_content.references),
    ("indexes", "Indexes", checks_structure.indexes),
    ("unique_constraints", "Unique constraints", checks_structure.unique_constraints),
    (
        "other_constraints",
        "Check and exclusion constraints",
        checks_structure.other_constraints,
    ),
    ("sequences", "Sequences", checks_content.sequences),
    ("views", "Views", checks_content.views),
    ("materialized_views", "Materialized views", checks_content.materialized_views),
    ("routines", "Functions, types and extensions", checks_structure.routines),
    ("table_rules", "Triggers, rules and policies", checks_structure.table_rules),
    ("large_objects", "Large objects", checks_content.large_objects),
    ("encoding", "Encoding", checks_structure.encoding),
    ("collation", "Sort order of text", checks_structure.collation),
)


@dataclasses.dataclass(frozen=True)
class Report:
    """What the questions came to.

    Attributes:
        checks: one a question.
        schemas: each schema with its tables, rows and counts, for reports.
        totals: the same over all schemas.
        seconds: what it took in all.
    """

    checks: list[CheckResult]
    schemas: list[dict[str, Any]]
    totals: dict[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        return {
            "checks": [check.to_dict() for check in self.checks],
            **checks.tally(self.checks),
            "schemas": self.schemas,
            "totals": self.totals,
            "seconds": round(self.seconds, 3),
        }


def validate(
    connection: Any,
    wanted: Expectation,
    settings: ValidationSettings | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Asks a database everything.

    Args:
        connection: psycopg2, to the restored database; it is set to autocommit and read-only.
        wanted: what must be there.
        settings: what to ask beyond that.
        progress: called with the title of each question before it is asked.

    Raises:
        ResilienceError: never for what the database answers; that is in the report.
    """
    started = time.monotonic()
    connection.set_session(readonly=True, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = %s", (STATEMENT_LIMIT * 1000,))
        cursor.execute("SET search_path = pg_catalog")
        cursor.execute("SET lock_timeout = '30s'")
    asker = CheckContext(Catalogue(connection), wanted, settings or ValidationSettings())
    done = []
    for id, title, question in _questions(asker):
        if progress:
            progress(title)
        answered = checks.run_check(id, title, functools.partial(question, asker))
        done.append(checks.without_ignored(answered, asker.settings.ignore))
    schemas = _schemas(asker, done)
    return Report(done, schemas, _totals(schemas), time.monotonic() - started)


def _questions(asker: CheckContext) -> list[tuple[str, str, Callable[[CheckContext], Evidence]]]:
    settings, asked = asker.settings, [*_QUESTIONS]
    if asker.wanted.digests:
        # Only a manifest knows the content; without one there is no question.
        asked.append(("content", "Content of every table", checks_content.content))
    if settings.amcheck:
        asked.append(("corruption", "Damaged indexes (amcheck)", checks_content.corruption))
    for query in settings.queries:
        title = str(query.get("title") or query["name"])
        asked.append(
            (
                f"query_{query['name']}",
                title,
                functools.partial(checks_content.query, configured=query),
            )
        )
    return asked


def _schemas(asker: CheckContext, done: list[CheckResult]) -> list[dict[str, Any]]:
    """Each schema, with its tables and counts; empty where the database did not answer."""
    wanted = asker.wanted
    try:
        groups: dict[str, tuple[set[ObjectName], set[ObjectName]]] = {
            "foreign_keys": (
                wanted.foreign_keys,
                {tuple(row[:3]) for row in asker.foreign_keys},
            ),
            "indexes": (wanted.indexes, {key for key, usable in asker.indexes.items() if usable}),
            "unique_constraints": (wanted.unique_constraints, set(asker.unique)),
        }
        rows, there = asker.rows, asker.schemas
    except Exception:  # the check that failed has told why
        return []
    blamed = {found.subject for check in done for found in check.findings}
    by_schema: dict[str, dict[str, Any]] = {}
    for name in wanted.schema_names():
        by_schema[name] = {
            "name": name,
            "tables": [],
            **{group: {"found": 0, "expected": 0} for group in groups},
            "status": checks.PASSED if (name,) in there else checks.FAILED,
        }
    for key in sorted(wanted.tables):
        table = _table(key, rows.get(key), wanted.rows.get(key), key in asker.tables)
        by_schema[key[0]]["tables"].append(table)
    for group, (expected, found) in groups.items():
        for member in expected:
            counts = by_schema.get(member[0], {}).get(group)
            if counts:
                counts["expected"] += 1
                counts["found"] += member in found
    for schema in by_schema.values():
        _judge(schema, list(groups), blamed)
    return list(by_schema.values())


def _judge(schema: dict[str, Any], groups: list[str], blamed: set[str]) -> None:
    """Failed if something differs; skipped if all that differs is ignored."""
    differs = any(table["status"] == checks.FAILED for table in schema["tables"]) or any(
        schema[group]["found"] != schema[group]["expected"] for group in groups
    )
    if not differs and schema["status"] == checks.PASSED:
        return
    name = schema["name"]
    told = any(subject == name or subject.startswith(f"{name}.") for subject in blamed)
    schema["status"] = checks.FAILED if told else checks.SKIPPED


def _table(key: ObjectName, rows: int | None, expected: int | None, there: bool) -> dict[str, Any]:
    status = checks.PASSED
    if not there or (expected is not None and rows != expected):
        status = checks.FAILED
    elif expected is None:
        status = checks.SKIPPED
    return {"name": key[1], "rows": rows, "expected": expected, "status": status}


def _totals(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {
        "schemas": len(schemas),
        "tables": sum(len(schema["tables"]) for schema in schemas),
        "rows": sum(table["rows"] or 0 for schema in schemas for table in schema["tables"]),
    }
    for name in ("foreign_keys", "indexes", "unique_constraints"):
        totals[name] = {
            side: sum(schema[name][side] for schema in schemas) for side in ("found", "expected")
        }
    return totals
