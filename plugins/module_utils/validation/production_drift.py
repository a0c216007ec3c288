# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the restored database with production as it is now.

Production has changed since the backup, so different row counts are evidence, not findings. A table
that production has and the backup lacks is a finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..backup.expectation import Expectation
from ..checks import checks
from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..database.catalogue import Catalogue
from ..database.connection import driver, open_connection
from .check_context import CheckContext, ValidationSettings, dotted_name

# Milliseconds that one statement, and waiting for one lock, may take: production has other work.
SESSION: dict[str, str | int] = {
    "statement_timeout": 120_000,
    "lock_timeout": 5_000,
    # Production may have operators and functions with the names of PostgreSQL's.
    "search_path": "pg_catalog",
}


def compare(dsn: Mapping[str, Any], schemas: Sequence[Mapping[str, Any]]) -> Evidence:
    """Count production's rows, read-only, and compare them with the restored ones.

    Args:
        dsn: keyword arguments for `psycopg2.connect`, of a user who may read everything.
        schemas: the restored ones, as `ValidationReport` has them.
    """
    restored = {
        (schema["name"], table["name"]): table["rows"]
        for schema in schemas
        for table in schema["tables"]
    }
    psycopg2 = driver()
    try:
        connection = open_connection(dsn, read_only=True, settings=SESSION)
    except psycopg2.Error as error:
        text = _("production cannot be connected to: %(why)s", why=one_line(error))
        return Evidence(text, skipped=True)
    try:
        catalogue = Catalogue(connection)
        tables = catalogue.relations("rp")
        rows = CheckContext(catalogue, Expectation(tables=tables), ValidationSettings()).rows
    except psycopg2.Error as error:
        text = _("production could not be read: %(why)s", why=one_line(error))
        return Evidence(text, skipped=True)
    finally:
        connection.close()
    lacking = [
        Finding(
            "production.table_missing",
            dotted_name(key),
            _(
                "production has %(table)s (%(rows)d rows), the backup has not",
                table=dotted_name(key),
                rows=rows.get(key, 0),
            ),
        )
        for key in sorted(tables - set(restored))
    ]
    moved = {
        key: rows[key] - count
        for key, count in restored.items()
        if count is not None and key in rows and rows[key] != count
    }
    return Evidence(_evidence(len(tables & set(restored)), moved), lacking)


def _evidence(compared: int, moved: Mapping[tuple[str, str], int]) -> Message:
    if not moved:
        return _("%(count)d tables, as many rows in each as in production now", count=compared)
    most = sorted(moved, key=lambda key: (-abs(moved[key]), key))
    return _(
        "of %(count)d tables %(same)d have as many rows in production now;"
        " since the backup: %(moved)s",
        count=compared,
        same=compared - len(moved),
        moved=checks.named([f"{dotted_name(key)} {moved[key]:+d}" for key in most], ", "),
    )
