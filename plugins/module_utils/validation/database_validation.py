# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate a restored database: is everything there that the backup holds?

Every schema and every table is checked, with a few queries for all of them together.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

from ..backup.expectation import Expectation
from ..checks import checks
from ..checks.check_titles import title_of
from ..checks.checks import CheckResult, Evidence
from ..database.catalogue import Catalogue, ObjectName
from . import checks_content, checks_definitions, checks_structure, partition_rows
from .check_context import CheckContext, ValidationSettings

# Seconds that one statement may take.
STATEMENT_LIMIT = 300.0

_CHECKS: tuple[tuple[str, Callable[[CheckContext], Evidence]], ...] = (
    ("schemas", checks_structure.schemas),
    ("tenants", checks_structure.tenants),
    ("tenant_structure", checks_structure.tenant_structure),
    ("tables", checks_structure.tables),
    ("columns", checks_structure.columns),
    ("row_counts", checks_content.row_counts),
    ("primary_keys", checks_structure.primary_keys),
    ("foreign_keys", checks_structure.foreign_keys),
    ("referential_integrity", checks_content.references),
    ("indexes", checks_structure.indexes),
    ("unique_constraints", checks_structure.unique_constraints),
    ("other_constraints", checks_structure.other_constraints),
    ("sequences", checks_content.sequences),
    ("views", checks_content.views),
    ("materialized_views", checks_content.materialized_views),
    ("routines", checks_structure.routines),
    ("table_rules", checks_structure.table_rules),
    ("large_objects", checks_content.large_objects),
    ("encoding", checks_structure.encoding),
    ("collation", checks_structure.collation),
)


@dataclasses.dataclass(frozen=True)
class ValidationReport:
    """The results of all checks of one database.

    Attributes:
        checks: the result of each check.
        schemas: each schema with its tables, rows and counts, for reports.
        totals: the same over all schemas.
        seconds: duration of all checks.
    """

    checks: list[CheckResult]
    schemas: list[dict[str, Any]]
    totals: dict[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return {
            "checks": [check.to_dict() for check in self.checks],
            **checks.tally(self.checks),
            "schemas": self.schemas,
            "totals": self.totals,
            "seconds": round(self.seconds, 3),
        }


def validate(
    connection: Any,
    expected: Expectation,
    settings: ValidationSettings | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> ValidationReport:
    """Run every check of a database.

    Args:
        connection: psycopg2, to the restored database; it is set to autocommit and read-only.
        expected: what must be there.
        settings: what to check beyond that.
        progress: called with the title of each check before it runs.

    What the database answers never raises an error; it is in the report.
    """
    started = time.monotonic()
    connection.set_session(readonly=True, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = %s", (int(STATEMENT_LIMIT * 1000),))
        cursor.execute("SET search_path = pg_catalog")
        cursor.execute("SET lock_timeout = '30s'")
    context = CheckContext(Catalogue(connection), expected, settings or ValidationSettings())
    results = []
    for id, title, function in _checks(context):
        if progress:
            progress(title)
        result = checks.run_check(id, functools.partial(function, context), title)
        results.append(checks.without_ignored(result, context.settings.ignore))
    schemas = _schemas(context, results)
    return ValidationReport(results, schemas, _totals(schemas), time.monotonic() - started)


def _checks(context: CheckContext) -> list[tuple[str, str, Callable[[CheckContext], Evidence]]]:
    settings, chosen = context.settings, [*_CHECKS]
    # Only a manifest knows definitions and content.
    if context.expected.structure:
        chosen.append(("definitions", checks_definitions.definitions))
    if context.expected.digests:
        chosen.append(("content", checks_content.content))
    if settings.amcheck:
        chosen.append(("corruption", checks_content.corruption))
    configured = [
        (
            f"query_{query['name']}",
            str(query.get("title") or query["name"]),
            functools.partial(checks_content.query, configured=query),
        )
        for query in settings.queries
    ]
    return [*((id, title_of(id), function) for id, function in chosen), *configured]


def _schemas(context: CheckContext, results: list[CheckResult]) -> list[dict[str, Any]]:
    """Return each schema with its tables and counts; empty where the database cannot be read."""
    expectation = context.expected
    try:
        groups: dict[str, tuple[set[ObjectName], set[ObjectName]]] = {
            "foreign_keys": (
                expectation.foreign_keys,
                {key[:3] for key in context.foreign_keys},
            ),
            "indexes": (
                expectation.indexes,
                {key for key, usable in context.indexes.items() if usable},
            ),
            "unique_constraints": (expectation.unique_constraints, set(context.keys)),
        }
        rows, there, moved = context.rows, context.schemas, partition_rows.complete(context)
    except Exception:  # the check that failed says why
        return []
    subjects_with_findings = {found.subject for check in results for found in check.findings}
    by_schema: dict[str, dict[str, Any]] = {}
    for name in expectation.schema_names():
        by_schema[name] = {
            "name": name,
            "tables": [],
            **{group: {"found": 0, "expected": 0} for group in groups},
            "status": checks.PASSED if (name,) in there else checks.FAILED,
        }
    for key in sorted(expectation.tables):
        must = rows.get(key) if key in moved else expectation.rows.get(key)
        table = _table(key, rows.get(key), must, key in context.tables)
        by_schema[key[0]]["tables"].append(table)
    for group, (expected, found) in groups.items():
        for member in expected:
            counts = by_schema.get(member[0], {}).get(group)
            if counts:
                counts["expected"] += 1
                counts["found"] += member in found
    for schema in by_schema.values():
        _judge(schema, list(groups), subjects_with_findings)
    return list(by_schema.values())


def _judge(schema: dict[str, Any], groups: list[str], subjects_with_findings: set[str]) -> None:
    """Set the status: failed if something differs, skipped if all that differs is ignored."""
    differs = any(table["status"] == checks.FAILED for table in schema["tables"]) or any(
        schema[group]["found"] != schema[group]["expected"] for group in groups
    )
    if not differs and schema["status"] == checks.PASSED:
        return
    name = schema["name"]
    has_finding = any(
        subject == name or subject.startswith(f"{name}.") for subject in subjects_with_findings
    )
    schema["status"] = checks.FAILED if has_finding else checks.SKIPPED


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
