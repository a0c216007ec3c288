# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate a restored database and the backend that serves it; one report of both."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..backup.expectation import Expectation
from ..checks import checks
from ..common.messages import _, with_forms
from ..database.connection import connect
from . import api_probe, check_context, database_validation
from .api_probe import Api, StepResult

NO_BACKEND = _("no backend is configured, so no user logged in")


def validate_restore(
    dsn: Mapping[str, Any],
    expected: Expectation,
    settings: check_context.ValidationSettings,
    api: Api | None,
    *,
    featured_schema: str = "",
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run every check.

    Args:
        dsn: keyword arguments for `psycopg2.connect`.
        expected: what must be there.
        settings: what to check beyond that.
        api: the backend; None skips its checks, which are shown as skipped.
        featured_schema: the tenant whose calls are reported one by one; the first tenant that was
            called where this one was not.
        progress: called with the title of each check.

    Returns:
        `checks` (dicts of `CheckResult`), `passed`, `failed`, `skipped`, `confidence`, `schemas`,
        `totals`, `api` (the calls of one tenant, `called_schema`) and `seconds`.

    Raises:
        ResilienceError: the database cannot be connected to.
    """
    started = time.monotonic()
    with contextlib.closing(_connect(dsn)) as connection:
        report = database_validation.validate(connection, expected, settings, progress=progress)
    calls: list[StepResult] = []
    if api is None:
        api_results = api_probe.skipped(api_probe.STEPS, NO_BACKEND)
    else:
        if progress:
            progress("API")
        api_results, calls = api_probe.probe(api, _rows(report.schemas))
    called = sorted({call.schema for call in calls})
    shown = featured_schema if featured_schema in called else next(iter(called), "")
    results = [
        *report.checks,
        *(checks.without_ignored(result, settings.ignore) for result in api_results),
    ]
    return {
        "checks": [check.to_dict() for check in results],
        **checks.tally(results),
        "schemas": report.schemas,
        "totals": report.totals,
        "called_schema": shown,
        "api": [
            _call(step, call)
            for call in calls
            if call.schema == shown and api
            for step in api.steps
            if step["id"] == call.id
        ],
        "seconds": round(time.monotonic() - started, 3),
    }


def _connect(dsn: Mapping[str, Any]) -> Any:
    return connect(
        dsn,
        what=_("the restored database"),
        option="database",
        remedy=_("look whether staging runs, and at its user and password"),
    )


def _rows(schemas: list[dict[str, Any]]) -> Callable[[str, str], int | None]:
    counted = {
        (schema["name"], table["name"]): table["rows"]
        for schema in schemas
        for table in schema["tables"]
    }
    return lambda schema, table: counted.get((schema, table))


def _call(step: Mapping[str, Any], call: StepResult) -> dict[str, Any]:
    plain = {
        "id": call.id,
        "title": str(step.get("title") or step["id"]),
        "kind": step.get("kind", "call"),
        "status": checks.FAILED if call.problem else checks.PASSED,
        "http_status": call.http_status,
        "count": call.count,
        "evidence": call.problem or _("as configured"),
        "seconds": round(call.seconds, 3),
    }
    return with_forms(plain, "evidence")
